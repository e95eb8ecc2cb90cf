"""The nearest known name."""

from functools import cache
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphdl.suggest import did_you_mean, enumerated, limited_suggestions, nearest


@pytest.mark.parametrize(
    ("name", "known", "answer"),
    [
        ("cnov", ["conv", "cos"], "conv"), ("padding", ["pad", "bias"], "pad"), ("relus", ["relu", "rnn"], "relu"),
        ("widht", ["width", "weight"], "width"), ("xyz", ["conv", "relu"], None), ("a", ["b"], None),
        ("conv", [], None), ("widht", ["classes", "widths"], "widths"),
        ("tahn", ["tan", "tanh"], "tanh"),
    ],
)  # fmt: skip
def test_the_nearest_name(name, known, answer):
    assert nearest(name, known) == answer


def test_the_help_line_quotes_as_the_message_does():
    assert did_you_mean("cnov", ["conv"]) == "did you mean 'conv'?"
    assert did_you_mean("cnov", ["conv"], "`") == "did you mean `conv`?"
    assert did_you_mean("xyz", ["conv"]) is None


def slips(a: str, b: str) -> int:
    """The optimal-string-alignment distance, by its recursive definition."""

    @cache
    def rest(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        found = min(rest(i - 1, j) + 1, rest(i, j - 1) + 1, rest(i - 1, j - 1) + (a[i - 1] != b[j - 1]))
        if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
            found = min(found, rest(i - 2, j - 2) + 1)
        return found

    return rest(len(a), len(b))


WORDS = st.text(alphabet="abc", min_size=1, max_size=7)


@given(WORDS, st.lists(WORDS, max_size=6))
def test_no_other_name_is_nearer(name, known):
    near = {}
    for word in known:
        allowed = min(max(1, max(len(name), len(word)) // 3), len(word) - 1)
        if word != name and slips(name, word) <= allowed:
            near[word] = slips(name, word)
    found = nearest(name, known)
    if near and not any(len(word) >= 3 and name.startswith(word) for word in known):
        assert near[found] == min(near.values())
    elif not near:
        assert found is None or name.startswith(found)


def test_every_pair_of_short_names_is_near_or_not():
    spelt = [*product("abc", repeat=3), *product("abc", repeat=4), *product("ab", repeat=6)]
    words = ["".join(letters) for letters in spelt]
    for name, word in product(words, words[::5]):
        near = name != word and slips(name, word) <= max(1, max(len(name), len(word)) // 3)
        found = nearest(name, [word])
        assert found == (word if near or (name != word and name.startswith(word)) else None), (name, word)


def test_a_swap_of_neighbours_is_one_slip():
    assert nearest("ocnv", ["conv"]) == "conv"
    assert nearest("voncx", ["convx"]) is None


def test_capitals_are_no_slips():
    assert nearest("RELU", ["relu"]) == "relu"


def test_a_name_written_on_yields_to_a_nearer_one():
    assert nearest("padding", ["pad", "paddings"]) == "paddings"
    assert nearest("pads", ["pad"]) == "pad"
    assert nearest("inputs_of_all", ["in", "input"]) == "input"
    assert nearest("inside", ["in"]) is None


def test_very_long_names_are_not_compared():
    assert nearest("a" * 80 + "b", ["a" * 81]) is None
    assert nearest("a" * 79 + "b", ["a" * 80]) == "a" * 80


def test_suggestions_for_one_file_end():
    known = [f"quite_a_long_name_{number:04d}" for number in range(1000)]
    with limited_suggestions():
        found = [nearest("quite_a_long_name_x000", known) for _ in range(12)]
        assert found[0] == "quite_a_long_name_0000"
        assert found[-1] is None
        assert found.index(None) > 2
        with limited_suggestions():
            assert nearest("cnov", ["conv"]) == "conv"
        assert nearest("cnov", ["conv"]) is None
    assert nearest("cnov", ["conv"]) == "conv"


def test_long_lists_are_cut():
    assert enumerated(["a", "b", "c"]) == "a, b, c"
    assert enumerated([]) == ""
    assert enumerated(map(str, range(5)), most=3) == "0, 1, 2, …"
    assert enumerated(map(str, range(3)), most=3) == "0, 1, 2"
    assert enumerated(str(n) for n in range(10**9)).endswith("19, …")
