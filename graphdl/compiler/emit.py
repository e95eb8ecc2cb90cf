"""From expressions to OpenCL C: one emitter writes the statements of a loop body, for vectors or for scalars."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from graphdl.compiler.expression import (
    Apply,
    Choose,
    Expression,
    Generate,
    Load,
    Number,
    Result,
    indices_of,
    walk,
)
from graphdl.graph.elements import ELEMENTS
from graphdl.graph.types import Element
from graphdl.operators.index import Guard, Index, Loaded, LoopVariable, Quotient, Remainder
from graphdl.operators.tensor import Tensor


@dataclass(frozen=True)
class Lanes:
    """``width`` lanes along the loop variable ``vector``. ``aligned``: the variable of the first lane is always a
    multiple of the width.
    """

    vector: LoopVariable
    width: int
    aligned: bool = True

    def starts_aligned(self, index: Index) -> bool:
        if not self.aligned:
            return False
        return index.constant % self.width == 0 and all(c % self.width == 0 or a == self.vector for a, c in index.terms)

    def step(self, index: Index) -> int | None:
        """The difference of ``index`` between neighbouring lanes; None if the differences are not all equal.

        A quotient by a multiple of the width is constant over the lanes. A remainder by such a multiple advances with
        its dividend.
        """
        step = 0
        for atom, coefficient in index.terms:
            match atom:
                case LoopVariable():
                    step += coefficient if atom == self.vector else 0
                case Loaded():
                    if self.vector in atom.uses:
                        return None
                case Quotient() | Remainder():
                    inner = self.step(atom.value)
                    if inner == 0:
                        continue
                    if inner != 1 or atom.divisor % self.width or not self.starts_aligned(atom.value):
                        return None
                    step += coefficient if isinstance(atom, Remainder) else 0
        return step

    def agree(self, guard: Guard) -> bool:
        """Whether a guard has the same value in all lanes."""
        step = self.step(guard.value)
        if step == 0:
            return True
        if guard.divisor or step != 1 or not self.starts_aligned(guard.value):
            return False
        low_fits = guard.value.low >= guard.low or guard.low % self.width == 0
        return low_fits and (guard.value.high < guard.high or guard.high % self.width == 0)

    def can_run(self, expressions: Sequence[Expression]) -> bool:
        """Whether all guards agree over the lanes, and every address is constant, contiguous or evenly spaced over
        them.
        """
        for expression in walk(expressions):
            if isinstance(expression, Choose) and not all(
                self.agree(guard) for guards, _ in expression.cases for guard in guards
            ):
                return False
        return all(self.step(index) is not None for index in indices_of(expressions))


def literal(value: float | int | bool, element: Element) -> str:
    if element == "bool":
        return str(int(value))
    if element == "int":
        return str(int(value)) if value > -(2**31) else "INT_MIN"
    value = float(value)
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "(-INFINITY)"
    text = f"{value:.9g}"
    text += "" if "." in text or "e" in text else ".0"
    return f"({text}f)" if value < 0 else f"{text}f"


class Pointers(Protocol):
    """The names that the text of a kernel refers to: pointers to tensors in memory, and C functions
    defined before it.
    """

    functions: dict[str, str]
    """C functions by name. The emitter adds those that it calls."""

    def locate(self, tensor: Tensor, address: Index) -> tuple[str, Index]:
        """The pointer of a tensor, and ``address`` relative to that pointer."""


class Emitter:
    """Writes C statements, for ``lanes`` or for scalars. Values that do not vary along the lanes stay scalar."""

    def __init__(
        self,
        lanes: Lanes | None,
        pointers: Pointers,
        results: Mapping[Tensor, str],
        prefix: str = "t",
    ) -> None:
        self.lanes = lanes
        self.width = lanes.width if lanes else 1
        self.pointers = pointers
        self.results = dict(results)
        self.prefix = prefix
        self.lines: list[str] = []
        self.count = 0
        self.scopes: list[dict[int, tuple[str, bool]]] = [{}]

    def value(self, expression: Expression) -> str:
        """The C name of an expression's value: a vector of ``width`` lanes, or a scalar if the width is 1."""
        text, wide = self._emit(expression)
        return text if wide or self.width == 1 else self._widen(text, expression.element)

    def _widen(self, text: str, element: Element) -> str:
        inner = f"-({text})" if element == "bool" else text
        return f"({ELEMENTS[element].register}{self.width})({inner})"

    def _emit(self, expression: Expression) -> tuple[str, bool]:
        """The C text of an expression, and whether it is a vector."""
        for scope in reversed(self.scopes):
            if id(expression) in scope:
                return scope[id(expression)]
        text, wide = self._write(expression)
        if not isinstance(expression, Number | Result | Choose):
            text = self._keep(text, expression.element, wide)
        self.scopes[-1][id(expression)] = (text, wide)
        return text, wide

    def _keep(self, text: str, element: Element, wide: bool) -> str:
        name = self._name()
        self.lines.append(f"const {self._type(element, wide)} {name} = {text};")
        return name

    def _name(self) -> str:
        self.count += 1
        return f"{self.prefix}{self.count}"

    def _type(self, element: Element, wide: bool) -> str:
        return ELEMENTS[element].register + (str(self.width) if wide and self.width > 1 else "")

    def _write(self, expression: Expression) -> tuple[str, bool]:
        match expression:
            case Number():
                return literal(expression.value, expression.element), False
            case Result():
                return self.results[expression.tensor], self.width > 1
            case Load():
                return self._load(expression)
            case Apply():
                emitted = [self._emit(x) for x in expression.operands]
                wide = any(w for _, w in emitted)
                texts = [
                    text if w or not wide else self._widen(text, x.element)
                    for (text, w), x in zip(emitted, expression.operands, strict=True)
                ]
                width = self.width if wide else 1
                self.pointers.functions.update(expression.operation.functions(width))
                return expression.operation.code(texts, width), wide
            case Generate():
                return self._generate(expression)
            case Choose():
                return self._choose(expression)
        raise AssertionError(expression)

    def index(self, index: Index) -> str:
        return index.code(self._loaded)

    def _loaded(self, atom: Loaded) -> str:
        assert isinstance(atom.expression, Expression)
        text, wide = self._emit(atom.expression)
        assert not wide, "a vector cannot steer a view"
        return text

    def _step(self, index: Index) -> int:
        if self.lanes is None:
            return 0
        step = self.lanes.step(index)
        assert step is not None, "the caller has asked can_run"
        return step

    def _load(self, load: Load) -> tuple[str, bool]:
        pointer, relative = self.pointers.locate(load.tensor, load.address)
        step = self._step(load.address)
        address = self.index(relative)
        form, truth = load.tensor.stored, load.element == "bool"
        if step == 0:
            one = form.read(pointer, address)
            return (f"({one} != 0)" if truth else one), False
        if step == 1:
            text = form.read_vector(self.width, pointer, address)
        else:
            base = self._keep(address, "int", False)
            lanes = ", ".join(form.read(pointer, f"{base} + {lane * step}") for lane in range(self.width))
            text = f"({form.register}{self.width})({lanes})"
        return (f"(convert_int{self.width}({text}) != 0)" if truth else text), True

    def _generate(self, expression: Generate) -> tuple[str, bool]:
        operands = [self._emit(x)[0] for x in expression.operands]
        step = self._step(expression.position)
        position = self.index(expression.position)
        self.pointers.functions.update(expression.operation.functions(self.width if step else 1))
        if step == 0:
            return expression.operation.code(position, operands, 1), False
        lanes = ", ".join(str(lane * step) for lane in range(self.width))
        wide = f"((int{self.width})({position}) + (int{self.width})({lanes}))"
        if expression.operation.unsigned:
            wide = f"convert_uint{self.width}({wide})"
        return expression.operation.code(wide, operands, self.width), True

    def _choose(self, choice: Choose) -> tuple[str, bool]:
        wide = self.width > 1 and self._varies(choice)
        name = self._name()
        otherwise = literal(choice.otherwise, choice.element)
        initial = self._widen(otherwise, choice.element) if wide else otherwise
        self.lines.append(f"{self._type(choice.element, wide)} {name} = {initial};")
        conditions = [" && ".join(guard.code(self._loaded) for guard in guards) or "1" for guards, _ in choice.cases]
        for position, (condition, (_, value)) in enumerate(zip(conditions, choice.cases, strict=True)):
            self.lines.append(f"{'else ' if position else ''}if ({condition}) {{")
            self.scopes.append({})
            text, is_wide = self._emit(value)
            self.lines.append(f"{name} = {text if is_wide or not wide else self._widen(text, value.element)};")
            self.scopes.pop()
            self.lines.append("}")
        return name, wide

    def _varies(self, choice: Choose) -> bool:
        return any(
            isinstance(e, Result) or (isinstance(e, Load | Generate) and self._step(_steered(e)) != 0)
            for e in walk([choice])
        )

    def keep(self, expression: Expression) -> str:
        """Declares a variable of full width that holds the value. Returns its C name."""
        return self._keep(self.value(expression), expression.element, self.width > 1)

    def rounded(self, tensor: Tensor, text: str) -> str:
        """Declares a variable with what is read of ``tensor`` after the value named ``text`` was stored. Returns its
        name.
        """
        name = self._name()
        self.lines.append(tensor.stored.rounded(self.width, name, text))
        return name

    def store(self, tensor: Tensor, pointer: str, address: Index, text: str) -> None:
        """Stores the value named ``text`` as the element of ``tensor`` at ``address``."""
        form = tensor.stored
        step = self._step(address)
        place = self.index(address)
        stored = text
        if tensor.element == "bool":
            kind = form.memory
            stored = f"convert_{kind}{self.width}(abs({text}))" if self.width > 1 else f"({kind})({text})"
        if self.width == 1:
            self.lines.append(form.write(stored, pointer, place))
        elif step == 1:
            self.lines.append(form.write_vector(self.width, stored, pointer, place))
        else:
            base = self._keep(place, "int", False)
            vector = self._name()
            self.lines.append(f"const {form.register}{self.width} {vector} = {stored};")
            digits = "0123456789abcdef"
            for lane in range(self.width):
                self.lines.append(form.write(f"{vector}.s{digits[lane]}", pointer, f"{base} + {lane * step}"))


def _steered(expression: Load | Generate) -> Index:
    return expression.address if isinstance(expression, Load) else expression.position
