"""Where the elements of a resized dimension lie, against the formulas of ONNX in floats."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import pytest

from graphdl.graph.types import TensorType
from graphdl.operators import PRIMITIVES, OperatorError
from graphdl.operators.resize import COORDINATES, ROUNDINGS, places_of, rounded


def place(coordinates: str, o: int, length: int, count: int, scale: float) -> float:
    match coordinates:
        case "align_corners":
            return o * (length - 1) / (count - 1) if count > 1 else 0.0
        case "asymmetric":
            return o / scale
        case "pytorch_half_pixel" if count == 1:
            return 0.0
        case "half_pixel_symmetric":
            return length / 2 * (1 - count / (scale * length)) + (o + 0.5) / scale - 0.5
    return (o + 0.5) / scale - 0.5


@pytest.mark.parametrize("coordinates", COORDINATES)
def test_places(coordinates: str) -> None:
    for length in range(1, 8):
        for count in range(1, 12):
            for scale in (Fraction(count, length), Fraction(count * 10 + 3, length * 10)):
                places = places_of(length, count, scale, coordinates)
                for o in range(count):
                    want = place(coordinates, o, length, count, float(scale))
                    found = (o * places.step + places.offset) / places.unit
                    if length > 1 or coordinates != "align_corners":  # there, every place is that of the one element
                        assert found == pytest.approx(want), (length, count, scale, o)
                    assert places.step > 0


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_the_element_before_a_rounded_place_is_the_nearest(rounding: str) -> None:
    round_ = {
        "floor": floor,
        "ceil": ceil,
        "round_prefer_floor": lambda p: ceil(p - 0.5),
        "round_prefer_ceil": lambda p: floor(p + 0.5),
    }[rounding]
    for count in (1, 2, 3, 4, 9, 12):
        places = places_of(6, count, Fraction(count, 6), "half_pixel")
        nearest = rounded(places, rounding)
        found = [(o * nearest.step + nearest.offset) // nearest.unit for o in range(count)]
        assert found == [round_(place("half_pixel", o, 6, count, count / 6)) for o in range(count)]


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({}, "E0205"), ({"size": 0}, "E0304"), ({"scale": 0.01}, "E0304"), ({"scale": -1}, "E0304"),
        ({"size": [2, 2, 2]}, "E0303"), ({"size": [2, 2], "scale": [2.0]}, "E0303"), ({"scale": "twice"}, "E0304"),
    ],
)  # fmt: skip
def test_what_is_refused(attributes: dict[str, object], code: str) -> None:
    with pytest.raises(OperatorError) as refused:
        PRIMITIVES["resize"].infer([TensorType((1, 4))], {"size": None, "scale": None, "mode": "nearest", **attributes})
    assert refused.value.code == code
