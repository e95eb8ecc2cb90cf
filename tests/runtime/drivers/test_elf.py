"""Whole and cut-off libraries."""

from pathlib import Path

import numpy
import pytest

from graphdl.runtime.drivers.elf import is_whole

# Any extension module of NumPy is a shared library.
LIBRARY = next(Path(numpy.__file__).parent.glob("_core/_multiarray_umath*.so"))


def test_a_library_is_whole():
    assert is_whole(LIBRARY)


@pytest.mark.parametrize("keep", [0, 3, 63, 64, 1000, 1 << 20])
def test_a_library_that_was_cut_off_is_not(tmp_path, keep):
    cut = tmp_path / "cut.so"
    cut.write_bytes(LIBRARY.read_bytes()[:keep])
    assert not is_whole(cut)


def test_a_text_is_no_library(tmp_path):
    text = tmp_path / "libintlc.so"
    text.write_text("INPUT (libintlc.so.5)" * 10)
    assert not is_whole(text)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        is_whole(tmp_path / "none.so")
