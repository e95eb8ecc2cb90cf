"""A net that can run: its graphs for training and for inference, and its variables on a device."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property

import numpy as np

from graphdl.compiler.build import build
from graphdl.compiler.lowering import Lowered, lower
from graphdl.compiler.precision import FORMS, stores_of
from graphdl.compiler.program import Program, Slot
from graphdl.compiler.storage import Stores, by_element
from graphdl.data.dataset import Sizes
from graphdl.diagnostics import DeviceError
from graphdl.graph.model import ModuleGraph, Node, ScanBody, Variable
from graphdl.operators import PRIMITIVES
from graphdl.operators.initializers import initialize
from graphdl.operators.kernels.family import Choose
from graphdl.operators.tensor import Tensor
from graphdl.runtime import Device, Executor, VariableStore, open_device
from graphdl.runtime.build import Progress, unwatched
from graphdl.runtime.executor import check_limit, check_memory
from graphdl.runtime.storage import refusal
from graphdl.runtime.tuned import choice_of
from graphdl.training.optimizers.optimizer import Kept

_KEPT_EXECUTORS = 12
_LARGE = 1 << 16
"""The elements of a variable that a thread of its own draws."""


class Network:
    """The two graphs of a net, and the values of its parameters and states.

    ``expand`` makes the graph for training (true) or inference (false). The values are on the host until a program is
    loaded. From then on they are on the device, shared by all programs.
    """

    def __init__(
        self,
        expand: Callable[[bool], ModuleGraph],
        *,
        seed: int = 0,
        device: str | None = None,
        resized: Callable[[Sizes], ModuleGraph] | None = None,
    ) -> None:
        """``resized`` makes the graph for training with other values of some ``let``s, if the net has a file."""
        self._expand = expand
        self._resized = resized
        self._graphs: dict[Sizes, ModuleGraph] = {}
        self.seed = seed
        """The seed of the initial values and of random draws outside of training."""
        self._selector = device
        self._device: Device | None = None
        self._host: dict[str, np.ndarray] = {}
        self._store: VariableStore | None = None
        self._executors: dict[tuple[Hashable, Choose], Executor] = {}
        """By key and choice of kernels."""
        self._choose: Choose | None = None
        self._compiling: Progress = unwatched

    @cached_property
    def training(self) -> ModuleGraph:
        """The graph in which ``training`` is true."""
        return self._expand(True)

    @cached_property
    def inference(self) -> ModuleGraph:
        """The graph in which ``training`` is false."""
        return self._expand(False)

    def graph(self, training: bool) -> ModuleGraph:
        """The graph for training or for inference."""
        return self.training if training else self.inference

    def resized(self, sizes: Sizes) -> ModuleGraph:
        """The graph for training with other values of some ``let``s, which has the same variables."""
        if not sizes:
            return self.training
        if sizes not in self._graphs:
            assert self._resized is not None, "only a file has 'let's"
            self._graphs[sizes] = self._resized(sizes)
        return self._graphs[sizes]

    def lower(self, training: bool, batch: int, sizes: Sizes = ()) -> Lowered:
        """The operator tensors of one of the graphs for ``batch`` examples; that for training with ``sizes``."""
        return lower(self.resized(sizes) if training else self.inference, batch)

    # ------------------------------------------------------------------------------------------------- variables

    @cached_property
    def variables(self) -> Mapping[str, Variable]:
        """The parameters, followed by the states, by path."""
        graphs = (self.training, self.inference)
        parameters = {path: variable for graph in graphs for path, variable in graph.parameters.items()}
        return parameters | {path: variable for graph in graphs for path, variable in graph.states.items()}

    def read(self, name: str) -> np.ndarray:
        """A copy of the value of a variable, which may be one of an optimizer's.

        Raises:
            KeyError: there is no variable of this name.
        """
        if self._store is not None:
            return self._store[name]
        if name not in self._host:
            self._host[name] = self.initial(name)
        return self._host[name].copy()

    def write(self, name: str, value: object) -> None:
        """Overwrites a variable.

        Raises:
            KeyError: there is no variable of this name.
            ValueError: the shape or the kind of element differs.
        """
        if self._store is None:
            variable = self.variables[name]
            array = np.asarray(value)
            if array.shape != variable.type.shape:
                raise ValueError(f"'{name}' has shape {list(variable.type.shape)}, found {list(array.shape)}")
            self._host[name] = np.array(array, np.float32, order="C")
        else:
            self._store[name] = np.asarray(value, np.float32)

    def initial(self, path: str) -> np.ndarray:
        """The initial value of a parameter or state, which depends on the seed and its path."""
        variable = self.variables[path]
        key = (self.seed, zlib.crc32(path.encode()))
        return np.asarray(initialize(variable.initializer, variable.type.shape, key), np.float32)

    def add_kept(self, variables: Mapping[str, Kept]) -> None:
        """Allocates an optimizer's variables and sets their initial values."""
        self.store.add(Slot(name, variable.shape, "float") for name, variable in variables.items())
        for name, variable in variables.items():
            initial = variable.initial
            value = self.store[initial] if isinstance(initial, str) else np.full(variable.shape, initial, np.float32)
            self.store[name] = value

    def forget(self, names: Iterable[str]) -> None:
        """Frees the memory of variables, and of the programs that use them."""
        gone = {name for name in names if name in self.store}
        for name in gone:
            del self.store[name]
        kept = {key: each for key, each in self._executors.items() if gone.isdisjoint(each.program.variables)}
        self._executors = kept

    # ---------------------------------------------------------------------------------------------------- device

    @property
    def device(self) -> Device:
        """The device of the net, opened at first use.

        Raises:
            DeviceError: there is no device, or no requested one.
        """
        if self._device is None:
            self._device = open_device(self._selector)
        return self._device

    @property
    def store(self) -> VariableStore:
        """The variables on the device."""
        if self._store is None:
            self._store = self._moved(self.device)
            self._host.clear()
        return self._store

    def use(self, device: str | None) -> None:
        """Moves the net to another device. Programs made for the old device keep their values there."""
        if device is None or device == self._selector:
            return
        opened = open_device(device)
        if self._store is not None:
            before, self._executors = self._store, {}
            self._store = VariableStore(opened)
            self._store.add(before.slot(name) for name in before)
            for name, value in before.items():
                self._store[name] = value
        self._selector, self._device = device, opened

    def _moved(self, device: Device) -> VariableStore:
        store = VariableStore(device)
        store.add(Slot(path, variable.type.shape, "float") for path, variable in self.variables.items())
        self._draw()
        for path in self.variables:
            store[path] = self.read(path)
        return store

    def _draw(self) -> None:
        """Draws the initial values of large variables side by side: NumPy lets other threads run meanwhile."""
        large = {path for path, variable in self.variables.items() if variable.type.size >= _LARGE}
        missing = sorted(large - self._host.keys())
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            self._host.update(zip(missing, pool.map(self.initial, missing), strict=True))

    @property
    def choose(self) -> Choose:
        """The choice of the forms of hand-written kernels. By default it uses the tables of measured choices for the
        device.
        """
        return self._choose or choice_of(self.device.info)

    @choose.setter
    def choose(self, choose: Choose | None) -> None:
        self._choose = choose

    def compiled(
        self,
        fetches: Mapping[str, Tensor],
        updates: Mapping[str, Tensor] | None = None,
        memory: int | None = None,
        stores: Stores = by_element,
    ) -> Program:
        """A program for the device that needs at most ``memory`` bytes: see ``graphdl.compiler.build``.

        Raises:
            ModelError: a tensor is too large.
            DeviceError: E0803, the program needs more memory.
        """
        program = build(fetches, updates or {}, self.device.target, stores, self.choose, memory)
        if memory is not None:
            check_limit(program, memory)
        return program

    def stores(self, precision: str, losses: Iterable[Tensor]) -> Stores:
        """The forms in memory of the tensors of a training step in a precision.

        Raises:
            DeviceError: E0804, the device cannot read and write elements of this form.
        """
        form = FORMS[precision]
        why = refusal(self.device, form) if form.source else None
        if why is not None:
            raise DeviceError(f"{self.device.info.name} cannot compute in precision {precision}: {why}", "E0804")
        return stores_of(precision, losses)

    def load(self, program: Program) -> Executor:
        """Loads a program on the device.

        Raises:
            DeviceError: the device has too little memory (E0801, E0802). Nothing has been drawn or allocated then.
        """
        check_memory(program, self.device.info)
        return Executor(program, self.device, self.store, self._compiling, merge=True)

    @contextmanager
    def watched(self, compiling: Progress) -> Iterator[None]:
        """Calls ``compiling`` with the number of compiled kernels, and of all, while kernels are compiled."""
        before, self._compiling = self._compiling, compiling
        try:
            yield
        finally:
            self._compiling = before

    def executor(self, key: Hashable, program: Callable[[], Program]) -> Executor:
        """The executor with this key. Its program is compiled unless it is among the last ones used."""
        full = (key, self.choose)
        if full in self._executors:
            self._executors[full] = self._executors.pop(full)
        else:
            self._executors[full] = self.load(program())
            if len(self._executors) > _KEPT_EXECUTORS:
                del self._executors[next(iter(self._executors))]
        return self._executors[full]

    def discard(self, keys: Iterable[Hashable]) -> None:
        """Frees the memory of the programs with these keys."""
        gone = set(keys)
        self._executors = {full: each for full, each in self._executors.items() if full[0] not in gone}

    @cached_property
    def mixes_examples(self) -> bool:
        """Whether in inference the results of an example depend on the other examples of its batch."""
        return any(PRIMITIVES[n.operator].unbatched for n in _nodes(self.inference.nodes) if n.operator in PRIMITIVES)


def _nodes(nodes: Iterable[Node]) -> Iterable[Node]:
    """Yields the nodes, including those in the bodies of scans."""
    for node in nodes:
        yield node
        body = node.attributes.get("body")
        if isinstance(body, ScanBody):
            yield from _nodes(body.nodes)
