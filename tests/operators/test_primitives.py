"""Every primitive, forward and in reverse, against PyTorch in float64 at odd sizes, and by finite differences."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as f
from primitive_runner import Operand, build_ahead, forward, forward_fetches, reverse, reverse_fetches

from graphdl.operators import PRIMITIVES
from graphdl.operators.primitive import CATEGORIES
from graphdl.runtime.opencl import Device


@dataclass(frozen=True)
class Case:
    """``shapes`` are with the batch (5) in front; a leading None marks an operand without a batch. ``draw`` makes the
    values of all operands (standard normal by default); ``reference`` gets float64 tensors with the batch in front."""

    name: str
    shapes: Sequence[tuple[Any, ...]]
    reference: Callable[..., torch.Tensor]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    draw: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray] | None = None
    whole: Mapping[int, int] = field(default_factory=dict)
    """Operands that are ints below the given count."""
    smooth: bool = True
    """Whether it has a gradient that finite differences can find."""
    tolerance: float = 2e-5

    @property
    def id(self) -> str:
        shapes = "_".join("x".join(str(n) for n in s if n is not None) or "scalar" for s in self.shapes)
        return f"{self.name}-{shapes}" + "".join(f"-{k}={v}" for k, v in self.attributes.items())

    def operands(self) -> list[Operand]:
        generator = np.random.default_rng(zlib.crc32(self.id.encode()))
        made = []
        for k, shape in enumerate(self.shapes):
            batched = not (shape and shape[0] is None)
            size = shape if batched else shape[1:]
            if k in self.whole:
                made.append(
                    Operand(generator.integers(0, self.whole[k], size).astype(np.int32), batched, self.whole[k])
                )
            else:
                values = self.draw(generator, size) if self.draw else generator.normal(size=size)
                made.append(Operand(np.asarray(values, np.float32), batched))
        return made


def positive(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return generator.uniform(0.3, 3.0, shape)


def apart_from_zero(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return generator.uniform(0.3, 2.0, shape) * generator.choice([-1, 1], shape)


def distinct(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """No two elements are near each other: extremes have a slope then."""
    size = int(np.prod(shape))
    return (generator.permutation(size).reshape(shape) - size / 2) * (6.0 / size)


def unary(name: str, reference: Callable[..., torch.Tensor], **more: Any) -> list[Case]:
    return [Case(name, [shape], reference, **more) for shape in [(5,), (5, 31), (5, 3, 7, 33)]]


def binary(name: str, reference: Callable[..., torch.Tensor], **more: Any) -> list[Case]:
    shapes: list[Sequence[tuple[Any, ...]]] = [
        [(5, 33), (5, 33)],
        [(5, 4, 17), (None, 17)],
        [(5, 4, 17), (5, 4, 1)],
        [(None, 3, 1, 7), (5, 2, 1)],
        [(5, 3), (None,)],
    ]
    return [Case(name, s, broadcasting(reference), **more) for s in shapes]


def broadcasting(reference: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Aligns the examples' dimensions from the right, with the batch apart, as the language does."""

    def aligned(*operands: torch.Tensor, batched: Sequence[bool]) -> torch.Tensor:
        rank = max(x.dim() - b for x, b in zip(operands, batched, strict=True))
        made = []
        for x, b in zip(operands, batched, strict=True):
            lead = x.shape[:1] if b else (1,)
            example = x.shape[1:] if b else x.shape
            made.append(x.reshape(*lead, *([1] * (rank - len(example))), *example))
        return reference(*made)

    return aligned


def grouped_pick(x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    return x.gather(-1, index.long().unsqueeze(-1)).squeeze(-1)


CONVOLUTIONS = {3: f.conv1d, 4: f.conv2d, 5: f.conv3d}
TRANSPOSED = {3: f.conv_transpose1d, 4: f.conv_transpose2d, 5: f.conv_transpose3d}


def padded(x: torch.Tensor, pad: Any, value: float = 0.0) -> torch.Tensor:
    """Pads the extents of images as the hyperparameter ``pad`` says."""
    each = pad if isinstance(pad, list) else [pad] * (x.dim() - 2)
    pairs = [p if isinstance(p, list) else [p, p] for p in each]
    return f.pad(x, [n for pair in reversed(pairs) for n in pair], value=value)


def product_over(x: torch.Tensor, axes: tuple[int, ...], keep: bool) -> torch.Tensor:
    for axis in sorted(axes, reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def scattered(x: torch.Tensor, index: torch.Tensor, values: torch.Tensor, axis: int, kind: str) -> torch.Tensor:
    if kind == "set":
        return x.scatter(axis, index.long(), values)
    return x.scatter_reduce(axis, index.long(), values, kind, include_self=True)


T = torch
CASES: list[Case] = [
    *unary("exp", T.exp),
    *unary("expm1", T.expm1),
    *unary("log", T.log, draw=positive),
    *unary("log1p", T.log1p, draw=positive),
    *unary("sqrt", T.sqrt, draw=positive),
    *unary("rsqrt", T.rsqrt, draw=positive),
    *unary("abs", T.abs, draw=apart_from_zero),
    *unary("sign", T.sign, draw=apart_from_zero),
    *unary("floor", T.floor, smooth=False),
    *unary("ceil", T.ceil, smooth=False),
    *unary("round", T.round, smooth=False),
    *unary("sin", T.sin),
    *unary("cos", T.cos),
    *unary("tanh", T.tanh),
    *unary("tan", T.tan, draw=lambda g, s: g.uniform(-1.3, 1.3, s)),
    *unary("asin", T.asin, draw=lambda g, s: g.uniform(-0.95, 0.95, s)),
    *unary("acos", T.acos, draw=lambda g, s: g.uniform(-0.95, 0.95, s)),
    *unary("atan", T.atan),
    *unary("sinh", T.sinh),
    *unary("cosh", T.cosh),
    *unary("asinh", T.asinh),
    *unary("acosh", T.acosh, draw=lambda g, s: g.uniform(1.1, 4.0, s)),
    *unary("atanh", T.atanh, draw=lambda g, s: g.uniform(-0.95, 0.95, s)),
    *unary("sigmoid", T.sigmoid),
    *unary("softplus", f.softplus),
    *unary("erf", T.erf),
    *unary("negative", T.neg),
    *binary("add", T.add),
    *binary("subtract", T.sub),
    *binary("multiply", T.mul),
    *binary("divide", T.div, draw=apart_from_zero),
    *binary("power", T.pow, draw=positive),
    *binary("maximum", T.maximum, draw=distinct),
    *binary("minimum", T.minimum, draw=distinct),
    *binary("floor_divide", T.floor_divide, draw=apart_from_zero, smooth=False),
    *binary("remainder", T.remainder, draw=positive, smooth=False),
    *[
        Case(name, [(5, 31)], reference, {"axis": axis, "keep": keep}, draw=distinct)
        for name, reference in (
            ("max", lambda x: x.amax(1)),
            ("min", lambda x: x.amin(1)),
        )
        for axis, keep in ((0, False), (None, False))
    ],
    *[
        Case(name, [(5, 3, 17, 9)], lambda x, op=op, d=dims, k=keep: op(x, d, k),
             {"axis": axis, "keep": keep}, draw=draw)
        for name, op, draw in (
            ("sum", T.sum, None),
            ("product", product_over, apart_from_zero),
            ("mean", T.mean, None),
            ("max", T.amax, distinct),
            ("min", T.amin, distinct),
        )
        for axis, dims in ((None, (1, 2, 3)), (0, (1,)), (-1, (3,)), ([0, 2], (1, 3)), ([1, 2], (2, 3)))
        for keep in (False, True)
    ],
    Case("batch_mean", [(5, 3, 17)], lambda x: x.mean((0, 2)), {"axis": [1]}),
    Case("batch_mean", [(5, 3, 17)], lambda x: x.mean(), {}),
    Case("batch_mean", [(5, 33)], lambda x: x.mean(0), {"axis": []}),
    Case(
        "batch_var", [(5, 3, 17)], lambda x: x.var((0, 2), unbiased=False, keepdim=True)[0],
        {"axis": [1], "keep": True},
    ),
    Case("batch_var", [(5, 33)], lambda x: x.var(0, unbiased=False), {"axis": []}),
    Case("reshape", [(5, 6, 35)], lambda x: x.reshape(5, 10, 21), {"shape": [10, 21]}),
    Case("reshape", [(5, 6, 35)], lambda x: x.reshape(5, 210), {"shape": [-1]}),
    Case("transpose", [(5, 31, 33)], lambda x: x.transpose(1, 2), {}),
    Case("transpose", [(5, 3, 7, 9)], lambda x: x.permute(0, 3, 1, 2), {"order": [2, 0, 1]}),
    Case("broadcast_to", [(5, 1, 7)], lambda x: x.unsqueeze(1).expand(5, 4, 3, 7), {"shape": [4, 3, 7]}),
    Case("broadcast_to", [(None, 7)], lambda x: x.expand(3, 7), {"shape": [3, 7]}),
    Case(
        "slice", [(5, 9, 17)], lambda x: x[:, 2:9:3, 5],
        {"starts": [2, 5], "stops": [9, 6], "steps": [3, 1], "squeeze": [1]},
    ),
    Case(
        "slice", [(5, 9, 17)], lambda x: x.flip(1)[:, 1:8:2],
        {"starts": [7, 0], "stops": [0, 17], "steps": [-2, 1], "squeeze": []},
    ),
    Case(
        "pad", [(5, 3, 7)], lambda x: f.pad(x, (2, 0, 1, 3), value=0.5),
        {"before": [1, 2], "after": [3, 0], "value": 0.5},
    ),
    *[
        Case("pad", [(5, 3, 7)], lambda x, mode=mode: f.pad(x[:, None], (4, 2, 2, 0), mode=mode)[:, 0],
             {"before": [2, 4], "after": [0, 2], "mode": ours})
        for mode, ours in (("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap"))
    ],
    Case("reverse", [(5, 7, 3)], lambda x: x.flip(1), {"axis": 0}),
    Case("reverse", [(5, 7, 19)], lambda x: x.flip(2), {"axis": -1}),
    Case("concat", [(5, 3, 9), (5, 1, 9), (5, 4, 9)], lambda *x: T.cat(x, 1), {"axis": 0}),
    Case("stack", [(5, 3, 9), (None, 3, 9), (5, 3, 9)], lambda x, w, y: T.stack([x, w.expand_as(x), y], 2),
         {"axis": 1}),
    Case("stack", [(5, 33), (5, 33)], lambda *x: T.stack(x, 2), {"axis": -1}),
    Case("concat", [(5, 3, 9), (5, 3, 33)], lambda *x: T.cat(x, 2), {"axis": -1}),
    *[
        Case(
            "max_window", [(5, 3, 13, 11)],
            lambda x, k=k, s=s, p=p: f.max_pool2d(x, k, s or k, p), {"kernel": k, "stride": s, "pad": p}, draw=distinct,
        )
        for k, s, p in ((2, None, 0), (3, 2, 1), (3, 1, 1), ([3, 2], [1, 2], [1, 0]))
    ],
    *[
        Case(
            "mean_window", [(5, 17, 13, 11)],
            lambda x, k=k, s=s, p=p, c=c: f.avg_pool2d(x, k, s or k, p, count_include_pad=c),
            {"kernel": k, "stride": s, "pad": p, "count_pad": c},
        )
        for k, s, p, c in ((2, None, 0, True), (3, 2, 1, True), (3, 2, 1, False), (3, 1, 1, False))
    ],
    Case("max_window", [(2, 3, 23)], lambda x: f.max_pool1d(padded(x, [[1, 0]], -T.inf), 3, 4, 0, 2, ceil_mode=True),
         {"kernel": 3, "stride": 4, "pad": [[1, 0]], "dilation": 2, "ceil": True}, draw=distinct),
    Case("max_window", [(2, 3, 5, 6, 7)], lambda x: f.max_pool3d(x, 3, 2, 1, ceil_mode=True),
         {"kernel": 3, "stride": 2, "pad": 1, "ceil": True}, draw=distinct),
    *[
        Case("mean_window", [(2, 3, *size)],
             lambda x, pool=pool, c=c: pool(x, 3, 2, 1, ceil_mode=True, count_include_pad=c),
             {"kernel": 3, "stride": 2, "pad": 1, "ceil": True, "count_pad": c})
        for size, pool, c in (((10,), f.avg_pool1d, True), ((9,), f.avg_pool1d, False), ((5, 6, 7), f.avg_pool3d, True))
    ],
    Case("sum_window", [(2, 3, 7, 8)], lambda x: f.avg_pool2d(x, (3, 2), 2, (1, 0), divisor_override=1),
         {"kernel": [3, 2], "stride": 2, "pad": [1, 0]}),
    Case("resize_nearest", [(5, 3, 7, 5)], lambda x: f.interpolate(x, scale_factor=3.0), {"factor": 3}),
    Case("resize_nearest", [(5, 3, 4, 2, 3)], lambda x: f.interpolate(x, scale_factor=(2.0, 1.0, 3.0)),
         {"factor": [2, 1, 3]}),
    Case("resize_nearest", [(5, 3, 7, 5)], lambda x: f.interpolate(x, scale_factor=(2.0, 3.0)), {"factor": [2, 3]}),
    *[
        Case("resize", [(2, 3, *size)],
             lambda x, to=to, mode=mode, how=how: f.interpolate(x, mode=mode, **to, **how), attributes)
        for size, to, mode, how, attributes in (
            ((5, 7), {"size": (8, 3)}, "nearest", {}, {"size": [8, 3]}),
            ((7,), {"size": 9}, "nearest-exact", {},
             {"size": 9, "coordinates": "half_pixel", "rounding": "round_prefer_ceil"}),
            ((5, 7), {"size": (3, 9)}, "bilinear", {}, {"size": [3, 9], "mode": "linear"}),
            ((5, 7), {"size": (1, 9)}, "bilinear", {"align_corners": True},
             {"size": [1, 9], "mode": "linear", "coordinates": "align_corners"}),
            ((9,), {"scale_factor": 1.7}, "linear", {}, {"scale": 1.7, "mode": "linear"}),
            ((5, 6), {"size": (9, 4)}, "bicubic", {}, {"size": [9, 4], "mode": "cubic"}),
            ((3, 11), {"size": (4, 4)}, "bicubic", {"antialias": True},
             {"size": [4, 4], "mode": "cubic", "cubic": -0.5, "antialias": True, "exclude_outside": True}),
        )
    ],
    Case("matmul", [(5, 33), (None, 33, 31)], T.matmul),
    Case("matmul", [(5, 7, 33), (None, 33, 31)], T.matmul),
    Case("matmul", [(5, 2, 7, 9), (None, 9, 3)], T.matmul),
    Case("matmul", [(5, 7, 33), (5, 33, 19)], T.matmul),
    Case("matmul", [(5, 2, 7, 9), (5, 2, 9, 3)], T.matmul),
    Case("matmul", [(None, 7, 9), (5, 9, 3)], T.matmul),
    Case("matmul", [(5, 9), (None, 9)], T.matmul),
    Case("matmul", [(5, 9), (5, 9, 3)], lambda a, b: (a.unsqueeze(1) @ b).squeeze(1)),
    *[
        Case(
            "convolve", [(5, c, 11, 13), (None, o, c // g, kh, kw)],
            lambda x, w, s=s, p=p, d=d, g=g: f.conv2d(x, w, stride=s, padding=p, dilation=d, groups=g),
            {"stride": s, "pad": p, "dilation": d, "groups": g},
        )
        for c, o, kh, kw, s, p, d, g in (
            (1, 20, 5, 5, 1, 0, 1, 1),
            (3, 17, 3, 3, 1, 1, 1, 1),
            (6, 8, 3, 3, 2, 1, 1, 2),
            (4, 33, 1, 1, 2, 0, 1, 1),
            (5, 7, 3, 2, 1, 2, 2, 1),
            (4, 6, 3, 3, [2, 3], [1, 0], 1, 2),
            (6, 6, 3, 3, 1, 1, 1, 6),
            (6, 6, 3, 3, 2, 1, 1, 6),
        )
    ],
    Case("convolve", [(5, 3, 9, 9), (None, 4, 3, 3, 3)], lambda x, w: f.conv2d(x, w, padding="same"), {"pad": "same"}),
    *[
        Case(
            "convolve_transpose", [(5, 3, 6, 7), (None, 3, 4, 3, 3)],
            lambda x, w, s=s, p=p, e=e: f.conv_transpose2d(x, w, stride=s, padding=p, output_padding=e),
            {"stride": s, "pad": p, "output_pad": e},
        )
        for s, p, e in ((1, 0, 0), (2, 1, 1), (2, 0, 0), (3, 1, 0))
    ],
    *[
        Case(
            "convolve", [(2, 6, *size), (None, 4, 6 // g, *kernel)],
            lambda x, w, s=s, p=p, d=d, g=g: CONVOLUTIONS[x.dim()](padded(x, p), w, stride=s, dilation=d, groups=g),
            {"stride": s, "pad": p, "dilation": d, "groups": g},
        )
        for size, kernel, s, p, d, g in (
            ((23,), (3,), 2, [[4, 1]], 2, 2),
            ((7, 9), (3, 2), [2, 1], [[0, 2], [1, 0]], 1, 1),
            ((5, 7, 6), (3, 2, 3), [2, 1, 2], [[1, 0], [0, 2], [2, 2]], [1, 2, 1], 2),
        )
    ],
    *[
        Case(
            "convolve_transpose", [(2, 4, *size), (None, 4, 6 // g, *kernel)],
            lambda x, w, s=s, p=p, e=e, d=d, g=g: TRANSPOSED[x.dim()](
                x, w, stride=s, padding=p, output_padding=e, dilation=d, groups=g
            ),
            {"stride": s, "pad": p, "output_pad": e, "dilation": d, "groups": g},
        )
        for size, kernel, s, p, e, d, g in (
            ((11,), (5,), 3, 1, 2, 1, 2),
            ((4, 5), (3, 2), 2, [1, 0], [1, 0], [1, 2], 2),
            ((3, 4, 5), (3, 2, 3), [2, 1, 2], [1, 0, 1], [1, 0, 0], [1, 2, 1], 2),
        )
    ],
    Case("pick", [(5, 33), (5,)], grouped_pick, whole={1: 33}),
    Case("pick", [(5, 4, 9), (5, 4)], grouped_pick, whole={1: 9}),
    Case("pick", [(5, 9, 4), (5, 4)], lambda x, i: grouped_pick(x.transpose(1, 2), i), {"axis": 0}, whole={1: 9}),
    Case("rank_of", [(5, 33), (5,)], lambda x, i: (x > grouped_pick(x, i)[:, None]).sum(1).double(),
         whole={1: 33}, smooth=False),
    Case("take", [(None, 11, 17), (5, 6)], lambda t, i: t[i.long()], whole={1: 11}),
    Case("take", [(None, 9, 11, 3), (5, 2, 4)], lambda t, i: t[:, i.long()].movedim(0, 1), {"axis": 1}, whole={1: 11}),
    Case("take", [(5, 9, 7), (5, 4)],
         lambda t, i: T.stack([a[:, b.long()] for a, b in zip(t, i, strict=True)]), {"axis": -1}, whole={1: 7}),
    Case("gather", [(5, 9, 7), (5, 9, 4)], lambda x, i: x.gather(2, i.long()), {"axis": -1}, whole={1: 7}),
    Case("gather", [(5, 9, 7), (5, 3, 7)], lambda x, i: x.gather(1, i.long()), {"axis": 0}, whole={1: 9}),
    Case("gather", [(None, 9, 7), (5, 3, 7)], lambda x, i: x.expand(5, 9, 7).gather(1, i.long()), {"axis": 0},
         whole={1: 9}),
    Case("scatter", [(5, 33), (5, 1), (5, 1)], lambda x, i, v: scattered(x, i, v, 1, "set"), whole={1: 33}),
    *[
        Case("scatter", [(5, 9, 7), (5, 9, 11), (5, 9, 11)],
             lambda x, i, v, kind=theirs: scattered(x, i, v, 2, kind), {"axis": 1, "reduce": ours}, whole={1: 7},
             draw=apart_from_zero if ours == "multiply" else distinct)
        for ours, theirs in (("add", "sum"), ("multiply", "prod"), ("maximum", "amax"), ("minimum", "amin"))
    ],
    Case("scatter", [(None, 9, 7), (5, 4, 7), (5, 4, 7)],
         lambda x, i, v: scattered(x.expand(5, 9, 7), i, v, 1, "sum"), {"axis": 0, "reduce": "add"}, whole={1: 9}),
    *[
        Case("einsum", shapes, reference, {"equation": equation})
        for equation, shapes, reference in (
            ("ij,jk->ik", [(5, 7, 9), (None, 9, 3)], lambda a, b: T.einsum("bij,jk->bik", a, b)),
            ("hqd,hkd->hqk", [(5, 2, 7, 9), (5, 2, 3, 9)], lambda a, b: T.einsum("bhqd,bhkd->bhqk", a, b)),
            ("i,j->ji", [(5, 7), (5, 9)], lambda a, b: T.einsum("bi,bj->bji", a, b)),
            ("...i,i", [(5, 2, 3, 9), (None, 9)], lambda a, b: T.einsum("b...i,i->b...", a, b)),
            ("ii->i", [(5, 7, 7)], lambda a: a.diagonal(dim1=1, dim2=2)),
            ("ij->", [(5, 7, 3)], lambda a: a.sum((1, 2))),
            ("i,ij,jk->k", [(5, 7), (5, 7, 3), (None, 3, 9)], lambda a, b, c: T.einsum("bi,bij,jk->bk", a, b, c)),
        )
    ],
    *[
        Case(name, [(5, 31), (5, 31)], reference, whole={0: 97, 1: 97}, smooth=False)
        for name, reference in (("bit_and", T.bitwise_and), ("bit_or", T.bitwise_or), ("bit_xor", T.bitwise_xor))
    ],
    Case("bit_not", [(5, 31)], T.bitwise_not, whole={0: 97}, smooth=False),
    *[
        Case(name, [(5, 31), (5, 31)], reference, whole={0: 97, 1: 7}, smooth=False)
        for name, reference in (("shift_left", T.bitwise_left_shift), ("shift_right", T.bitwise_right_shift))
    ],
    *binary("fmod", T.fmod, draw=apart_from_zero, smooth=False),
    Case("take", [(None, 11), (5,)], lambda t, i: t[i.long()], whole={1: 11}),
    Case("take", [(5, 11, 3), (5, 6)], lambda t, i: T.stack([a[b.long()] for a, b in zip(t, i, strict=True)]),
         whole={1: 11}),
    *[
        Case("cumsum", [shape], lambda x, d=d, e=e: x.cumsum(d) - (x if e else 0), {"axis": d - 1, "exclusive": e})
        for shape, d in (((5, 31), 1), ((5, 3, 7, 33), 2), ((5, 9, 17), 1))
        for e in (False, True)
    ],
    *[
        Case("cumsum", [(5, 3, 7, 9)], lambda x, e=e: x.flip(2).cumsum(2).flip(2) - (x if e else 0),
             {"axis": 1, "exclusive": e, "reverse": True})
        for e in (False, True)
    ],
    Case("cumsum", [(5, 31)], lambda i: i.cumsum(1), {"axis": -1}, whole={0: 7}, smooth=False),
    *[
        case
        for shape, d in (((5, 31), 1), ((5, 3, 7, 33), 2), ((5, 131), 1))
        for down in (False, True)
        for case in (
            Case("sort", [shape], lambda x, d=d, down=down: x.sort(d, descending=down)[0],
                 {"axis": d - 1, "descending": down}, draw=distinct),
            Case("argsort", [shape], lambda x, d=d, down=down: x.argsort(dim=d, descending=down, stable=True),
                 {"axis": d - 1, "descending": down}, smooth=False),
        )
    ],
    Case("sort", [(5, 31)], lambda i: i.sort(1)[0], {"axis": -1}, whole={0: 7}, smooth=False),
    Case("argsort", [(5, 31)], lambda i: i.argsort(dim=1, stable=True), {"axis": -1}, whole={0: 7}, smooth=False),
    Case("topk", [(5, 31)], lambda x: x.topk(7, 1)[0], {"k": 7}, draw=distinct),
    Case("topk", [(5, 3, 17, 9)], lambda x: x.topk(4, 2)[0], {"k": 4, "axis": 1}, draw=distinct),
    Case("one_hot", [(5, 3)], lambda i: f.one_hot(i.long(), 7).double(), whole={0: 7}, smooth=False),
    Case("float", [(5, 3)], lambda i: i.double(), whole={0: 7}, smooth=False),
    Case("int", [(5, 33)], lambda x: x.trunc(), smooth=False),
    Case("stop_gradient", [(5, 33)], lambda x: x.detach() + 0 * x),
    Case("class", [(5, 3)], lambda i: i.clamp(max=4).double(), {"classes": 5}, whole={0: 7}, smooth=False),
    Case("one_hot", [(5, 3)], lambda i: f.one_hot(i.long(), 9).double(), {"classes": 9}, whole={0: 7}, smooth=False),
    Case("argmin", [(5, 33)], lambda x: x.argmin(1), {"axis": -1}, smooth=False),
    Case("argmin", [(5, 9, 7)], lambda x: x.argmin(1, keepdim=True), {"axis": 0, "keep": True}, smooth=False),
    *[
        Case(name, [(5, 3, 7)], lambda x, op=op: op(x, 2, keepdim=True), {"axis": 1, "keep": True}, smooth=False,
             draw=lambda g, s, share=share: g.random(s) < share)
        for name, op, share in (("any", T.any, 0.1), ("all", T.all, 0.9))
    ],
    Case("logsumexp", [(5, 33)], lambda x: x.logsumexp(1), draw=lambda g, s: 200 * g.normal(size=s)),
    Case("logsumexp", [(5, 3, 9, 7)], lambda x: x.logsumexp((1, 3), keepdim=True), {"axis": [0, 2], "keep": True}),
    Case("argmax", [(5, 33)], lambda x: x.argmax(1), {"axis": -1}, smooth=False),
    Case("argmax", [(5, 9, 7)], lambda x: x.argmax(1), {"axis": 0}, smooth=False),
    *[
        Case(name, [(5, 31), (5, 31)], reference, smooth=False, draw=lambda g, s: g.integers(0, 3, s))
        for name, reference in (
            ("equal", T.eq), ("not_equal", T.ne), ("less", T.lt), ("less_equal", T.le), ("greater", T.gt),
            ("greater_equal", T.ge), ("logical_and", T.logical_and), ("logical_or", T.logical_or),
        )
    ],
    Case("logical_not", [(5, 31)], T.logical_not, smooth=False, draw=lambda g, s: g.integers(0, 2, s)),
    Case("where", [(5, 31), (5, 31), (None, 31)], lambda c, a, b: T.where(c != 0, a, b), whole={0: 2}),
]  # fmt: skip

BY_ID = [pytest.param(case, id=case.id) for case in CASES]


def expected(case: Case, operands: Sequence[Operand]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    tensors = []
    for operand in operands:
        tensor = torch.tensor(operand.array)
        tensors.append(tensor if operand.classes is not None else tensor.double().requires_grad_())
    if case.reference.__name__ == "aligned":
        return case.reference(*tensors, batched=[o.batched for o in operands]), tensors
    return case.reference(*tensors), tensors


@pytest.fixture(scope="module")
def compiled(request: pytest.FixtureRequest, device: Device) -> None:
    """The kernels of all cases that this process is to test."""
    tests = [item for item in request.session.items if isinstance(item, pytest.Function) and item.path == request.path]
    cases = [item.callspec.params["case"] for item in tests if hasattr(item, "callspec")]
    results = []
    for case in cases:
        operands = case.operands()
        results.append(forward_fetches(case.name, operands, case.attributes))
        if case.smooth:
            results.append(reverse_fetches(case.name, operands, case.attributes))
    build_ahead(results, device)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("case", BY_ID)
def test_agrees_with_pytorch_and_finite_differences(case: Case, device: Device) -> None:
    operands = case.operands()
    y, tensors = expected(case, operands)
    want = y.detach().numpy()
    value = forward(case.name, operands, case.attributes, device)
    assert value.shape == want.shape
    np.testing.assert_allclose(value, want, rtol=case.tolerance, atol=case.tolerance)
    if not case.smooth:
        return
    generator = np.random.default_rng(1)
    upstream = generator.normal(size=y.shape).astype(np.float32)
    y.backward(torch.tensor(upstream).double())
    got = reverse(case.name, operands, case.attributes, upstream, device)
    wanted = [t.grad.numpy() if t.grad is not None else np.zeros(t.shape) for t in tensors if t.requires_grad]
    for ours, theirs in zip(got, wanted, strict=True):
        scale = max(1.0, float(np.abs(theirs).max()))
        np.testing.assert_allclose(ours, theirs, rtol=10 * case.tolerance, atol=case.tolerance * scale)
    if case.name != "stop_gradient":
        _check_by_differences(case, operands, upstream, got, device)


def _check_by_differences(
    case: Case, operands: Sequence[Operand], upstream: np.ndarray, gradients: Sequence[np.ndarray], device: Device
) -> None:
    """The slope along one random direction, from two forward runs of our own."""
    generator = np.random.default_rng(2)
    step = 1e-3 if case.draw is distinct else 4e-3
    directions = [generator.choice([-1.0, 1.0], o.array.shape) if o.classes is None else None for o in operands]

    def value(sign: float) -> float:
        moved = [
            o if d is None else Operand((o.array + sign * step * d).astype(np.float32), o.batched, o.classes)
            for o, d in zip(operands, directions, strict=True)
        ]
        return float(np.sum(forward(case.name, moved, case.attributes, device).astype(np.float64) * upstream))

    slope = (value(1.0) - value(-1.0)) / (2 * step)
    floats = [d for d in directions if d is not None]
    predicted = sum(float(np.sum(g.astype(np.float64) * d)) for g, d in zip(gradients, floats, strict=True))
    size = sum(float(np.sum(np.abs(g * d))) for g, d in zip(gradients, floats, strict=True)) / np.sqrt(upstream.size)
    assert abs(slope - predicted) <= 0.01 * max(1.0, abs(predicted), size)


def test_every_primitive_has_a_case() -> None:
    tested = {case.name for case in CASES} | {"bernoulli", "uniform_like", "normal_like", "batch_count", "fill"}
    of_training = {"training_epoch", "training_step"}  # feeds of a step: see training/test_clock_and_ties.py
    assert tested | of_training == set(PRIMITIVES)


def test_every_primitive_has_a_category() -> None:
    assert {name for name, primitive in PRIMITIVES.items() if primitive.category not in CATEGORIES} == set()


def test_fill_and_batch_count(device: Device) -> None:
    np.testing.assert_array_equal(forward("fill", [], {"shape": [3, 5], "value": 0.25}, device), np.full((3, 5), 0.25))
    np.testing.assert_array_equal(forward("batch_count", [], {}, device), 1.0)


class TestRandomDraws:
    def test_uniform_draws_are_uniform_and_differ_by_step(self, device: Device) -> None:
        x = [Operand(np.zeros((97, 1031), np.float32))]
        first, again, other = (forward("uniform_like", x, {}, device, seed=s) for s in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert (first != other).mean() > 0.99
        assert first.min() >= 0.0
        assert first.max() < 1.0
        counts = np.histogram(first, 32, (0, 1))[0]
        expected_count = first.size / 32
        assert ((counts - expected_count) ** 2 / expected_count).sum() < 62  # chi-squared, 31 degrees, p < 0.001
        assert abs(np.corrcoef(first[:, :-1].ravel(), first[:, 1:].ravel())[0, 1]) < 0.01

    def test_normal_draws_have_the_moments_of_the_normal_law(self, device: Device) -> None:
        y = forward("normal_like", [Operand(np.zeros((97, 1031), np.float32))], {}, device)
        assert abs(y.mean()) < 0.02
        assert abs(y.std() - 1) < 0.02
        assert abs((y**4).mean() - 3) < 0.15

    def test_bernoulli_draws_hit_as_often_as_asked(self, device: Device) -> None:
        p = np.broadcast_to(np.linspace(0, 1, 5, dtype=np.float32), (20011, 5)).copy()
        y = forward("bernoulli", [Operand(p)], {}, device)
        assert set(np.unique(y)) == {0.0, 1.0}
        np.testing.assert_allclose(y.mean(0), p[0], atol=0.02)
        assert y[:, 0].max() == 0.0
        assert y[:, 4].min() == 1.0
