"""Syntax trees: every form of the language, precedence, places, speed."""

import time

import pytest
from trees import body, expression, plain, show, spans, tree

from graphdl.language import syntax
from graphdl.language.parser import parse
from graphdl.source import Source

LENET = """
# LeNet-5 (LeCun et al., 1998)
net lenet(classes = 10) {
    input image: [1, 28, 28]
    input label: class(classes)

    features = image -> conv(20, 5) as c1 -> maxpool(2)
                     -> conv(50, 5) as c2 -> maxpool(2)
    logits = features -> flatten -> linear(500) -> relu -> linear(classes)

    output probability = softmax(logits)
    loss cross_entropy(logits, label)
    metric accuracy(logits, label)
}

train {
    data mnist
    optimizer sgd(lr = 0.01, momentum = 0.9, weight_decay = 5e-4)
    schedule step(every = 5, factor = 0.1)
    batch 64
    epochs 10
}
"""

BLOCKS = """
import "blocks.net"                        # its blocks, by name
import "resnet.net" as resnet              # resnet.bottleneck

block residual(channels, stride = 1): x -> y {
    main = x -> conv(channels, 3, stride = stride, pad = 1, bias = false) -> batchnorm -> relu
             -> conv(channels, 3, pad = 1, bias = false) -> batchnorm
    skip = x if stride == 1 and x.channels == channels
           else x -> conv(channels, 1, stride = stride, bias = false) -> batchnorm
    y = relu(main + skip)
}

block inception(n1, r3, n3, r5, n5, proj): x -> y {
    y = concat(x -> conv(n1, 1) -> relu,
               x -> conv(r3, 1) -> relu -> conv(n3, 3, pad = 1) -> relu,
               x -> conv(r5, 1) -> relu -> conv(n5, 5, pad = 2) -> relu,
               x -> maxpool(3, stride = 1, pad = 1) -> conv(proj, 1) -> relu)
}

# A layer in the language itself: dimension names bind, and are checked.
block linear(units, bias = true): x: [.., n] -> y: [.., units] {
    param W: [n, units] = uniform(-1 / sqrt(n), 1 / sqrt(n))
    y = x @ W
    if bias {
        param b: [units] = uniform(-1 / sqrt(n), 1 / sqrt(n))
        y = y + b
    }
}

block elman(units): x: [T, n], start: [units] = zeros([units]) -> y: [T, units], last: [units] {
    inward = linear(units)                 # a module, named: used twice, it would share its parameters
    back = linear(units, bias = false)
    y, last = scan xt in x, h = start {
        h = tanh((xt -> inward) + (h -> back))
        emit h
    }
}

block vgg_stage(widths): x -> y {
    y = x -> [conv(w, 3, pad = 1) -> relu for w in widths] -> maxpool(2)
}
"""


def test_a_net_and_its_training():
    net, train = tree(LENET)
    assert (net.name, [(h.name, show(h.default)) for h in net.hypers]) == ("lenet", [("classes", "10")])
    image, label, features, logits, output, loss, metric = net.body
    assert (image.word, image.name, show(image.type)) == ("input", "image", "float[1, 28, 28]")
    assert (label.word, label.name, show(label.type)) == ("input", "label", "class(classes)[]")
    assert features.names[0].name == "features"
    assert show(features.value) == (
        "((((image -> (conv(20, 5) as c1)) -> maxpool(2)) -> (conv(50, 5) as c2)) -> maxpool(2))"
    )
    assert show(logits.value) == "((((features -> flatten) -> linear(500)) -> relu) -> linear(classes))"
    assert (output.word, output.name, show(output.value)) == ("output", "probability", "softmax(logits)")
    assert (loss.word, loss.name, show(loss.value)) == ("loss", None, "cross_entropy(logits, label)")
    assert (metric.word, metric.name, show(metric.value)) == ("metric", None, "accuracy(logits, label)")
    assert train.name is None
    assert [(s.word, s.name, *map(show, s.values)) for s in train.settings] == [
        ("data", None, "mnist"),
        ("optimizer", None, "sgd(lr=0.01, momentum=0.9, weight_decay=0.0005)"),
        ("schedule", None, "step(every=5, factor=0.1)"),
        ("batch", None, "64"),
        ("epochs", None, "10"),
    ]


def test_imports_and_blocks():
    blocks, resnet, residual, inception, linear, elman, vgg_stage = tree(BLOCKS)
    assert (blocks.path, blocks.alias, blocks.path_span.text) == ("blocks.net", None, '"blocks.net"')
    assert (resnet.path, resnet.alias) == ("resnet.net", "resnet")

    assert [(h.name, h.default and show(h.default)) for h in residual.hypers] == [("channels", None), ("stride", "1")]
    assert [(p.name, p.type, p.default) for p in residual.inputs + residual.outputs] == [
        ("x", None, None),
        ("y", None, None),
    ]
    assert show(residual.body[1].value) == (
        "(x if ((stride == 1) and (x.channels == channels)) else"
        " ((x -> conv(channels, 1, stride=stride, bias=false)) -> batchnorm))"
    )
    assert show(inception.body[0].value).startswith("concat(((x -> conv(n1, 1)) -> relu), ((((x -> conv(r3, 1))")

    assert [show(p.type) for p in linear.inputs + linear.outputs] == ["float[.., n]", "float[.., units]"]
    weight, product, branch = linear.body
    assert (weight.word, show(weight.type)) == ("param", "float[n, units]")
    assert show(weight.value) == "uniform(((- 1) / sqrt(n)), (1 / sqrt(n)))"
    assert show(product.value) == "(x @ W)"
    assert show(branch.condition) == "bias"
    assert [s.word if isinstance(s, syntax.Declare) else s.names[0].name for s in branch.then] == ["param", "y"]
    assert branch.otherwise == ()

    assert [(p.name, show(p.type), p.default and show(p.default)) for p in elman.inputs] == [
        ("x", "float[T, n]", None),
        ("start", "float[units]", "zeros([units])"),
    ]
    assert [(p.name, show(p.type)) for p in elman.outputs] == [("y", "float[T, units]"), ("last", "float[units]")]
    scan = elman.body[2]
    assert [n.name for n in scan.names] == ["y", "last"]
    assert show(scan.value) == "scan xt in x, h = start {2}"
    assert show(scan.value.body[0].value) == "tanh(((xt -> inward) + (h -> back)))"
    assert [show(v) for v in scan.value.body[1].values] == ["h"]

    assert show(vgg_stage.body[0].value) == ("((x -> [(conv(w, 3, pad=1) -> relu) for w in widths]) -> maxpool(2))")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("a or b and not c == d", "(a or (b and (not (c == d))))"),
        ("a if b or c else d if e else f", "(a if (b or c) else (d if e else f))"),
        ("x -> f if c else y -> g", "((x -> f) if c else (y -> g))"),
        ("a or b -> f", "((a or b) -> f)"),
        ("a + b -> f -> g", "(((a + b) -> f) -> g)"),
        ("x -> (f -> g)", "(x -> (f -> g))"),
        ("x -> (a + b)", "(x -> (a + b))"),
        ("(x -> f) + x", "((x -> f) + x)"),
        ("a + b * c - d", "((a + (b * c)) - d)"),
        ("a * b / c // d % e @ f", "(((((a * b) / c) // d) % e) @ f)"),
        ("-a ** 2", "(- (a ** 2))"),
        ("2 ** -1", "(2 ** (- 1))"),
        ("a ** b ** c", "(a ** (b ** c))"),
        ("-a * -b", "((- a) * (- b))"),
        ("- -a", "(- (- a))"),
        ("+a", "(+ a)"),
        ("not not a", "(not (not a))"),
        ("a < b + 1 and c >= d", "((a < (b + 1)) and (c >= d))"),
        ("a != b", "(a != b)"),
        ("0..n - 1", "(0 .. (n - 1))"),
        ("0..4", "(0 .. 4)"),
        ("a.b.c(1)[2].d", "a.b.c(1)[2].d"),
        ("f(1)(x)", "f(1)(x)"),
        ("-x[0]", "(- x[0])"),
        ("f(x)[0] ** 2", "(f(x)[0] ** 2)"),
        ("x -> f as g -> h", "((x -> (f as g)) -> h)"),
        ("conv(64) as c -> relu", "((conv(64) as c) -> relu)"),
        ("f(x -> g as h)", "f((x -> (g as h)))"),
        ("x -> resnet.bottleneck(64)", "(x -> resnet.bottleneck(64))"),
        ("x -> mods[0]", "(x -> mods[0])"),
        ("x -> [a, b(1)]", "(x -> [a, b(1)])"),
        ("(a, b) -> f", "(<a, b> -> f)"),
        ("(a,)", "<a>"),
        ("((a))", "a"),
        ("(a, b, c,)", "<a, b, c>"),
        ("[]", "[]"),
        ("[1, 2,]", "[1, 2]"),
        ("[f(k) for k in list if k > 2]", "[f(k) for k in list if (k > 2)]"),
        ("[a if b else c for i, j in pairs]", "[(a if b else c) for i, j in pairs]"),
        ("f()", "f()"),
        ("f(a, b = 1, c = x -> g,)", "f(a, b=1, c=(x -> g))"),
        ("x[0]", "x[0]"),
        ("x[:, 1:3]", "x[::, 1:3:]"),
        ("x[::2, a:, :b, c:d:e]", "x[::2, a::, :b:, c:d:e]"),
        ("x[-1]", "x[(- 1)]"),
        ("repeat 3 { conv(64, 3, pad = 1) -> relu }", "repeat 3 {(conv(64, 3, pad=1) -> relu)}"),
        ("x -> repeat n - 1 { f } as g -> h", "((x -> (repeat (n - 1) {f} as g)) -> h)"),
        ("scan t in x, u in y -> g, h = s { emit t }", "scan t in x, u in (y -> g), h = s {1}"),
        ("none", "none"),
        ("true and false", "(true and false)"),
        ('"a\\n\\t\\"\\\\b"', repr('a\n\t"\\b')),
        ("1_000", "1000"),
        ("0.5", "0.5"),
        ("5e-4", "0.0005"),
        ("1E3", "1000.0"),
        ("loss + input(train)", "(loss + input(train))"),
    ],
)
def test_how_expressions_are_read(text, read):
    assert expression(text) == read


def test_an_expression_may_go_over_lines_in_brackets():
    assert expression("f(\n  a,\n  # why\n  b\n)") == "f(a, b)"
    assert expression("x -> repeat 2 {\n  f\n  -> g\n} -> h") == "((x -> repeat 2 {(f -> g)}) -> h)"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("[3, 224, 224]", "float[3, 224, 224]"),
        ("int[length]", "int[length]"),
        ("bool[n]", "bool[n]"),
        ("float[2 * n]", "float[(2 * n)]"),
        ("class(10)", "class(10)[]"),
        ("class(vocab)[length]", "class(vocab)[length]"),
        ("[.., n]", "float[.., n]"),
        ("[c, ..]", "float[c, ..]"),
        ("[]", "float[]"),
        ("int", "int[]"),
    ],
)
def test_types(text, read):
    (declare,) = body(f"input x: {text}")
    assert show(declare.type) == read


def test_statements():
    a, several, typed, either, loop, check, bare_check, update, alone = body(
        """
        a = 1
        a, _, b = f(x), g
        y: [10] = x
        if a { b = 1 } else if c { } else { b = 2; c = 3 }
        for w, v in [64, 128] { x = x -> conv(w) }
        assert n > 0, "n is {n}"
        assert n
        update mean = 0.9 * mean
        x -> f as g
        """
    )
    assert ([n.name for n in a.names], show(a.value)) == (["a"], "1")
    assert ([n.name for n in several.names], show(several.value)) == (["a", "_", "b"], "<f(x), g>")
    assert show(typed.type) == "float[10]"
    assert len(either.then) == 1
    (other,) = either.otherwise
    assert isinstance(other, syntax.If)
    assert (other.then, len(other.otherwise)) == ((), 2)
    assert (loop.names, show(loop.iterable), len(loop.body)) == (("w", "v"), "[64, 128]", 1)
    assert (show(check.condition), check.message.value) == ("(n > 0)", "n is {n}")
    assert bare_check.message is None
    assert (update.name, update.name_span.text, show(update.value)) == ("mean", "mean", "(0.9 * mean)")
    assert isinstance(alone, syntax.Evaluate)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("input x: [3]", ("input", "x", "float[3]", None)),
        ("param W: [n] = normal(0, 1)", ("param", "W", "float[n]", "normal(0, 1)")),
        ("state mean: [n] = zeros()", ("state", "mean", "float[n]", "zeros()")),
        ("output y", ("output", None, None, "y")),
        ("output y = f(x)", ("output", "y", None, "f(x)")),
        ("output y: [3] = f(x)", ("output", "y", "float[3]", "f(x)")),
        ("output x -> f", ("output", None, None, "(x -> f)")),
        ("loss mean(x)", ("loss", None, None, "mean(x)")),
        ("loss total = a + b", ("loss", "total", None, "(a + b)")),
        ("metric accuracy(a, b)", ("metric", None, None, "accuracy(a, b)")),
    ],
)
def test_declarations_of_a_body(text, read):
    (node,) = body(text)
    assert (node.word, node.name, node.type and show(node.type), node.value and show(node.value)) == read


@pytest.mark.parametrize("word", ["input", "param", "state", "output", "loss", "metric", "update", "emit", "assert"])
def test_soft_words_are_free_as_names(word):
    first, second, third = body(f"{word} = f(x)\n{word}, b = g\ny = {word} -> h")
    assert first.names[0].name == second.names[0].name == word
    assert show(third.value) == f"({word} -> h)"


def test_emit_takes_several_values():
    (statement,) = body("y, z = scan t in x { emit t, f(t) }")
    (emit,) = statement.value.body
    assert [show(v) for v in emit.values] == ["t", "f(t)"]


def test_settings():
    (train,) = tree(
        """
        train pretrain {
            data csv("a.csv", label = "kind")
            augment flip, crop(4)
            feed image = field
            minimize reconstruction, total
            only encoder.*, *.W, "head.b"
            schedule warmup(5) -> cosine(10)
        }
        """
    )
    assert train.name == "pretrain"
    assert [(s.word, s.name, *map(show, s.values)) for s in train.settings] == [
        ("data", None, "csv('a.csv', label='kind')"),
        ("augment", None, "flip", "crop(4)"),
        ("feed", "image", "field"),
        ("minimize", None, "reconstruction", "total"),
        ("only", None, "'encoder.*'", "'*.W'", "'head.b'"),
        ("schedule", None, "(warmup(5) -> cosine(10))"),
    ]


def test_turns_and_settings_of_parameters():
    (train,) = tree(
        """train fine for words {
            rate encoder.*, head.W = 0.1 / 2
            turn critic { steps 5; only c.* }
        }"""
    )
    (rate,), (turn,) = train.settings, train.turns
    assert (train.name, train.net.name, turn.name) == ("fine", "words", "critic")
    assert ([each.value for each in rate.patterns], *map(show, rate.values)) == (["encoder.*", "head.W"], "(0.1 / 2)")
    assert [setting.word for setting in turn.settings] == ["steps", "only"]
    assert [setting.word for setting in train.all_settings] == ["rate", "steps", "only"]


def test_headers_may_leave_out_what_they_do_not_need():
    plain_net, constant, no_hypers, let = tree(
        "net a { }\nblock constant(n): -> y { y = n }\nblock pair: x, z = 3 -> y, w { }\nlet width = 64\n"
    )
    assert (plain_net.hypers, plain_net.body) == ((), ())
    assert (constant.inputs, [p.name for p in constant.outputs]) == ((), ["y"])
    assert [(p.name, p.default and show(p.default)) for p in no_hypers.inputs] == [("x", None), ("z", "3")]
    assert (let.name, show(let.value)) == ("width", "64")


def test_documentation_is_kept():
    net, block, let, train = tree(
        "## A net.\n## It nets.\nnet a {\n  ## The picture.\n  input x: [3]\n  input y: [3]\n}\n"
        "## B\nblock b: x -> y { }\n## C\nlet c = 1\n## D\ntrain { }\n"
    )
    assert net.documentation == "A net.\nIt nets."
    assert [s.documentation for s in net.body] == ["The picture.", None]
    assert (block.documentation, let.documentation, train.documentation) == ("B", "C", "D")


@pytest.mark.parametrize("text", [LENET, BLOCKS])
def test_places_are_exact(text):
    for node, parent in spans(tree(text)):
        if parent is not None and hasattr(parent, "span"):
            assert parent.span.start <= node.span.start <= node.span.end <= parent.span.end
        assert node.span.text == node.span.text.strip()
        if isinstance(node, syntax.Name):
            assert node.span.text == node.name
        elif isinstance(node, syntax.Call):
            assert node.span.text.endswith(")")
        elif isinstance(node, syntax.Named | syntax.Net | syntax.Block):
            assert node.name_span.text == node.name


def test_a_node_in_parentheses_has_its_own_place_and_its_user_the_whole():
    (statement,) = body("y = (a + b) * (c)")
    assert statement.value.span.text == "(a + b) * (c)"
    assert statement.value.left.span.text == "a + b"
    assert statement.value.right.span.text == "c"


def test_layout_does_not_matter():
    compact = "net a{x=f(1,2)->g;if c{y=1}else{y=2}}"
    airy = "net a {\n\n  x = f(\n 1,\n 2,\n)\n -> g\n if c {\n y = 1\n }\n else {\n y = 2\n }\n}\n\n"
    assert plain(tree(compact)) == plain(tree(airy))


def test_the_empty_file():
    assert tree("") == tree("# nothing\n\n") == ()


def test_a_long_file_is_parsed_in_well_under_a_millisecond_a_line():
    source = Source("test.net", BLOCKS * 20)
    lines = source.text.count("\n")
    best = min(_seconds(source) for _ in range(5))
    assert best / lines < 4e-4  # measured 0.6e-4; the rest is for slow and busy machines


def _seconds(source):
    start = time.process_time()
    parse(source)
    return time.process_time() - start
