"""Inputs of ``tools/fuzz.py`` that are small and ask for much, or hold what no terminal should see.

Shared lists, scans, ranks, wide nets, thousands of complaints, names of every script, control characters, numbers
that no machine holds, and settings from outside.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable
from functools import cache

from graphdl.source import Source

_NUMBERS = (
    "10 ** 10 ** 10",
    "2 ** 63",
    "2 ** 63 - 1",
    "-(2 ** 63)",
    "9" * 18,
    "9" * 400,
    "1e308 * 10",
    "1e999",
    "10 ** 18",
    "1 // 0",
    "0.0 / 0",
    "(-8) ** 0.5",
    "2.5 ** 100000",
)
_SETTINGS = ("1e999", "nan", "-1", "9" * 30, "9" * 6000, "[[1], 2]", "[" * 300, '"x"', "true", "\0", "1" + "0" * 18)


def hostile(rng: random.Random) -> Source:
    """A file of one of the kinds."""
    shape = rng.choice(_SHAPES)
    return Source("hostile.net", shape(rng))


def settings(rng: random.Random) -> dict[str, object]:
    """What ``--set`` might bring."""
    return {rng.choice(("size", "n", "é", "x")): rng.choice(_SETTINGS) for _ in range(rng.randrange(1, 3))}


def _size(rng: random.Random, most: int) -> int:
    """Mostly small, now and then the most."""
    return max(1, int(most ** rng.random()))


def _net(body: str, rest: str = "") -> str:
    head, tail = (
        "let size = 4\nnet n(n = 2) {\n    input x: [4]\n",
        "    output y = x\n    loss sum(x -> linear(2))\n}\n",
    )
    return f"{head}{body}\n{tail}{rest}"


def _shared_lists(rng: random.Random) -> str:
    start = rng.choice(("[relu]", "[1, 2]", '["a"]', "[]", "[[1], [2]]", "0..100"))
    copies = ", ".join(["l"] * rng.randrange(1, 4))
    step = rng.choice((f"l = [{copies}]", "l = l + l", "l = l + [l]", "l = [l + [1]]", "l = l * 3"))
    use = rng.choice(
        (
            "z = x -> l",
            "z = x -> [l]",
            "z = sum(x, axis = l)",
            "z = x * l",
            "z = tensor(l)",
            "z = zeros(l)",
            "b = l == l",
            'assert len(l) == 3, "{l}"',
            "for a in l { z = x * len(a) }",
            "z = x -> repeat len(l) { relu }",
            "z = reshape(x, l)",
        )
    )
    train = rng.choice(("", "train { data table(x = size) }\n", "train { optimizer adam(lr = size) }\n"))
    count = _size(rng, 200)
    if train:
        lets = "let l = [1, 2]\n".replace("l", "l0") + "".join(f"let l{k + 1} = [l{k}, l{k}]\n" for k in range(count))
        return lets + _net("", train.replace("size", f"l{count}"))
    loop = rng.random() < 0.5
    repeated = f"for k in 0..{count} {{ {step} }}" if loop else "\n".join([step] * count)
    return _net(f"l = {start}\n{repeated}\n{use}")


def _scans(rng: random.Random) -> str:
    length, depth = _size(rng, 10**7), _size(rng, 24)
    opened = "".join(f"h = scan a{k} in z, h = h {{\n" for k in range(depth))
    return _net(f"z = zeros([{length}])\nh = 0.0\n{opened}h = h + sum(z[:1])\n{'}' * depth}")


def _ranks(rng: random.Random) -> str:
    rank = _size(rng, 100_000)
    shape = rng.choice((f"[4] + [1] * {rank}", f"[1] * {rank} + [4]", f"[2] * {rank}"))
    use = rng.choice(
        (
            "sum(z, axis = 0)",
            "mean(z)",
            "transpose(z)",
            "z + x",
            "z[0]",
            "z -> linear(2)",
            "concat(z, z)",
            "max(z, keep = true)",
        )
    )
    return _net(f"z = reshape(x, {shape})\nz = {use}")


def _wide(rng: random.Random) -> str:
    count = _size(rng, 1_500)
    element = rng.choice(("x * k", "x", "x -> linear(1)", "x[k % 4]", "[x, k]", "zeros([4])"))
    joined = rng.choice(("concat(l)", "concat([concat(l), x])", "l[0]"))
    return _net(f"l = [{element} for k in 0..{count}]\nz = {joined}")


def _complaints(rng: random.Random) -> str:
    line = rng.choice(
        (
            "z = zork",
            "z{k} = zork{k}",
            "z = = 3",
            "z = ? 3",
            "z = (3",
            "z = x -> zork(3)",
            "z = linear(q{k} = 3)",
            "x = 3 +",
            "z{k} = x + zeros([{k} + 5])",
            'assert false, "{{x}} {k}"',
            "param p{k}: [0]",
            "input x: [4]",
            "z{k} = x",
            "}}",
            "{{",
            "z = x.nothing",
            "update z = x",
            "loss x",
            "z = [1][{k}]",
        )
    )
    end = rng.choice(("\n", "\n", "; ", "  # said\n"))
    return _net("".join(line.format(k=k) + end for k in range(_size(rng, 1_000))))


@cache
def _by_category() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for code in range(0x80, 0x110000, 7):
        if not 0xD800 <= code < 0xE000:
            found.setdefault(unicodedata.category(chr(code)), []).append(chr(code))
    return found


def _names(rng: random.Random) -> str:
    categories = _by_category()
    likely = ("Lu", "Ll", "Lo", "Lm", "Mn", "Mc", "Nd", "Nl", "Pc")
    kinds = rng.choices((*likely, *likely, *categories), k=rng.randrange(1, 6))
    name = "".join(rng.choice(categories[kind]) for kind in kinds)
    name = rng.choice((name, "a" + name, unicodedata.normalize("NFD", name), name * _size(rng, 3_000)))
    other = unicodedata.normalize(rng.choice(("NFC", "NFD", "NFKC")), name)
    train = f"train {{ only {name}.*, {other}.W }}\n"
    return _net(f'{name} = x -> linear(2)\nz = {other} + 1\nassert true, "{{{other}.rank}}"', rng.choice(("", train)))


def _controls(rng: random.Random) -> str:
    signs = "\x00\x07\x08\x0b\x1b\x7f\x85\x9b\r\u2028\u200b\u202e\u2066\ufeff\U000e0041"
    text = "".join(rng.choice((*signs, "a", " ", "]")) for _ in range(_size(rng, 200)))
    return rng.choice(
        (
            f"## {text}\n" + _net(""),
            _net(f'assert false, "{text}"'),
            _net(f"z = x {text} + 1"),
            _net(f'z = x -> conv(1, 1, pad = "{text}")'),
            f'import "{text}.net"\n' + _net(""),
            _net("z = x# " + text),
            _net("z = x\rw = z\r\n"),
        )
    )


def _numbers(rng: random.Random) -> str:
    number = rng.choice(_NUMBERS)
    use = rng.choice(
        (
            "z = x * N",
            "z = zeros([N])",
            "z = x[N]",
            "l = 0..N",
            "l = [1] * (N)",
            "z = x -> repeat N { relu }",
            "z = x -> linear(N)",
            "l = [k for k in 0..N]",
            "z = x -> conv(N, 1)",
            "param p: [N] = zeros()",
            "z = x -> dropout(N)",
            "z = x[N:]",
            'l = "a" * (N)',
            "z = sum(x, axis = N)",
            "b = N == N",
            "z = x ** (N)",
            'assert N == 1, "{n}"',
            "z = fill([2], N)",
        )
    )
    train = rng.choice(
        ("", f"train {{ batch {number} }}\n", f"train {{ epochs {number} }}\n", f"train {{ clip {number} }}\n")
    )
    return _net(use.replace("N", number), train)


def _lines(rng: random.Random) -> str:
    count = _size(rng, 20_000)
    return rng.choice(
        (
            _net("z = x" + " + 1" * count),
            _net("z = x" + " -> relu" * count),
            _net("l = [" + "1, " * count + "]"),
            _net('l = "' + "a" * count + '"'),
            _net("z = " + "a" * count),
            _net("z = " + "(" * min(count, 400) + "x" + ")" * min(count, 400)),
            _net("z = x;" * min(count, 2_000)),
            _net("{}" * count),
            _net("z = " + "{1} " * count),
            _net("if true { z = x } else " * min(count, 3_000) + "{ z = x }"),
            _net("# a\n" * count),
            _net("\n" * count + "z = zork"),
            "".join(f"let l{k} = {k}\n" for k in range(min(count, 5_000))) + _net("z = l1 + lx"),
            "".join(f"let l{k} = l{k + 1}\n" for k in range(min(count, 3_000))) + _net("z = x * l0"),
            "".join(f"block b{k}(): x -> y {{ y = x -> b{k + 1} }}\n" for k in range(min(count, 2_000)))
            + _net("z = x -> b0"),
        )
    )


_SHAPES: tuple[Callable[[random.Random], str], ...] = (
    _shared_lists,
    _scans,
    _ranks,
    _wide,
    _complaints,
    _names,
    _controls,
    _numbers,
    _lines,
)
