"""Valid files of every kind that is read, and ways to damage them: python tests/data/fuzzing.py COUNT [SEED]

Each damaged file is read; only a complaint about it may come out. The process prints the largest memory that it took.
"""

from __future__ import annotations

import gzip
import io
import random
import re
import shutil
import struct
import sys
import tarfile
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image
from tokenizers import Tokenizer, models

from graphdl.cli.reading import read_inputs
from graphdl.data.reading import Reading
from graphdl.data.sets import load
from graphdl.diagnostics import ModelError
from graphdl.graph.train import Setting
from graphdl.graph.types import TensorType
from graphdl.source import Source, Span

MIB = 1 / 1024
LIMIT = 64 * MIB
"""GiB: damaged headers promise much; what they promise beyond this is refused."""


def pictures() -> Iterator[tuple[str, bytes]]:
    """Small pictures of every format and mode."""
    values = np.random.default_rng(0).integers(0, 256, (24, 20, 4), np.uint8)
    colour = Image.fromarray(values)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a picture"
    for suffix, mode, options in (
        ("png", "RGBA", {"exif": exif}), ("png", "L", {}), ("png", "P", {"transparency": 3}), ("png", "1", {}),
        ("png", "LA", {}), ("png", "I;16", {}), ("jpg", "RGB", {"exif": exif}), ("jpg", "L", {"progressive": True}),
        ("jpg", "CMYK", {}), ("gif", "P", {"transparency": 1}), ("bmp", "RGB", {}), ("bmp", "P", {}),
        ("tif", "RGB", {"compression": "tiff_lzw"}), ("tif", "CMYK", {}), ("tif", "I;16", {}),
        ("tif", "L", {"compression": "tiff_adobe_deflate"}), ("tif", "1", {"compression": "group4"}),
        ("webp", "RGBA", {"lossless": True}), ("webp", "RGB", {}), ("ppm", "RGB", {}), ("pgm", "L", {}),
        ("pgm", "I;16", {}),
    ):  # fmt: skip
        if mode == "I;16":
            picture = Image.fromarray(values[..., 0].astype(np.uint16) * 257)
        else:
            picture = colour if mode == "RGBA" else colour.convert("RGB").convert(mode)
        buffer = io.BytesIO()
        picture.save(buffer, {"jpg": "jpeg", "tif": "tiff", "pgm": "ppm"}.get(suffix, suffix), **options)
        yield suffix, buffer.getvalue()


def arrays() -> Iterator[tuple[str, bytes]]:
    """Files of NumPy's formats."""
    values = np.random.default_rng(1).random((5, 3, 4), np.float32)
    for array in (values, np.asfortranarray(values), np.arange(60).reshape(5, 3, 4)):
        buffer = io.BytesIO()
        np.save(buffer, array)
        yield "npy", buffer.getvalue()
    for save in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, train_x=values, train_label=np.arange(5), test_x=values[:2], test_label=np.arange(2))
        yield "npz", buffer.getvalue()


def tables() -> Iterator[tuple[str, bytes]]:
    """Text tables."""
    yield "csv", b"a,b,kind\n" + "".join(f"{n}.5,{n}e-1,{'xyz'[n % 3]}\n" for n in range(9)).encode()
    yield "csv", 'a,b,kind\r\n1,2,"ä, ""ö"""\r\n3,4,"b"\r\n'.encode("utf-8-sig")


def texts() -> Iterator[tuple[str, bytes]]:
    """Texts, pairs of lines and lists of entries, packed or not."""
    text = "Ein Wort, zwei; été.\r\n" * 9
    pairs = "".join(f"a b{n}\tc d {n}\n" for n in range(9))
    entries = "".join(f'{{"n": {n}, "x": [{n}.5, 2e-3], "kind": "{"ab"[n % 2]}"}}\n' for n in range(9))
    for kind, content in (("text", text), ("pairs", pairs), ("catalog", entries)):
        yield kind, content.encode()
        yield kind, gzip.compress(content.encode())


def sounds() -> Iterator[tuple[str, bytes]]:
    """Recordings of the formats that are read."""
    wave = np.sin(np.arange(400, dtype=np.float32))
    for suffix, subtype in (
        ("wav", "PCM_16"),
        ("wav", "PCM_U8"),
        ("wav", "FLOAT"),
        ("wav", "ULAW"),
        ("flac", "PCM_24"),
    ):
        buffer = io.BytesIO()
        soundfile.write(buffer, np.stack([wave, -wave / 2], axis=1), 8000, subtype, format=suffix)
        yield suffix, buffer.getvalue()


def archives() -> Iterator[tuple[str, bytes]]:
    """A tar archive of examples."""
    picture, buffer = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (5, 4), "red").save(picture, "png")
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number in range(4):
            for ending, content in (
                ("png", picture.getvalue()),
                ("cls", b"ab"[number % 2 :][:1]),
                ("json", b"[1, 0.5]"),
            ):
                info = tarfile.TarInfo(f"{number}.{ending}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    yield "tar", buffer.getvalue()


def idx(array: np.ndarray) -> bytes:
    """An IDX file."""
    return struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


def sets() -> Iterator[tuple[str, bytes]]:
    """Files of MNIST's and CIFAR-10's formats."""
    images = idx(np.zeros((4, 28, 28), np.uint8))
    yield "idx", images
    yield "idx", gzip.compress(images)
    yield "cifar", b"".join(bytes([label]) + bytes(3072) for label in range(3))


def damaged(content: bytes, chance: random.Random) -> bytes:
    """A copy with a few faults."""
    found = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 5))):
        place = chance.randrange(len(found) + 1) if chance.random() < 0.5 else chance.randrange(min(len(found), 64) + 1)
        match chance.randrange(7):
            case 0:
                del found[place:]
            case 1 if place < len(found):
                found[place] ^= 1 << chance.randrange(8)
            case 2:
                found[place : place + 4] = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"))
            case 3:
                found[place:place] = chance.randbytes(chance.choice((1, 3, 40)))
            case 4:
                del found[place : place + chance.choice((1, 2, 30))]
            case 5:
                found[place:place] = found[: chance.randrange(len(found) + 1)]
            case 6 if place < len(found):
                found[place] = chance.choice(b"\0\xff\"'([{,;0159e-\n\r ")
    return bytes(found)


def readers(folder: Path) -> list[tuple[str, bytes, Callable[[bytes], object]]]:
    """What is to be damaged, with what reads a copy of it: as training does, and as a prediction does."""
    found: list[tuple[str, bytes, Callable[[bytes], object]]] = []

    def predicted(path: Path, kind: TensorType) -> Callable[[bytes], object]:
        def read(content: bytes) -> object:
            path.write_bytes(content)
            return read_inputs([path], {"x": kind}, Reading(limit=LIMIT))

        return read

    def loaded(path: Path, name: str, *arguments: object, **keywords: object) -> Callable[[bytes], object]:
        setting = Setting(name, arguments, {**keywords, "limit": LIMIT}, Span(Source("fuzz.net", name), 0, len(name)))

        def read(content: bytes) -> object:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            data = load(setting, root=folder, splits=("train",))
            split = data.splits["train"]
            return {name: field.take(np.arange(min(len(split), 4))) for name, field in split.fields.items()}

        return read

    for suffix, content in pictures():
        found.append((suffix, content, predicted(folder / f"a.{suffix}", TensorType((3, 8, 8)))))
        single = folder / suffix / "one" / f"a.{suffix}"
        found.append((suffix, content, loaded(single, "folder", suffix, size=8, channels=1, test=0.0)))
    for suffix, content in arrays():
        found.append((suffix, content, predicted(folder / f"a.{suffix}", TensorType((3, 4)))))
        if suffix == "npz":
            found.append((suffix, content, loaded(folder / "b.npz", "npz", "b.npz")))
    for suffix, content in tables():
        found.append((suffix, content, loaded(folder / "b.csv", "csv", "b.csv", label="kind")))
    for kind, content in texts():
        keywords = {
            "text": {"length": 8, "vocabulary": 9}, "pairs": {"test": 0.0, "vocabulary": 9},
            "catalog": {"n": "n", "x": "x", "label": "kind", "test": 0.0},
        }[kind]  # fmt: skip
        found.append((kind, content, loaded(folder / f"c.{kind}", kind, f"c.{kind}", **keywords)))
    for number, (suffix, content) in enumerate(sounds()):
        single = folder / f"sounds{number}" / f"a_1.{suffix}"
        keywords = {"rate": (8000, 5000)[number % 2], "names": "{label}_{index}", "test": 0.0}
        found.append((suffix, content, loaded(single, "audio", single.parent.name, **keywords)))
    fields = {"image": "png", "label": "cls", "x": "json", "size": 4, "test": 0.0}
    for suffix, content in archives():
        found.append((suffix, content, loaded(folder / "d.tar", "shards", "d.tar", **fields)))
    written = Path(__file__).parent / "huggingface" / "one"
    columns = {"image": "image", "label": "label", "box": "box", "kind": "kind", "size": 4, "test": 0.0}
    for file in sorted(written.iterdir()):
        own = folder / f"of {file.name}"
        shutil.copytree(written, own)
        found.append((file.name, file.read_bytes(), loaded(own / file.name, "huggingface", own.name, **columns)))
    (folder / "f.txt").write_text("aabba" * 9)
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2, "?": 3}, [("a", "b")], unk_token="?")).to_str().encode()
    keywords = {"length": 2, "test": 0.0, "tokenizer": "g/f.json"}
    found.append(("tokenizer", tokenizer, loaded(folder / "g" / "f.json", "text", "f.txt", **keywords)))
    found.append(("csv", b"a,b,c\n1,2,3\n4,5.5,-6e-7\n", predicted(folder / "a.csv", TensorType((3,)))))
    labels = gzip.compress(idx(np.arange(4, dtype=np.uint8)))
    (folder / "mnist").mkdir()
    (folder / "mnist" / "train-labels-idx1-ubyte.gz").write_bytes(labels)
    for suffix, content in sets():
        if suffix == "idx":
            found.append((suffix, content, loaded(folder / "mnist" / "train-images-idx3-ubyte", "mnist")))
        else:
            for number in range(2, 6):
                (folder / "cifar10").mkdir(exist_ok=True)
                (folder / "cifar10" / f"data_batch_{number}.bin").write_bytes(content)
            found.append((suffix, content, loaded(folder / "cifar10" / "data_batch_1.bin", "cifar10")))
    return found


def fuzz(count: int, seed: int) -> dict[str, int]:
    """Reads so many damaged files; how many of them were read all the same, and how many complained about, by code.

    Raises:
        Exception: whatever else than a complaint came out; the file is among its notes.
    """
    outcomes: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of damaged metadata, and reads on
        kinds = readers(Path(name))
        for number in range(count):
            chance = random.Random(seed * 1_000_003 + number)
            suffix, content, read = kinds[number % len(kinds)]
            if number < len(kinds):
                read(content)  # whole
            mutant = damaged(content, chance)
            try:
                read(mutant)
                outcome = "read"
            except ModelError as error:
                outcome = error.diagnostics[0].code
            except BaseException as error:
                error.add_note(f"file {number} of seed {seed}, {suffix}: {mutant[:2000]!r}")
                raise
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
    return outcomes


if __name__ == "__main__":
    found = fuzz(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    # The peak of the resource usage would be the parent's: it outlives the start of another program.
    status = Path("/proc/self/status").read_text("ascii")
    peak = int(re.findall(r"VmHWM:\s*(\d+)", status)[0]) // 1024
    print(f"{found}, at most {peak} MiB")
