"""Trained nets run free: texts, translations, transcripts and sounds, token by token.

``Writer``, ``Translator``, ``Transcriber`` and ``Composer`` each take a run folder. Below them, ``steps`` runs any net
along a sequence, with its states kept.
"""

from graphdl.generating.composer import Composer, write_wav
from graphdl.generating.steps import State, Steps, steps
from graphdl.generating.trained import Trained
from graphdl.generating.transcriber import Transcriber, Transcript
from graphdl.generating.translator import Translation, Translator
from graphdl.generating.writer import Writer

__all__ = [
    "Composer",
    "State",
    "Steps",
    "Trained",
    "Transcriber",
    "Transcript",
    "Translation",
    "Translator",
    "Writer",
    "steps",
    "write_wav",
]
