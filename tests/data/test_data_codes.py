"""Every code of the family has its long form, and no other has."""

import re
from pathlib import Path

import graphdl

PACKAGE = Path(graphdl.__file__).parent


def test_each_code_that_is_raised_is_explained():
    texts = [path.read_text("utf-8") for path in (PACKAGE / "data").rglob("*.py")]
    raised = {code for text in texts for code in re.findall(r'"([EW]07\d\d)"', text)}
    explanations = (PACKAGE / "language/codes/07_data.md").read_text("utf-8")
    assert re.findall(r"^## ([EW]\d{4}) \S", explanations, re.MULTILINE) == sorted(raised)
