"""Every code of the family has its long form, and no other has."""

import re
from pathlib import Path

import graphdl

PACKAGE = Path(graphdl.__file__).parent


def test_each_code_that_is_raised_is_explained():
    raised = {
        code for path in (PACKAGE / "data").glob("*.py") for code in re.findall(r'"(E07\d\d)"', path.read_text("utf-8"))
    }
    explained = re.findall(r"^## (E\d{4}) \S", (PACKAGE / "language/codes/07_data.md").read_text("utf-8"), re.MULTILINE)
    assert explained == sorted(raised)
