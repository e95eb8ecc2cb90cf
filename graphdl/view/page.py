"""The interactive page: one HTML file with the data, the program that draws it, and a layout library."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from graphdl import strict_json
from graphdl.resources import resource

_FOLDER = "tools/visualizer"
_SCRIPTS = (
    "graph.js", "colors.js", "layout.js", "canvas.js", "panels.js", "overlays.js", "sheets.js", "app.js", "compare.js",
    "main.js",
)  # fmt: skip


def page(title: str, bundle: Mapping[str, Any], *, follows: bool = False) -> str:
    """The page of a bundle: ``documents`` (one, or two to compare), and their measurements.

    Its content-security policy allows only its own script and no requests. A page that ``follows`` a run may send
    requests to its server.
    """
    script = _script()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    parts = {
        "policy": f"'sha256-{digest}'",
        "connect": "'self'" if follows else "'none'",
        "title": html.escape(title),
        "style": _read("style.css"),
        "data": _embedded(bundle),
        "script": script,
    }
    pieces = _read("page.html")
    filled, rest = "", pieces
    for name in ("policy", "connect", "title", "style", "data", "script"):
        before, _, rest = rest.partition("{" + name + "}")
        filled += before + parts[name]
    return filled + rest


def _embedded(bundle: Mapping[str, Any]) -> str:
    """JSON that cannot end the script element around it: the characters with a meaning in HTML and JavaScript are
    escaped.

    Numbers that are not finite become null.
    """
    finite = strict_json.finite(bundle)
    text = json.dumps(finite, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


@cache
def _script() -> str:
    library = f"/*! dagre 3.1.3\n{_read('dagre.LICENSE')}*/\n{_read('dagre.min.js')}"
    return library + '\n(() => {\n"use strict";\n' + "\n".join(map(_read, _SCRIPTS)) + "\n})();\n"


def _read(name: str) -> str:
    return resource(f"{_FOLDER}/{name}").read_text("utf-8")
