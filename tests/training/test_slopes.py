"""What the warning of a loss without a slope (W0503) says is what the reverse pass finds."""

import pytest

import graphdl
from graphdl.language import Source, check

FLAT = [
    "sum(sign(w))", "sum(floor(w))", "sum(ceil(w))", "sum(round(w))", "sum(w // 2)", "sum(float(w > 0))",
    "sum(where(w == x, 1.0, 2.0))", "float(argmax(w))", "sum(one_hot(argmax(w)))", "sum(float(int(w)))",
    "sum(normal_like(w))", "sum(uniform_like(w))", "sum(bernoulli(sigmoid(w)))", "float(rank_of(w, argmax(x)))",
    "float(not (w[0] > 0))", "take(x, argmax(w))", "pick(x, argmax(w))", "sum(stop_gradient(w))",
]  # fmt: skip
SLOPED = [
    "sum(w * sign(w))", "sum(w % 2)", "sum(where(w > 0, w, 0.0))", "max(w)", "pick(w, argmax(w))", "sum(abs(w))",
    "sum(w + stop_gradient(w))", "sum(relu(w))", "sum(float(w))", "sum(normal_like(w) * w)", "mean(w)",
    "sum(concat(floor(w), w))",
]  # fmt: skip


def warned(expression):
    text = f"net n {{\n input x: [3]\n param w: [3] = 1\n loss a = {expression} + 0 * sum(x)\n}}\n"
    found = [diagnostic for diagnostic in check(Source("n.net", text)) if diagnostic.code != "W0201"]
    assert not [diagnostic for diagnostic in found if diagnostic.is_error], [d.message for d in found]
    updated = "w" in graphdl.loads(text).tensors(batch=2, training=True)
    return updated, [(d.code, d.message) for d in found]


@pytest.mark.parametrize("expression", FLAT)
def test_a_loss_without_a_slope_is_warned_of(expression):
    updated, found = warned(expression)
    assert not updated
    message = "no loss reaches the parameter w"
    if "stop_gradient" not in expression:
        message = "the loss 'a' has no slope: no gradient comes from it to any parameter"
    assert found == [("W0503", message)]


@pytest.mark.parametrize("expression", SLOPED)
def test_a_loss_with_a_slope_is_not(expression):
    assert warned(expression) == (True, [])


def test_only_losses_that_are_minimized_need_a_slope():
    text = (
        "net n {\n input x: [3]\n param w: [3] = 1\n param v: [3] = 1\n"
        " loss a = sum(w * x)\n loss b = sum(sign(v))\n}\n"
        "train { data iris; minimize M; epochs 1 }\n"
    )
    found = {m: [(d.code, d.message) for d in check(Source("n.net", text.replace("M", m)))] for m in ("a", "a, b")}
    assert found == {
        "a": [("W0503", "no loss reaches the parameter v")],
        "a, b": [("W0503", "the loss 'b' has no slope: no gradient comes from it to any parameter")],
    }


@pytest.mark.parametrize(
    ("setting", "codes"), [("start t = w; only w", []), ("only w", ["W0503"])], ids=["started", "left-out"]
)
def test_a_target_network_that_starts_as_a_copy_is_meant(setting, codes):
    text = (
        "net n {\n input x: [3]\n param w: [3] = 1\n param t: [3] = 1\n"
        " loss a = (sum(w * x) - stop_gradient(sum(t * x))) ** 2\n}\n"
        f"train {{ data iris; {setting} }}\n"
    )
    assert [d.code for d in check(Source("n.net", text))] == codes


@pytest.mark.parametrize(("step", "is_sloped"), [("h + item * w[0]", True), ("h + sign(item * w[0])", False)])
def test_slopes_go_through_the_bodies_of_scans(step, is_sloped):
    text = (
        "net n {\n input x: [3]\n param w: [3] = 1\n"
        f" y, last = scan item in x, h = 0.0 * x[0] {{\n  h = {step}\n  emit h\n }}\n loss a = LOSS\n}}\n"
    )
    for loss in ("last", "sum(y)", "sum(y) + last"):
        written = text.replace("LOSS", loss)
        found = [d.code for d in check(Source("n.net", written)) if d.code != "W0201"]
        assert ("w" in graphdl.loads(written).tensors(batch=2, training=True)) == is_sloped
        assert found == ([] if is_sloped else ["W0503"])
