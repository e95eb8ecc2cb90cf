"""Random programs: chains of views with computation between them, beside the same in PyTorch in double precision.

A chain starts from a feed or a variable. Each step makes a value of the last one, at times of an earlier one, so that
values are used twice. The gradients of a weighted sum of the last value are results as well, and variables get an
update. Everything a chain needs is drawn from one number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
import torch
from host_kernels import HostKernels

from graphdl.compiler.build import build
from graphdl.compiler.program import Program, Target
from graphdl.compiler.reverse import gradients
from graphdl.operators.elementwise import apply
from graphdl.operators.gather import pick, take
from graphdl.operators.matmul import matmul
from graphdl.operators.reduction import reduce
from graphdl.operators.structure import broadcast_to, concat, pad, pad_to, reshape, slice_, transpose
from graphdl.operators.tensor import Tensor, array, feed, read
from graphdl.operators.window import im2col
from graphdl.runtime.executor import Executor
from graphdl.runtime.opencl import Device
from graphdl.runtime.variables import VariableStore

LARGEST = 150
"""Elements of the largest value of a chain."""

TOLERANCE = 3e-4
"""Of the largest value that went into a result: room for single precision, not for another element."""


@dataclass(frozen=True)
class Value:
    """A value of a chain: what the compiler gets, and what it should come to."""

    tensor: Tensor
    wanted: torch.Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensor.shape


@dataclass
class Chain:
    """A random program, and what its results should be."""

    number: int
    fetches: dict[str, Tensor] = field(default_factory=dict)
    updates: dict[str, Tensor] = field(default_factory=dict)
    given: dict[str, np.ndarray] = field(default_factory=dict)
    """The values of feeds and variables by name."""
    wanted: dict[str, np.ndarray] = field(default_factory=dict)
    """The values of fetches, and of variables after the update."""
    scale: dict[str, float] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)
    undecided: bool = False
    """Whether a comparison or a maximum falls out by rounding alone: gradients then tell nothing."""

    def __str__(self) -> str:
        return f"chain {self.number}:\n  " + "\n  ".join(self.steps)


class _Writer:
    """Writes a chain, step by step."""

    def __init__(self, number: int) -> None:
        self.random = Random(number)
        self.numbers = np.random.default_rng(number)
        self.chain = Chain(number)
        self.values: list[Value] = []
        self.sources: list[tuple[str, Value]] = []
        self.largest = 1.0

    # ------------------------------------------------------------------------------ what comes from outside

    def source(self, shape: Sequence[int]) -> Value:
        name = f"c{self.chain.number}_{len(self.sources)}"
        given = self.numbers.normal(size=shape).astype(np.float32)
        self.chain.given[name] = given
        make = read if self.random.random() < 0.4 else feed
        value = Value(make(name, tuple(shape)), torch.tensor(given, dtype=torch.float64, requires_grad=True))
        self.sources.append((name, value))
        self.say(f"{name} = {make.__name__} {list(shape)}")
        return value

    def indices(self, shape: Sequence[int], count: int) -> tuple[Tensor, torch.Tensor]:
        values = self.numbers.integers(0, count, tuple(shape)).astype(np.int32)
        if self.random.random() < 0.5:
            return array(values.tolist(), "int"), torch.tensor(values, dtype=torch.long)
        name = f"c{self.chain.number}_index{len(self.chain.given)}"
        self.chain.given[name] = values
        return feed(name, tuple(shape), "int"), torch.tensor(values, dtype=torch.long)

    def say(self, text: str) -> None:
        self.chain.steps.append(text)

    def add(self, text: str, tensor: Tensor, wanted: torch.Tensor) -> Value:
        assert tensor.shape == tuple(wanted.shape), (text, tensor.shape, wanted.shape)
        self.largest = max(self.largest, float(wanted.detach().abs().max()))
        value = Value(tensor, wanted)
        self.values.append(value)
        self.say(f"{text} -> {list(tensor.shape)}")
        return value

    # ------------------------------------------------------------------------------ views

    def reshape(self, x: Value) -> Value:
        shape = self.factors(prod(x.shape))
        return self.add(f"reshape {shape}", reshape(x.tensor, shape), x.wanted.reshape(shape))

    def factors(self, size: int) -> list[int]:
        shape, rest = [], size
        while rest > 1 and len(shape) < 3:
            divisors = [n for n in range(1, rest + 1) if rest % n == 0]
            shape.append(self.random.choice(divisors))
            rest //= shape[-1]
        shape.append(rest)
        if self.random.random() < 0.2:
            shape.insert(self.random.randint(0, len(shape)), 1)
        self.random.shuffle(shape)
        return shape

    def transpose(self, x: Value) -> Value:
        order = list(range(len(x.shape)))
        self.random.shuffle(order)
        return self.add(f"transpose {order}", transpose(x.tensor, order), x.wanted.permute(order))

    def reverse(self, x: Value) -> Value:
        axis = self.axis(x)
        starts = [n - 1 if a == axis else 0 for a, n in enumerate(x.shape)]
        steps = [-1 if a == axis else 1 for a in range(len(x.shape))]
        return self.add(f"reverse {axis}", slice_(x.tensor, starts, steps, x.shape), x.wanted.flip(axis))

    def axis(self, x: Value) -> int:
        long = [a for a, n in enumerate(x.shape) if n > 1] or list(range(len(x.shape)))
        return self.random.choice(long)

    def slice(self, x: Value) -> Value:
        starts, steps, shape, wanted = [], [], [], x.wanted
        for axis, length in enumerate(x.shape):
            size = self.random.randint(max(1, length // 3), length)
            step = self.random.randint(1, max(1, (length - 1) // max(1, size - 1))) if size > 1 else 1
            step = min(step, 3)
            start = self.random.randint(0, length - 1 - (size - 1) * step)
            if self.random.random() < 0.4:
                start, step = start + (size - 1) * step, -step
            starts.append(start)
            steps.append(step)
            shape.append(size)
            wanted = wanted.index_select(axis, torch.arange(size) * step + start)
        return self.add(f"slice {starts} {steps}", slice_(x.tensor, starts, steps, shape), wanted)

    def pad(self, x: Value) -> Value:
        before = [self.random.randint(0, 2) for _ in x.shape]
        after = [self.random.randint(0, 2) for _ in x.shape]
        amount = self.random.choice([0.0, 0.0, 1.5])
        around = [n for pair in zip(reversed(before), reversed(after), strict=True) for n in pair]
        wanted = torch.nn.functional.pad(x.wanted, around, value=amount)
        return self.add(f"pad {before} {after} {amount}", pad(x.tensor, before, after, amount), wanted)

    def spread(self, x: Value) -> Value:
        """The view that is the gradient of a slice."""
        steps = [self.random.choice([1, 2, 3, -1, -2]) for _ in x.shape]
        rest = [self.random.randint(0, 1) for _ in x.shape]
        starts, shape = [], []
        for length, step, more in zip(x.shape, steps, rest, strict=True):
            reach = (length - 1) * abs(step)
            starts.append(reach + more if step < 0 else more)
            shape.append(reach + 1 + more + self.random.randint(0, 1))
        places = torch.meshgrid(
            *(s + k * torch.arange(n) for s, k, n in zip(starts, steps, x.shape, strict=True)), indexing="ij"
        )
        wanted = torch.zeros(shape, dtype=torch.float64).index_put(places, x.wanted)
        return self.add(f"spread {starts} {steps}", pad_to(x.tensor, shape, starts, steps), wanted)

    def concat(self, x: Value) -> Value:
        axis = self.random.randrange(len(x.shape))
        count = self.random.choice([2, 2, 3, 3, 9])
        pieces = [self.matched(x) if self.random.random() < 0.7 else x for _ in range(count)]
        self.random.shuffle(pieces)
        made = concat([p.tensor for p in pieces], axis)
        return self.add(f"concat of {count} along {axis}", made, torch.cat([p.wanted for p in pieces], axis))

    def matched(self, x: Value) -> Value:
        """Another value of the same shape: an earlier one, a new source, or one made of ``x``."""
        same = [v for v in self.values if v.shape == x.shape and v is not x]
        if same and self.random.random() < 0.5:
            self.say("(an earlier value)")
            return self.random.choice(same)
        size = [v for v in self.values if prod(v.shape) == prod(x.shape) and v is not x]
        if size and self.random.random() < 0.6:
            other = self.random.choice(size)
            return self.add("(an earlier value)", reshape(other.tensor, x.shape), other.wanted.reshape(x.shape))
        if self.random.random() < 0.5:
            return self.reverse(x)
        return self.source(x.shape)

    def broadcast(self, x: Value) -> Value:
        shape = [n if n > 1 or self.random.random() < 0.4 else self.random.randint(2, 4) for n in x.shape]
        if self.random.random() < 0.6:
            shape.insert(0, self.random.randint(1, 4))
        return self.add(f"broadcast {shape}", broadcast_to(x.tensor, shape), x.wanted.expand(shape))

    def take(self, x: Value) -> Value:
        shape = [self.random.randint(1, 4) for _ in range(self.random.randint(1, 2))]
        index, wanted = self.indices(shape, x.shape[0])
        return self.add(f"take {shape}", take(x.tensor, index, known=False), x.wanted[wanted])

    def pick(self, x: Value) -> Value:
        index, wanted = self.indices(x.shape[:-1], x.shape[-1])
        made = pick(x.tensor, index, known=False)
        return self.add("pick", made, x.wanted.gather(-1, wanted.unsqueeze(-1)).squeeze(-1))

    def windows(self, x: Value) -> Value:
        kernel = [self.random.randint(1, min(3, n)) for n in x.shape[-2:]]
        stride = [self.random.randint(1, 2) for _ in kernel]
        wanted = x.wanted.unfold(-2, kernel[0], stride[0]).unfold(-2, kernel[1], stride[1])
        made = im2col(x.tensor, (kernel[0], kernel[1]), (stride[0], stride[1]))
        return self.add(f"windows {kernel} {stride}", made, wanted)

    # ------------------------------------------------------------------------------ computation

    def unary(self, x: Value) -> Value:
        key = self.random.choice(["tanh", "sin", "sigmoid", "square", "relu", "negative", "twice"])
        if key == "square":
            return self.add(key, x.tensor * x.tensor, x.wanted * x.wanted)
        if key == "relu":
            self.decide(x.wanted)
            return self.add(key, apply("maximum", x.tensor, 0.0), x.wanted.relu())
        if key == "twice":
            return self.add(key, x.tensor * 2.0 + 1.0, x.wanted * 2 + 1)
        return self.add(key, apply(key, x.tensor), getattr(torch, key)(x.wanted))

    def decide(self, difference: torch.Tensor) -> None:
        """A difference whose sign rounding may change decides nothing."""
        near = difference.detach().abs()
        self.chain.undecided |= bool(((near > 0) & (near < 1e-4 * self.largest)).any())

    def binary(self, x: Value) -> Value:
        other = self.matched(x)
        key = self.random.choice(["add", "multiply", "subtract", "where"])
        if key == "where":
            self.decide(x.wanted - other.wanted)
            mask = apply("greater", x.tensor, other.tensor)
            made = apply("where", mask, x.tensor * 2.0, other.tensor)
            return self.add(key, made, torch.where(x.wanted > other.wanted, x.wanted * 2, other.wanted))
        wanted = getattr(torch, key)(x.wanted, other.wanted)
        return self.add(key, apply(key, x.tensor, other.tensor), wanted)

    def row(self, x: Value) -> Value:
        """With an operand that is broadcast."""
        shape = [n if self.random.random() < 0.6 else 1 for n in x.shape]
        other = self.source(shape)
        return self.add("times a row", x.tensor * other.tensor, x.wanted * other.wanted)

    def axes(self, x: Value) -> tuple[int, ...]:
        rank = len(x.shape)
        return tuple(sorted(self.random.sample(range(rank), self.random.randint(1, rank))))

    def sum(self, x: Value) -> Value:
        axes, keep = self.axes(x), self.random.random() < 0.5
        made = reduce("sum", x.tensor, axes, keep=keep) * 0.5
        return self.add(f"half the sum over {axes}", made, x.wanted.sum(axes, keepdim=keep) * 0.5)

    def max(self, x: Value) -> Value:
        axes = self.axes(x)
        kept = [a for a in range(len(x.shape)) if a not in axes]
        flat = x.wanted.permute(*kept, *axes).reshape(*(x.shape[a] for a in kept), -1)
        first = torch.tensor(np.argmax(flat.detach().numpy(), -1)).unsqueeze(-1)
        best = flat.gather(-1, first)
        self.decide(best - flat)
        return self.add(f"max over {axes}", reduce("max", x.tensor, axes, keep=False), best.squeeze(-1))

    def softmax(self, x: Value) -> Value:
        axis = self.axis(x)
        high = reduce("max", x.tensor, (axis,))
        e = apply("exp", x.tensor - high)
        return self.add(f"softmax {axis}", e / reduce("sum", e, (axis,)), x.wanted.softmax(axis))

    def product(self, x: Value) -> Value:
        """A product of the last two dimensions with a new matrix, or with the value's own transpose."""
        if len(x.shape) < 2:
            x = self.add("as a matrix", reshape(x.tensor, (1, x.shape[0])), x.wanted.reshape(1, -1))
        rank = len(x.shape)
        length, order = x.shape[-1], [*range(rank - 2), rank - 1, rank - 2]
        lead = x.shape[:-2]
        if self.random.random() < 0.3:
            other = Value(transpose(x.tensor, order), x.wanted.permute(order))
        else:
            other = self.source((*lead, length, self.random.randint(1, 6)))
            if self.random.random() < 0.4:
                other = self.reverse(other)
        scale = length**-0.5
        batch = prod(lead)
        a = reshape(x.tensor, (batch, *x.shape[-2:]))
        b = reshape(other.tensor, (batch, *other.shape[-2:]))
        made = reshape(matmul(a, b), (*lead, x.shape[-2], other.shape[-1])) * scale
        return self.add("product", made, x.wanted @ other.wanted * scale)

    # ------------------------------------------------------------------------------ the whole

    def write(self) -> Chain:
        shape = [self.random.randint(1, 5) for _ in range(self.random.randint(1, 4))]
        while prod(shape) > LARGEST // 2:
            shape.pop()
        x = self.source(shape)
        self.values.append(x)
        for _ in range(self.random.randint(1, 6)):
            x = self.step(x, self.VIEWS)
            if self.random.random() < 0.5:
                x = self.step(x, self.COMPUTATIONS)
        self.finish(x)
        return self.chain

    def step(self, x: Value, kinds: Sequence[Callable[[_Writer, Value], Value]]) -> Value:
        if self.random.random() < 0.12:
            self.say("(back to an earlier value)")
            x = self.random.choice(self.values)
        kind = self.random.choice(kinds)
        if not x.shape or (kind is _Writer.windows and len(x.shape) < 2):
            kind = _Writer.broadcast
        if len(x.shape) > 5 or prod(x.shape) > LARGEST:
            kind = self.random.choice((_Writer.sum, _Writer.slice))
        return kind(self, x)

    def finish(self, x: Value) -> None:
        chain, name = self.chain, f"c{self.chain.number}"
        results = {f"{name}_y": x}
        for k, value in enumerate(self.values[1:-1]):
            if self.random.random() < 0.15:
                results[f"{name}_v{k}"] = value
        weights = self.numbers.normal(size=x.shape).astype(np.float32)
        chain.given[f"{name}_weights"] = weights
        loss = reduce("sum", x.tensor * feed(f"{name}_weights", x.shape), range(len(x.shape)), keep=False)
        wanted = (x.wanted * torch.tensor(weights, dtype=torch.float64)).sum()
        wanted.backward()
        for (source, value), g in zip(self.sources, gradients(loss, [v.tensor for _, v in self.sources]), strict=True):
            slope = value.wanted.grad
            slope = torch.zeros(value.shape, dtype=torch.float64) if slope is None else slope
            results[f"{source}_slope"] = Value(g, slope)
            if source in self.variables and self.random.random() < 0.7:
                chain.updates[source] = value.tensor - g * 0.5
                chain.wanted[source] = (value.wanted - slope * 0.5).detach().numpy()
        for key, value in results.items():
            chain.fetches[key] = value.tensor
            chain.wanted[key] = value.wanted.detach().numpy()
        for key, value in chain.wanted.items():
            slopes = key.endswith("_slope") or key in chain.updates
            chain.scale[key] = max(self.largest, float(np.abs(value).max())) * (self.largest if slopes else 1.0)

    @property
    def variables(self) -> set[str]:
        return {name for name, value in self.sources if value.tensor.operation.name == "read"}

    VIEWS = (reshape, transpose, reverse, slice, pad, concat, broadcast, take, spread, pick, windows)
    # products are rare: their kernels are long, and take the views around them as all kernels do
    COMPUTATIONS = (*[unary, binary, row, sum, max, softmax] * 3, product)


def chain(number: int) -> Chain:
    """The random program of that number."""
    return _Writer(number).write()


def built(chains: Sequence[Chain], target: Target) -> Program:
    """One program of all the chains."""
    fetches = {name: tensor for c in chains for name, tensor in c.fetches.items()}
    return build(fetches, {name: tensor for c in chains for name, tensor in c.updates.items()}, target)


def on_device(chains: Sequence[Chain], device: Device, target: Target) -> dict[str, np.ndarray]:
    """The results of the chains as one program on a device."""
    given = {name: value for c in chains for name, value in c.given.items()}
    program = built(chains, target)
    store = VariableStore(device)
    executor = Executor(program, device, store, merge=True)
    for name in program.variables:
        store[name] = given[name]
    executor.run({name: given[name] for name in program.feeds})
    fetched = {name: executor.fetch(name) for name in program.fetches}
    return fetched | {name: store[name] for name in program.variables}


def on_host(chains: Sequence[Chain], target: Target) -> dict[str, np.ndarray]:
    """The results of the chains, each a program of its own, on the host."""
    programs = {c.number: built([c], target) for c in chains}
    got: dict[str, np.ndarray] = {}
    with TemporaryDirectory() as folder:
        kernels = HostKernels(list(programs.values()), Path(folder))
        for c in chains:
            got |= kernels.run(programs[c.number], c.given)
    return got


def differences(chains: Sequence[Chain], got: Mapping[str, np.ndarray]) -> dict[int, str]:
    """For each chain that comes out wrong, by number, what differs."""
    return {c.number: found for c in chains if (found := _difference(c, got))}


def _difference(chain: Chain, got: Mapping[str, np.ndarray]) -> str:
    lines = []
    for name, wanted in chain.wanted.items():
        slopes = name.endswith("_slope") or name in chain.updates
        if slopes and chain.undecided:
            continue
        error = np.abs(got[name].astype(np.float64) - wanted)
        if not np.all(error <= TOLERANCE * chain.scale[name]):
            lines.append(f"{name}: off by {error.max():.3g} at a scale of {chain.scale[name]:.3g}")
    return "; ".join(lines)
