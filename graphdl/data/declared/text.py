"""The user's texts, for language models."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from graphdl.data.arguments import alone, at_least, fraction, one_of
from graphdl.data.declared.loader import Loader
from graphdl.settings import SettingCall

if TYPE_CHECKING:
    from graphdl.data.dataset import DataSet
    from graphdl.data.request import DataRequest
    from graphdl.data.vocabulary import Unit


def text(
    call: SettingCall,
    file: str,
    unit: str = "char",
    length: int = 64,
    vocabulary: int | None = None,
    lower: bool = False,
    step: int | None = None,
    test: float | str = 0.1,
    *,
    tokenizer: str | None = None,
) -> Loader:
    """Windows of a text: ``text`` class(v)[length], and ``next``, the token that follows each one, of the same type.

    ``unit`` is ``"char"`` or ``"word"``. A word is a run of letters and digits; every other sign that is no white space
    is a word of its own. The tokens of the training split are numbered: characters in the order of their code points,
    words from the most frequent one on, with 0 for unknown ones. ``vocabulary`` is the greatest number of entries; the
    most frequent tokens are kept, and 0 stands for the others. A character without a number is an error. Windows begin
    every ``step`` tokens (``length`` if left out). ``test`` is the fraction at the end of the text that is the test
    split, or a second file; ``validation`` is taken from the end of the rest. ``lower = true`` makes all letters small.
    The file is UTF-8, packed by gzip or not. A run stores the vocabulary. ``tokenizer`` is a ``tokenizer.json`` of the
    library ``tokenizers``, which then divides the text and numbers its tokens; it needs ``graphdl[tokenizers]``.
    """
    for name in ("group", "blocks"):
        if name in call.setting.keywords:
            message = f"'{name}' has no effect on 'text': its splits are contiguous parts of the text"
            raise call.error("E0703", message, argument=name)
    one_of(call, "unit", unit, ("char", "word"))
    if tokenizer is not None:
        alone(call, "tokenizer", ("unit", "vocabulary", "lower"))
    at_least(call, "length", length, 1)
    at_least(call, "step", length if step is None else step, 1)
    at_least(call, "vocabulary", 2 if vocabulary is None else vocabulary, 2)
    if not isinstance(test, str):
        fraction(call, "test", test)

    def load(request: DataRequest) -> DataSet:
        from graphdl.data.texts import text

        kind: Unit = "piece" if tokenizer is not None else cast("Unit", unit)
        return text(request, file, kind, length, vocabulary, lower, step or length, test, tokenizer)

    return load
