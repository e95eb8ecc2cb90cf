"""Feeds the language what nobody would write: ``python tools/fuzz.py --count 100000 --seed 0``.

Half of the inputs are mutations of real files (the models and the library), a quarter is derived at random from the
rules of ``grammar/net.lark``, and a quarter asks for much with little (``fuzz_shapes.py``). Each goes through parsing,
checking and, where it has no syntax errors, the formatter. It fails when something other than a diagnostic comes out,
when it takes more time or memory than its limits, when a message holds what could steer a terminal, when formatting
twice differs from formatting once, or when the formatted text means another network. Failures are printed with the
number that makes them again (``--only NUMBER``) and kept in a folder. The slowest and the largest input are named at
the end.
"""

from __future__ import annotations

import argparse
import random
import re
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import fuzz_shapes  # noqa: E402

from graphdl.diagnostics import Diagnostic, ModelError  # noqa: E402
from graphdl.graph.digraph import modules  # noqa: E402
from graphdl.graph.model import ModuleGraph, Node, ScanBody  # noqa: E402
from graphdl.language import check, expand  # noqa: E402
from graphdl.language.formatter import format_source  # noqa: E402
from graphdl.rendering import printable_lines, render  # noqa: E402
from graphdl.source import Source  # noqa: E402

SECONDS = 30.0
"""Of processor time that one input may take. The bound is 10 s for a check, and an input is checked three times and
expanded twice: one digit can make a network as large as the limits allow."""

MEGABYTES = 1024
"""Of memory that one input may take, beside what the process has before."""

_LARGE = ("resnet101", "resnet152", "densenet")
"""Files that say nothing that others do not, and take long to expand."""

_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|#[^\n]*|\w+|->|\.\.|==|!=|<=|>=|//|\*\*|\s+|.', re.DOTALL)

_WORDS = tuple(
    re.findall(
        r"\w+",
        """x y h n T image label f g classes stride pad channels shape training conv linear relu batchnorm softmax
        maxpool flatten lstm concat dropout embedding cross_entropy accuracy uniform zeros normal bernoulli sum mean
        max sqrt where tensor len reshape transpose stop_gradient batch_mean mnist sgd adam lr float int bool class""",
    )
)
_NUMBERS = ("0", "1", "2", "3", "4", "7", "10", "0.5", "1e-3", "1_000", "1e9", "99999999999999999999", "1e400")
_STRINGS = ('"same"', '"resnet.net"', '"nothing.net"', '"{x} and {n}"', '""', '"a\\"b"')
_SIGNS = (*'()[]{},=:;\n"\\\0\r\té𝒙', "->", "..", "##")


class OutOfTime(BaseException):
    """An input took longer than its limit. No handler of ordinary errors stops it."""


# -------------------------------------------------------------------------------------------------------------- inputs


@cache
def corpus() -> list[Source]:
    """The files that are mutated."""
    paths = [*(ROOT / "models").rglob("*.net"), *(ROOT / "graphdl" / "language" / "library").glob("*.net")]
    chosen = sorted(path for path in paths if path.stem not in _LARGE)
    return [Source(path.name, path.read_text("utf-8"), str(path)) for path in chosen]


def make(seed: int, number: int) -> Source:
    """Input ``number`` of a run, the same each time."""
    rng = random.Random(f"{seed}/{number}")
    if number % 2:
        return mutated(rng)
    return derived(rng) if number % 4 else fuzz_shapes.hostile(rng)


def mutated(rng: random.Random) -> Source:
    """A real file with one to eight changes."""
    source = rng.choice(corpus())
    tokens = _TOKEN.findall(source.text)
    if rng.random() < 0.3:  # one declaration or so: changes meet each other more often
        start = rng.randrange(len(tokens))
        tokens = tokens[start : start + rng.randrange(20, 400)]
    for _ in range(rng.randrange(1, 9)):
        place = rng.randrange(len(tokens) + 1)
        other = _TOKEN.findall(rng.choice(corpus()).text)
        length = rng.choice((1, 1, 1, 2, 3, 8, 40))
        start = rng.randrange(len(other))
        match rng.randrange(9):
            case 0:
                del tokens[place : place + length]
            case 1:
                tokens[place:place] = tokens[place : place + length]
            case 2:
                tokens[place:place] = other[start : start + length]
            case 3:
                tokens[place : place + 1] = other[start : start + 1]
            case 4:
                tokens.insert(place, rng.choice(_SIGNS))
            case 5:
                tokens[place : place + 1] = [rng.choice((*_WORDS, *_NUMBERS, *_STRINGS))]
            case 6:
                numbers = [i for i, token in enumerate(tokens) if token.isdigit()]
                if numbers:
                    tokens[rng.choice(numbers)] = rng.choice(_NUMBERS)
            case 7:
                names = [i for i, token in enumerate(tokens) if token.isidentifier()]
                if len(names) > 1:
                    one, two = rng.choice(names), rng.choice(names)
                    tokens[one], tokens[two] = tokens[two], tokens[one]
            case _:
                tokens[place:place] = [rng.choice("([{")] * rng.choice((1, 5, 300))
    return Source(source.name, "".join(tokens), source.path)


class Alternative(NamedTuple):
    """One expansion of a rule."""

    symbols: tuple[tuple[str, bool], ...]
    """Rules, and words (true)."""
    depth: int
    """Of its shallowest derivation."""

    @property
    def cost(self) -> tuple[int, int]:
        """The simplest alternative of a rule has the least."""
        return self.depth, len(self.symbols)


@cache
def grammar() -> tuple[dict[str, list[Alternative]], dict[str, str]]:
    """The rules of ``net.lark``, the simplest alternatives first, and how each word that never varies is written."""
    from lark import Lark

    text = (ROOT / "grammar" / "net.lark").read_text("utf-8")
    loaded = Lark(text, start="file", parser="lalr", keep_all_tokens=True, maybe_placeholders=False)
    expansions: dict[str, list[tuple[tuple[str, bool], ...]]] = {}
    for rule in loaded.rules:
        symbols = tuple((str(symbol.name), bool(symbol.is_term)) for symbol in rule.expansion)
        expansions.setdefault(str(rule.origin.name), []).append(symbols)
    depth = dict.fromkeys(expansions, len(expansions))

    def deepest(symbols: tuple[tuple[str, bool], ...]) -> int:
        return max([0, *(depth[symbol] for symbol, is_word in symbols if not is_word)])

    for _ in expansions:
        depth = {name: 1 + min(map(deepest, alternatives)) for name, alternatives in expansions.items()}
    rules = {
        name: sorted((Alternative(symbols, deepest(symbols)) for symbols in alternatives), key=lambda a: a.cost)
        for name, alternatives in expansions.items()
    }
    return rules, {t.name: t.pattern.value for t in loaded.terminals if t.pattern.type == "str"}


def derived(rng: random.Random) -> Source:
    """A text from the rules of the grammar, sometimes as the body of a net or block that has something to work on."""
    if rng.random() < 0.3:
        return Source(
            "derived.net", "\n".join("".join(_derive("declaration", rng)) for _ in range(rng.randrange(1, 4)))
        )
    body = "".join("".join(_derive("statement", rng)).rstrip("\n") + "\n" for _ in range(rng.randrange(1, 7)))
    frame = rng.choice((
        "net n(f = relu, n = 3) {\ninput image: [3, 8, 8]\ninput label: class(10)\ninput x: [4, 5]\n%s}\n",
        "net n() {\ninput x: [6]\n%soutput x\nloss sum(x)\n}\ntrain { batch 4 }\n",
        "block g(n = 2): x: [T, h], y = 1 -> h {\n%s h = x\n}\nnet n() { input x: [5, 3]; output x -> g(3) }\n",
    ))  # fmt: skip
    return Source("derived.net", frame % body)


def _derive(start: str, rng: random.Random) -> Iterator[str]:
    rules, words = grammar()
    stack: list[tuple[str, bool, int]] = [(start, False, rng.randrange(6, 60))]
    produced = 0
    while stack:
        symbol, is_word, budget = stack.pop()
        if is_word:
            produced += 1
            yield _written(symbol, words, rng)
            continue
        alternatives = rules[symbol]
        # Simple expressions make more sense, and so come further; without an end to them no text would end.
        if rng.random() < 0.6 or budget <= alternatives[0].depth + 1 or produced > 200:
            alternatives = [a for a in alternatives if a.cost == alternatives[0].cost]
        stack.extend((name, term, budget - 1) for name, term in reversed(rng.choice(alternatives).symbols))


def _written(name: str, words: dict[str, str], rng: random.Random) -> str:
    match name:
        case "NAME":
            return rng.choice(_WORDS) + " "
        case "NUMBER":
            return rng.choice(_NUMBERS) + " "
        case "STRING":
            return rng.choice(_STRINGS) + " "
        case "PATTERN":
            return rng.choice(("*", "*.W", "linear.b", "x*")) + " "
        case "_NEWLINE":
            return rng.choice(("\n", "\n", "\n", "; ", " # said\n", "\n\n\n"))
    return words[name] + " "


# -------------------------------------------------------------------------------------------------------------- trials


def trial(source: Source, seconds: float = SECONDS) -> tuple[str | None, bool]:
    """What goes wrong with an input, none if all is well; and whether the input is without errors."""
    valid = False
    with _time_limit(seconds):
        try:
            diagnostics = check(source)
            valid = not any(diagnostic.code.startswith("E") for diagnostic in diagnostics)
            if source.name == "hostile.net":
                check(source, settings=fuzz_shapes.settings(random.Random(source.text)))
            for diagnostic in diagnostics[:5]:
                shown = render(diagnostic, False)
                if printable_lines(shown) != shown:
                    return "a message holds what could steer a terminal", valid
            return _format_keeps_the_meaning(source, diagnostics), valid
        except OutOfTime:
            return f"takes more than {seconds:g} s", valid
        except Exception:
            return traceback.format_exc(limit=-6), valid


def _format_keeps_the_meaning(source: Source, diagnostics: list[Diagnostic]) -> str | None:
    try:
        formatted = Source(source.name, format_source(source), source.path)
    except ModelError:
        return None
    try:
        again = format_source(formatted)
    except ModelError as error:
        return f"the formatted text has syntax errors: {error}"
    if again != formatted.text:
        return "formatting twice is not formatting once"
    if any(diagnostic.code.startswith("E") for diagnostic in diagnostics):
        found = Counter(d.code for d in check(formatted))
        if found != Counter(d.code for d in diagnostics):
            return "the formatted text has other errors"
        return None
    try:
        before = expand(source)
    except ModelError:  # a file of blocks has no net
        return None
    return None if structure(before) == structure(expand(formatted)) else "the formatted text is another network"


def structure(graph: ModuleGraph) -> list[object]:
    """A module graph without its places in the text, to be compared."""

    def node(written: Node) -> object:
        plain: dict[str, object] = {}
        for key, value in written.attributes.items():
            plain[key] = [node(inner) for inner in value.nodes] if isinstance(value, ScanBody) else value
        inputs = [(value.node.id, value.index) for value in written.inputs]
        return written.operator, inputs, plain, [v.type for v in written.outputs], written.module.path, written.name

    named = [{k: v.node.id for k, v in getattr(graph, kind).items()} for kind in ("outputs", "losses", "metrics")]
    variables = [(v.path, v.type, v.initializer) for v in (*graph.parameters.values(), *graph.states.values())]
    return [[node(n) for n in graph.nodes], named, variables, [m.path for m in modules(graph.root)]]


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Of processor time: other processes do not count."""

    def ring(*_: object) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, 0.5)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@dataclass(frozen=True)
class Extremes:
    """The inputs that took most time and most memory, by their numbers."""

    seconds: float = -1.0
    slowest: int = -1
    megabytes: float = -1.0
    largest: int = -1

    def with_input(self, number: int, seconds: float, megabytes: float) -> Extremes:
        slowest = max((self.seconds, -self.slowest), (seconds, -number))
        largest = max((self.megabytes, -self.largest), (megabytes, -number))
        return Extremes(slowest[0], -slowest[1], largest[0], -largest[1])


def run(
    numbers: range, seed: int, report: Callable[[int, Source, str], None], *, seconds: float = SECONDS
) -> tuple[int, Extremes]:
    """Tries inputs. Returns how many were without errors of their own, and the slowest and the largest."""
    valid, extremes = 0, Extremes()
    for number in numbers:
        source = make(seed, number)
        _forget_peak()
        start, before = time.process_time(), peak_megabytes()
        complaint, is_valid = trial(source, seconds)
        taken = peak_megabytes() - before
        extremes = extremes.with_input(number, time.process_time() - start, taken)
        valid += is_valid
        if complaint is None and taken > MEGABYTES:
            complaint = f"takes more than {MEGABYTES} MB"
        if complaint is not None:
            report(number, source, complaint)
    return valid, extremes


def peak_megabytes() -> float:
    """The most memory that this process has had since the peak was forgotten, or at all where it cannot be."""
    try:
        status = Path("/proc/self/status").read_text("ascii")
        return int(re.findall(r"VmHWM:\s*(\d+)", status)[0]) / 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _forget_peak() -> None:
    """Starts the measurement of memory anew (Linux, ``proc(5)``); elsewhere the peak is that of the whole run."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", "ascii")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="print one input, and try it")
    parser.add_argument("--keep", type=Path, help="folder for the inputs that fail")
    options = parser.parse_args()
    if options.only is not None:
        source = make(options.seed, options.only)
        print(source.text)
        complaint, _ = trial(source)
        print(f"--- {source.path or source.name}: {complaint or 'all is well'}")
        return int(complaint is not None)
    failures: Counter[str] = Counter()

    def report(number: int, source: Source, complaint: str) -> None:
        last = complaint.strip().splitlines()[-1]
        failures[last] += 1
        if failures[last] <= 3:
            print(f"input {number} of seed {options.seed}:\n{complaint}", flush=True)
        if options.keep is not None:
            options.keep.mkdir(parents=True, exist_ok=True)
            (options.keep / f"{options.seed}_{number}.net").write_text(source.text, "utf-8")

    start = time.monotonic()
    numbers = range(options.first, options.first + options.count)
    valid, extremes = run(numbers, options.seed, report)
    taken = time.monotonic() - start
    for complaint, count in failures.most_common():
        print(f"{count:6d}  {complaint}")
    print(
        f"{options.count} inputs in {taken:.0f} s ({options.count / taken:.0f} a second), {valid} of them valid; "
        f"{failures.total()} failures; input {extremes.slowest} was the slowest ({extremes.seconds:.2f} s), input "
        f"{extremes.largest} the largest ({extremes.megabytes:.0f} MB)"
    )
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
