"""``training.epoch`` and ``training.step``: how far a stage of training has come."""

from __future__ import annotations

from graphdl.graph.model import Value
from graphdl.language import syntax
from graphdl.language.expansion.context import Expansion
from graphdl.language.expansion.faults import Fault
from graphdl.language.expansion.frames import MISSING, Scope
from graphdl.language.expansion.meaning import TRAINING, Word, meaning
from graphdl.operators import PRIMITIVES
from graphdl.suggest import did_you_mean

TIMES = {"epoch": "training_epoch", "step": "training_step"}
"""The primitive of each."""


def is_training(expression: syntax.Expression, scope: Scope) -> bool:
    """Whether an expression is the word ``training`` of the language."""
    if not isinstance(expression, syntax.Name) or expression.name != TRAINING or scope.find(TRAINING) is not MISSING:
        return False
    return isinstance(meaning(scope.frame.file, TRAINING), Word)


def time(expansion: Expansion, expression: syntax.Attribute) -> Value:
    """The value of ``training.epoch`` or ``training.step``, one node for the whole net.

    Raises:
        Fault: E0215, the name is another one; E0502, the net is expanded for inference.
    """
    if expression.name not in TIMES:
        help = did_you_mean(expression.name, TIMES) or f"it has {' and '.join(TIMES)}"
        raise Fault("E0215", f"'training' has no '{expression.name}'", expression.name_span, help=help)
    if not expansion.training:
        raise Fault(
            "E0502", f"'training.{expression.name}' is known only in training", expression.span,
            help="write if training { … } else { … }",
        )  # fmt: skip
    operator = PRIMITIVES[TIMES[expression.name]]
    builder = expansion.builder
    known = next((node for node in builder.main.nodes if node.operator == operator.name), None)
    if known is None:
        # It stands before all loops, which take it in as an outer value.
        types = operator.infer((), {})
        known = builder.node(
            operator.name, (), {}, types, expansion.graph.root, expression.span, batched=False, body=builder.main
        )
    return known.outputs[0]
