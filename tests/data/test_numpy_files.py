"""Files of NumPy's formats: what is whole is read, and what is not is named, without evaluating or unpacking it."""

import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from graphdl.data.numpy_files import read_npy, read_npz
from graphdl.data.reading import Reading


def npy(header: bytes, elements: bytes = b"", version: int = 1) -> bytes:
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + elements


def saved(array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["f2", "f4", ">f8", "i1", "i8", ">u2", "?", "U3", "S2", "c8"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4), (0, 4)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_read_as_numpy_wrote_them(tmp_path, kind, shape, order):
    array = np.random.default_rng(0).integers(0, 2, shape).astype(kind).copy(order)
    np.save(tmp_path / "a.npy", array)
    np.savez_compressed(tmp_path / "a.npz", x=array, y=array)
    for found in (read_npy(Reading(), tmp_path / "a.npy"), *read_npz(Reading(), tmp_path / "a.npz").values()):
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)
        assert found.flags.writeable


HEADER = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("header", [HEADER, b'{"shape":(2L,),"descr":"<f4","fortran_order":False}   \n'])
def test_headers_may_be_written_in_many_ways(tmp_path, version, header):
    (tmp_path / "a.npy").write_bytes(npy(header, np.float32([1, 2]).tobytes(), version))
    assert read_npy(Reading(), tmp_path / "a.npy").tolist() == [1, 2]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it begins with nothing, expected 93 4e 55 4d 50 59"),
        (b"x,y\n1,2\n", "it begins with 78 2c 79 0a 31 2c"),
        (b"\x93NUMPY", "expected 93"),
        (npy(HEADER)[:40], "it ends within its header"),
        (npy(HEADER, bytes(7)), "it ends after 7 of the 8 bytes that its header promises"),
        (npy(HEADER, version=9), "version 9 of its format is unknown"),
        (npy(b"(" * 10_000), "its header is '((("),
        (npy(b"{" * 10_000 + b"}" * 10_000), "its header is '{{{"),
        (npy(b"{'descr': __import__('os').abort(), 'fortran_order': False, 'shape': (2,)}"), "its header is"),
        (npy(HEADER.replace(b"(2,)", b"(-2,)")), "its header is"),
        (npy(HEADER.replace(b"(2,)", b"(2 2)")), "its header is"),
        (npy(HEADER.replace(b"False", b"'<f4'")), "its header is"),
        (npy(HEADER.replace(b"'shape'", b"'shade'")), "its header is"),
        (npy(HEADER.replace(b"<f4", b"<f3")), "no elements are of the type '<f3'"),
        (npy(HEADER.replace(b"<f4", b"f4,f4")), "no elements are of the type"),
        (npy(HEADER.replace(b"(2,)", b"(" + b"1," * 100 + b")")), "no array has the shape"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "its header is said to have 4294967295 bytes"),
    ],
)
def test_what_is_no_npy(tmp_path, complaint, content, reason):
    (tmp_path / "a.npy").write_bytes(content)
    found = complaint("E0705", read_npy, Reading(), tmp_path / "a.npy")
    assert found.message.startswith(f"{tmp_path / 'a.npy'} is damaged: it is no .npy file: ")
    assert reason in found.message


@pytest.mark.parametrize("shape", [b"(9999999999,)", b"(3, 99999999999999999999999)", b"(0, 99999999999)"])
def test_a_header_that_promises_too_much(tmp_path, complaint, shape):
    (tmp_path / "a.npy").write_bytes(npy(HEADER.replace(b"(2,)", shape)))
    found = complaint("E0718", read_npy, Reading(), tmp_path / "a.npy")
    assert "GiB of memory, and the limit is 1 GiB" in found.message


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.array([{}, None], dtype=object), "it holds objects of Python, which are refused"),
        (np.zeros(3, [("a", "f4"), ("b", "i4")]), "its elements are records of several fields"),
        (np.zeros(3, "V8"), "its elements are of the type |V8"),
    ],
)
def test_kinds_that_are_not_read(tmp_path, complaint, array, reason):
    for name, read in (("a.npy", read_npy), ("a.npz", read_npz)):
        (np.savez if name.endswith("z") else np.save)(tmp_path / name, array)
        found = complaint("E0705", read, Reading(), tmp_path / name)
        assert reason in found.message
        assert found.help == "save floats, ints or bools, with numpy.savez"
        assert "unsafe" not in found.message


def archive(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)


@pytest.mark.parametrize(
    ("members", "method", "reason"),
    [
        ({"x.npy": saved(np.zeros(3)), "notes.txt": b"hello"}, zipfile.ZIP_DEFLATED, "'notes.txt' in it is no array"),
        ({"x.npy": saved(np.zeros(3))}, zipfile.ZIP_BZIP2, "packed by the method bzip2; only deflate is read"),
        ({"x.npy": saved(np.zeros(3))}, zipfile.ZIP_LZMA, "packed by the method lzma"),
        ({}, zipfile.ZIP_DEFLATED, "it holds no arrays"),
    ],
)
def test_archives_with_other_members_and_methods(tmp_path, complaint, members, method, reason):
    archive(tmp_path / "a.npz", members, method)
    found = complaint("E0705", read_npz, Reading(), tmp_path / "a.npz")
    assert found.message.startswith(f"{tmp_path / 'a.npz'} cannot be read: ")
    assert reason in found.message


def test_archives_that_are_encrypted(tmp_path, complaint):
    archive(tmp_path / "a.npz", {"x.npy": saved(np.zeros(3))})
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.npz").write_bytes(content)
    assert "'x.npy' in it is encrypted" in complaint("E0705", read_npz, Reading(), tmp_path / "a.npz").message


@pytest.mark.parametrize("member", [b"(((((", b"", npy(b"(((((")])
def test_members_that_are_no_arrays(tmp_path, complaint, member):
    archive(tmp_path / "a.npz", {"x.npy": member})
    assert "'x.npy' in it: " in complaint("E0705", read_npz, Reading(), tmp_path / "a.npz").message


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_an_archive_holds_twice(tmp_path, complaint):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        for _ in range(2):
            file.writestr("x.npy", saved(np.zeros(3)))
    assert "it holds 'x' 2 times" in complaint("E0705", read_npz, Reading(), tmp_path / "a.npz").message


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, complaint):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, file.open("x.npy", "w", force_zip64=True) as member:
        member.write(npy(HEADER.replace(b"(2,)", b"(805306368,)")))  # 3 GiB of floats
        for _ in range(30):
            member.write(bytes(1 << 20))
    tracemalloc.start()
    found = complaint("E0718", read_npz, Reading(), path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.message == f"{path}: 'x.npy' takes 3 GiB of memory, and the limit is 1 GiB"
    assert peak < 16 << 20


def test_all_members_together_are_bounded(tmp_path, complaint):
    np.savez_compressed(tmp_path / "a.npz", **{f"x{n}": np.zeros(1 << 17) for n in range(5)})
    found = complaint("E0718", read_npz, Reading(limit=4 / 1024), tmp_path / "a.npz")
    assert "what it holds, unpacked, takes 0.00488 GiB of memory, and the limit is 0.00390625 GiB" in found.message
    assert len(read_npz(Reading(limit=6 / 1024), tmp_path / "a.npz")) == 5


def test_a_forged_table_of_contents_is_not_read_whole(tmp_path, complaint):
    archive(tmp_path / "a.npz", {"x.npy": saved(np.zeros(3))})
    content = bytearray((tmp_path / "a.npz").read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[directory:directory] = bytes(8 << 20)
    end = content.index(b"PK\x05\x06")
    content[end + 12 : end + 20] = struct.pack("<II", end - directory, directory)
    (tmp_path / "a.npz").write_bytes(content)
    assert "its table of contents is said" in complaint("E0705", read_npz, Reading(), tmp_path / "a.npz").message


def test_the_other_kind_of_file_is_named(tmp_path, complaint):
    np.save(tmp_path / "a.npy", np.zeros(3))
    np.savez(tmp_path / "b.npz", x=np.zeros(3))
    assert complaint("E0705", read_npz, Reading(), tmp_path / "a.npy").help == "call it .npy"
    assert complaint("E0705", read_npy, Reading(), tmp_path / "b.npz").help == "call it .npz"
