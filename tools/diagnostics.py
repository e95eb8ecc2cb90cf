"""Writes the generated parts of docs/diagnostics.md from the fixtures: python tools/diagnostics.py

A fixture is a faulty file ``tests/language/diagnostics/CODE_what.net``, and beside it the full text of what
``graphdl check`` says of it. A test checks that the page is current, and that every code is shown.
"""

from __future__ import annotations

import re
from pathlib import Path

from graphdl.language.codes import Explanation, catalogue

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "diagnostics.md"
FIXTURES = ROOT / "tests" / "language" / "diagnostics"

FAMILIES = {
    "01": "Syntax",
    "02": "Names",
    "03": "Kinds and values",
    "04": "Shapes",
    "05": "Graph",
    "06": "Training",
}

CAUGHT: dict[str, list[tuple[str, str]]] = {
    "Names": [
        ("an undefined module, tensor or hyperparameter, with the nearest known name", "E0201 E0213"),
        ("a name that is declared twice", "E0202"),
        ("use before definition", "E0203"),
        ("an unused tensor, parameter, hyperparameter, `let` or import", "W0201 W0202 W0203 W0204"),
        ("an unknown or missing argument, or one given twice", "E0204 E0205 E0207"),
        ("too many arguments by position", "E0206"),
        ("an import cycle, which is printed", "E0209"),
        ("a missing file", "E0208"),
        ("a name that a file does not have", "E0210"),
        ("recursion without end", "E0216"),
    ],
    "Kinds": [
        ("an argument of the wrong kind: what was expected and what was found", "E0301"),
        ("a list's length against a rank", "E0303"),
        ("a stride, size or dilation that is not positive", "E0304"),
        ("a pad that is negative, or not less than the kernel", "E0304"),
        ("a probability outside of 0 to 1", "E0312"),
        ("a misspelt choice", "E0306"),
        ("a dimension that is not whole, or too large", "E0302"),
    ],
    "Shapes": [
        ("the rank", "E0402 E0410"),
        ("channels, with the places of producer and consumer", "E0408 E0411"),
        ("what does not broadcast, and in which dimension", "E0401"),
        ("concat on the other dimensions", "E0403"),
        ("the number of elements of a reshape", "E0404"),
        ("an output that shrinks to nothing", "E0405"),
        ("groups that do not divide", "E0407"),
        ("shared weights of two shapes", "E0413"),
        ("a label's shape against the loss", "E0409"),
        ("two dimension names that must be equal and are not", "E0412"),
    ],
    "Graph": [
        ("a dead branch", "W0502"),
        ("an input that nothing reads", "W0501"),
        ("an output that is never assigned", "E0501"),
        ("a parameter from which no loss can be reached", "W0503"),
        ("a parameter that no stage trains", "W0504"),
    ],
    "Numbers": [
        ("a schedule with gaps", "E0614"),
        ("a batch that is larger than the data", "E0712"),
        ("a batch that does not divide it", "W0701"),
        ("a plan larger than the device's memory, or one buffer larger than it allows", "E0801"),
        ("a limit of memory that cannot be kept", "E0803"),
    ],
    "Device": [
        ("no device", "exit-code-3"),
        ("numbers that no kernel computes with", "E0620"),
        ("an extension that is missing, or a kernel that does not compile: the compiler's words, the kernel's line, "
         "and the line of the model that asked for it", "exit-code-3"),
        ("the first node, and its line, that made a NaN or an infinity", "E0615"),
    ],
}  # fmt: skip
"""What a compiler of models should catch, and the codes that do."""


def main() -> None:
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def filled(page: str) -> str:
    """The page with its generated parts written anew."""
    for name, text in (("fixtures", fixtures()), ("caught", caught())):
        marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        page = marks.sub(lambda found, text=text: f"{found[1]}{text}\n{found[2]}", page)  # type: ignore[misc]
    return page


def shown(page: str) -> set[str]:
    """Every code that some output on the page shows."""
    return set(re.findall(r"^(?:error|warning)\[([EW]\d{4})\]", page, re.MULTILINE))


def caught() -> str:
    lines = ["| | what is caught | by |", "| --- | --- | --- |"]
    for family, rows in CAUGHT.items():
        for number, (what, codes) in enumerate(rows):
            links = ", ".join(_link(code) for code in codes.split())
            lines.append(f"| {'**' + family + '**' if not number else ''} | {what} | {links} |")
    return "\n".join(lines)


def _link(code: str) -> str:
    if code not in catalogue():
        return f"[{code.replace('-', ' ')}](#{code})"
    return f"[{code}](#{anchor(catalogue()[code])})"


def anchor(explanation: Explanation) -> str:
    """The name that GitHub gives to a code's heading."""
    heading = f"{explanation.code} {explanation.title}"
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def fixtures() -> str:
    """A section a code that has a fixture, or that the output of another's shows."""
    files = sorted(FIXTURES.glob("[EW]*.net"))
    places: dict[str, str] = {}
    for file in files:
        for code in sorted(shown(file.with_suffix(".txt").read_text(encoding="utf-8"))):
            if code not in places or (code[0] == file.name[0] and places[code][0] != code[0]):
                places[code] = file.name[:5]
    parts = []
    for family, title in FAMILIES.items():
        parts.append(f"## {title}\n")
        for explanation in catalogue().values():
            own = [file for file in files if file.name.startswith(explanation.code)]
            if explanation.code[1:3] != family or not (own or explanation.code in places):
                continue
            parts.append(f"### {explanation.code} {explanation.title}\n\n{_summary(explanation)}\n")
            parts.extend(_fixture(file) for file in own)
            if not own:
                parts.append(f"Shown with {_link(places[explanation.code])}.\n")
    return "\n".join(parts)


def _summary(explanation: Explanation) -> str:
    return explanation.text.partition("\n\n")[0]


def _fixture(file: Path) -> str:
    text = file.read_text(encoding="utf-8").rstrip("\n")
    output = file.with_suffix(".txt").read_text(encoding="utf-8").rstrip("\n")
    return f"```text\n{text}\n```\n\n```text\n{output}\n```\n"


if __name__ == "__main__":
    main()
