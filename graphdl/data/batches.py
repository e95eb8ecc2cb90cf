"""The batches of a split, ready to be fed. Their order depends only on the seed and the epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from graphdl.data.dataset import DTYPES, Array, ArrayField, DataSet, Rows, Sizes
from graphdl.data.draws import permutation
from graphdl.data.feed import value_fault
from graphdl.data.pipeline import Pipeline
from graphdl.diagnostics import Diagnostic, Label, ModelError
from graphdl.graph.types import TensorType
from graphdl.source import Span
from graphdl.suggest import did_you_mean, nearest

_FEW = 4
"""A warning is given if an epoch leaves out more than one in this many examples."""
_NO_ROWS: Rows = np.zeros(0, np.intp)
_FEW_ELEMENTS = 1 << 22
"""The elements of a split that is checked and converted as a whole: 16 MiB of floats."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """The arrays that are fed at once: for each input ``[batch, *shape]``, contiguous, float32, int32 or bool."""

    epoch: int
    index: int
    arrays: Mapping[str, Array]
    count: int
    """The number of real examples. The rows after them repeat the last one to fill the batch."""
    sizes: Sizes = ()
    """The values of ``let``s with which the net has inputs of the arrays' lengths, if these are shorter than usual."""


class Batches:
    """The batches of one split of a data set, for the inputs of a net.

    In training, each epoch has its own order, augmentation is random, and examples that do not fill a batch are left
    out. Otherwise the order is the data set's, and the last batch is filled up. If the data set has buckets, a batch of
    training has examples of similar length, and its arrays end where the batch's bucket does.

    ``feed`` maps inputs to fields of other names. Every batch is a function of the constructor's arguments, its epoch
    and its index. Batches can be made in any order, by several threads, or again after a restart.
    """

    def __init__(
        self,
        dataset: DataSet,
        split: str,
        inputs: Mapping[str, TensorType],
        *,
        batch: int,
        training: bool,
        seed: int = 0,
        augment: Pipeline | None = None,
        feed: Mapping[str, str] | None = None,
        spans: Mapping[str, Span] | None = None,
        shorter: Mapping[int, Mapping[str, TensorType]] | None = None,
    ) -> None:
        """Checks that the fields fit the inputs. ``spans`` are the declarations of the inputs. ``shorter`` are their
        types in the data set's buckets, by length, but for the longest.

        Raises:
            ModelError: E0712, there is no such split, or it is too small; E0713, an input has no field; E0714 or E0715,
                a field has another shape or kind of element.
            ValueError: ``batch`` is less than 1.
        """
        self.dataset = dataset
        self.examples = dataset.split(split)
        self.inputs = dict(inputs)
        self.batch = batch
        self.training = training
        self.seed = seed
        self.augment = augment or Pipeline()
        self.spans = dict(spans or {})
        self.fields = self._matched(dict(feed or {}))
        self.shorter = dict(shorter or {})
        self._order: tuple[int, Rows, Rows] | None = None
        if batch < 1:
            raise ValueError(f"a batch has at least one example, not {batch}")
        if len(self) == 0:
            raise ModelError(
                Diagnostic(
                    "E0712",
                    f"the split '{split}' of '{dataset.name}' has {len(self.examples)} examples, a batch {batch}",
                    dataset.span,
                    help=f"batch {len(self.examples)}" if len(self.examples) else None,
                )
            )

    def __len__(self) -> int:
        """The number of batches of an epoch."""
        return len(self.examples) // self.batch if self.training else -(-len(self.examples) // self.batch)

    @property
    def left_out(self) -> int:
        """The number of examples that each epoch of training leaves out, because they fill no batch.

        Each epoch leaves out different ones.
        """
        return len(self.examples) % self.batch if self.training else 0

    def remainder(self) -> Diagnostic | None:
        """A warning (W0701) if each epoch leaves out more than a quarter of the examples."""
        count = len(self.examples)
        if self.left_out * _FEW <= count:
            return None
        fitting = next(size for size in range(self.batch, 0, -1) if count % size * _FEW <= count)
        return Diagnostic(
            "W0701",
            f"batches of {self.batch} do not divide the {count} examples of '{self.dataset.name}': each epoch leaves "
            f"out {self.left_out}",
            self.dataset.span,
            help=f"batch {fitting}",
        )

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from number ``start`` on."""
        for index in range(start, len(self)):
            yield self.get(epoch, index)

    def get(self, epoch: int, index: int) -> Batch:
        """Makes one batch.

        Raises:
            ModelError: E0705, a file that it needs is damaged; E0716 or E0717, it contains a value that cannot be fed.
        """
        first = index * self.batch
        order, lengths = self._planned(epoch)
        rows = order[first : first + self.batch]
        count = len(rows)
        if count < self.batch:
            rows = np.concatenate([rows, np.repeat(rows[-1:], self.batch - count)])
        if self._ready is not None:
            arrays = {name: values.take(rows, 0) for name, values in self._ready.items()}
            return self._cut(Batch(epoch, index, arrays, count), lengths)
        taken = {field: self.examples.fields[field].take(rows) for field in dict.fromkeys(self.fields.values())}
        taken = self.augment.apply(taken, training=self.training, seed=self.seed, epoch=epoch, first=first)
        arrays = {name: self._fed(name, field, taken[field], rows) for name, field in self.fields.items()}
        return self._cut(Batch(epoch, index, arrays, count), lengths)

    def _cut(self, batch: Batch, lengths: Rows) -> Batch:
        """The batch in its bucket. What is cut off is padding."""
        buckets = self.dataset.buckets
        if buckets is None or not len(lengths) or (length := int(lengths[batch.index])) not in self.shorter:
            return batch
        types = self.shorter[length]
        arrays = {
            name: array if array.shape[1:] == types[name].shape else np.ascontiguousarray(array[:, :length])
            for name, array in batch.arrays.items()
        }
        return replace(batch, arrays=arrays, sizes=((buckets.name, length),))

    @cached_property
    def _ready(self) -> dict[str, Array] | None:
        """The arrays of all examples, checked and converted, if they are few, in memory and not augmented.

        To check and convert a small batch takes as long as a training step of a small net.
        """
        fields = [self.examples.fields[field] for field in self.fields.values()]
        elements = len(self.examples) * sum(kind.size for kind in self.inputs.values())
        if self.augment.stages or elements > _FEW_ELEMENTS or not all(isinstance(x, ArrayField) for x in fields):
            return None
        rows = np.arange(len(self.examples))
        try:
            return {
                name: self._fed(name, field, self.examples.fields[field].take(rows), rows)
                for name, field in self.fields.items()
            }
        except ModelError:  # reported for the batch that has the value
            return None

    def order(self, epoch: int) -> Rows:
        """The rows of the split in the order of an epoch."""
        return self._planned(epoch)[0]

    def _planned(self, epoch: int) -> tuple[Rows, Rows]:
        """The order of an epoch, and the length of each of its batches; none if all have the same."""
        if not self.training:
            return np.arange(len(self.examples)), _NO_ROWS
        # Several threads may compute the same order at the same time, with the same result.
        known = self._order
        if known is None or known[0] != epoch:
            order = permutation(self.seed, epoch, len(self.examples))
            known = (epoch, *(self._bucketed(epoch, order) if self.shorter else (order, _NO_ROWS)))
            self._order = known
        return known[1], known[2]

    def _bucketed(self, epoch: int, order: Rows) -> tuple[Rows, Rows]:
        """Gathers the examples of a bucket in batches, and mixes the batches. What fills no batch goes into the next
        bucket.
        """
        buckets, needed = self.dataset.buckets, self.examples.lengths
        assert buckets is not None
        assert needed is not None, "an example of a data set with buckets has a length"
        bucket_of = np.searchsorted(buckets.lengths, needed[order])
        rest, batches, lengths = order[:0], [], []
        for number, length in enumerate(buckets.lengths):
            found = np.concatenate([rest, order[bucket_of == number]])
            full = len(found) // self.batch
            batches += list(found[: full * self.batch].reshape(full, self.batch))
            lengths += [length] * full
            rest = found[full * self.batch :]
        mixed = permutation(self.seed + 1, epoch, len(batches))
        return np.concatenate([*(batches[number] for number in mixed), rest]), np.array(lengths, np.intp)[mixed]

    def _fed(self, name: str, field: str, values: Array, rows: Rows) -> Array:
        def place(index: int) -> str:
            return self.examples.fields[field].place(int(rows[index])) or f"example {rows[index]} of the split"

        fault = value_fault(name, self.inputs[name], values, self.spans.get(name), place)
        if fault is not None:
            raise ModelError(fault)
        return np.ascontiguousarray(values, DTYPES[self.inputs[name].element])

    def _matched(self, feed: Mapping[str, str]) -> dict[str, str]:
        """Maps each input to its field. All errors are collected."""
        types = self.augment.types(self.examples.types)
        complaints = []
        for name in feed:
            if name not in self.inputs:
                complaints.append(
                    Diagnostic(
                        "E0713",
                        f"the net has no input '{name}' to feed",
                        self.dataset.span,
                        notes=(f"its inputs are: {_listed(self.inputs)}",),
                        help=did_you_mean(name, list(self.inputs)),
                    )
                )
        for name, kind in self.inputs.items():
            field = feed.get(name, name)
            if field not in types:
                complaints.append(
                    Diagnostic(
                        "E0713",
                        f"data set '{self.dataset.name}' has no field '{field}' for the input '{name}' ({kind})",
                        self.spans.get(name, self.dataset.span),
                        notes=(f"its fields are: {_listed(types)}",),
                        help=_feed_help(name, kind, types),
                    )
                )
            else:
                fault = self._mismatch(name, kind, field, types[field])
                if fault is not None:
                    complaints.append(fault)
        if complaints:
            raise ModelError(*complaints)
        return {name: feed.get(name, name) for name in self.inputs}

    def _mismatch(self, name: str, kind: TensorType, field: str, given: TensorType) -> Diagnostic | None:
        if given.shape != kind.shape:
            code = "E0714"
        elif not _feeds(given, kind):
            code = "E0715"
        else:
            return None
        whose = (Label(self.dataset.span, f"gives {given}"),) if self.dataset.span is not None else ()
        cure = None
        if code == "E0714" and given.size == kind.size:
            cure = f"declare it as {TensorType(given.shape, kind.element, kind.classes)}, and flatten or reshape it"
        return Diagnostic(
            code,
            f"the input '{name}' is {kind}, the field '{field}' of data set '{self.dataset.name}' is {given}",
            self.spans.get(name, self.dataset.span),
            label=f"declared {kind}",
            labels=whose,
            help=cure,
        )


def _feeds(given: TensorType, wanted: TensorType) -> bool:
    """Whether the elements of a field can be converted to those of an input. Ints that feed classes are checked for
    every batch.
    """
    if wanted.element == "float":
        return True
    if wanted.classes is not None and given.classes is not None:
        return given.classes <= wanted.classes
    if wanted.element == "int":
        return given.element in ("int", "bool")
    return given.element == "bool"


def _feed_help(name: str, kind: TensorType, types: Mapping[str, TensorType]) -> str | None:
    """A help text with the fitting field that has the nearest name, or with the only fitting field."""
    fitting = [field for field, given in types.items() if given.shape == kind.shape and _feeds(given, kind)]
    likely = nearest(name, fitting) or (fitting[0] if len(fitting) == 1 else None)
    return f"feed {name} = {likely}" if likely else None


def _listed(types: Mapping[str, TensorType]) -> str:
    return ", ".join(f"{name}: {kind}" for name, kind in types.items())
