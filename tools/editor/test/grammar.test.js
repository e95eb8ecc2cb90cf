// The scopes that the grammar gives, by the engine that VS Code runs.
"use strict";

const assert = require("node:assert/strict");
const { before, test } = require("node:test");
const { loadGrammar, tokenize } = require("../tokenize.js");

let grammar;
before(async () => {
  grammar = await loadGrammar();
});

/** The scope of each piece of a text, by the piece; blanks are left out. */
function scopes(text) {
  const found = [];
  const lines = text.split("\n");
  tokenize(grammar, text).forEach((tokens, number) => {
    for (const [start, end, scope] of tokens) {
      const piece = lines[number].slice(start, end).trim();
      if (piece) {
        found.push([piece, scope]);
      }
    }
  });
  return found;
}

/** Each expected piece has its scope, in the order in which they stand. */
function expect(text, expected) {
  const found = scopes(text);
  let from = 0;
  for (const [piece, scope] of expected) {
    const at = found.findIndex(([p], index) => index >= from && p === piece);
    assert.notEqual(at, -1, `no '${piece}' in ${JSON.stringify(found)}`);
    assert.equal(found[at][1], scope, `${piece} of ${text}`);
    from = at + 1;
  }
}

const inNet = (line) => `net n {\n    ${line}\n}`;

test("comments and documentation", () => {
  expect("## What it is.\n# a remark ## not documentation\nx # end", [
    ["What it is.", "comment.line.documentation.net"],
    ["a remark ## not documentation", "comment.line.number-sign.net"],
    ["end", "comment.line.number-sign.net"],
  ]);
});

test("imports and lets", () => {
  expect('import "a # b.net" as parts\nlet depth = 3', [
    ["import", "keyword.control.import.net"],
    ["a # b.net", "string.quoted.double.net"],
    ["as", "keyword.control.as.net"],
    ["parts", "entity.name.namespace.net"],
    ["let", "storage.type.let.net"],
    ["depth", "variable.other.constant.net"],
    ["3", "constant.numeric.net"],
  ]);
});

test("the header of a block", () => {
  expect("block cell(units, act = relu): x: [T, n], h: [units] = zeros([units]) -> y: [T, units], last {\n}", [
    ["block", "storage.type.block.net"],
    ["cell", "entity.name.function.definition.net"],
    ["units", "variable.parameter.hyperparameter.net"],
    ["act", "variable.parameter.hyperparameter.net"],
    ["relu", "variable.other.net"],
    ["x", "variable.parameter.port.net"],
    ["T", "variable.other.net"],
    ["h", "variable.parameter.port.net"],
    ["zeros", "entity.name.function.call.net"],
    ["->", "keyword.operator.arrow.net"],
    ["y", "variable.parameter.port.net"],
    ["last", "variable.parameter.port.net"],
    ["{", "punctuation.section.braces.begin.net"],
  ]);
});

test("a header over two lines, and hyperparameters below one another", () => {
  expect("block b(\n    one,\n    two = 2\n): x\n        -> y: class(v)[..] {\n    y = x\n}\nnet n {\n}", [
    ["one", "variable.parameter.hyperparameter.net"],
    ["two", "variable.parameter.hyperparameter.net"],
    ["x", "variable.parameter.port.net"],
    ["y", "variable.parameter.port.net"],
    ["class", "support.type.net"],
    ["..", "keyword.operator.range.net"],
    ["y", "variable.other.net"],
    ["net", "storage.type.net.net"],
  ]);
});

test("words are words where a statement begins", () => {
  for (const word of ["input", "param", "state"]) {
    expect(inNet(`${word} x: [3]`), [[word, "storage.type.declaration.net"], ["x", "variable.other.declaration.net"]]);
  }
  for (const word of ["output", "loss", "metric"]) {
    expect(inNet(`${word} x = y`), [[word, "storage.type.declaration.net"], ["x", "variable.other.declaration.net"]]);
    expect(inNet(`${word} f(y)`), [[word, "storage.type.declaration.net"], ["f", "entity.name.function.call.net"]]);
  }
  expect(inNet("update mean = 1"), [["update", "keyword.other.update.net"]]);
  expect(inNet("emit -h"), [["emit", "keyword.other.statement.net"]]);
  expect(inNet('if a { assert b, "{c.shape}" }; emit d'), [
    ["assert", "keyword.other.statement.net"],
    ["{c.shape}", "constant.other.placeholder.net"],
    ["emit", "keyword.other.statement.net"],
  ]);
});

test("the same words are names elsewhere", () => {
  for (const word of ["input", "output", "loss", "metric", "state", "param", "emit", "update", "train", "block"]) {
    expect(inNet(`${word} = 3`), [[word, "variable.other.net"]]);
    expect(inNet(`${word} -> relu`), [[word, "variable.other.net"]]);
    expect(inNet(`y = ${word} + 1`), [[word, "variable.other.net"]]);
    expect(inNet(`y = f(${word} = 1)`), [[word, "variable.parameter.argument.net"]]);
  }
});

test("chains, calls, arguments and attributes", () => {
  expect(inNet("y = x -> conv(20, k, pad = 1) as c1 -> relu -> r.block(3) if x.channels == 3 else x[0, 1:2]"), [
    ["->", "keyword.operator.arrow.net"],
    ["conv", "entity.name.function.module.net"],
    ["pad", "variable.parameter.argument.net"],
    ["as", "keyword.control.as.net"],
    ["c1", "variable.other.declaration.net"],
    ["relu", "entity.name.function.module.net"],
    ["block", "variable.other.member.net"],
    ["if", "keyword.control.conditional.net"],
    ["channels", "support.variable.property.net"],
    ["==", "keyword.operator.comparison.net"],
    ["else", "keyword.control.conditional.net"],
  ]);
});

test("numbers, ranges and operators", () => {
  expect(inNet("y = 0..4 + 1.5e-3 ** 2_000 // x1 @ none"), [
    ["0", "constant.numeric.net"],
    ["..", "keyword.operator.range.net"],
    ["4", "constant.numeric.net"],
    ["1.5e-3", "constant.numeric.net"],
    ["**", "keyword.operator.arithmetic.net"],
    ["2_000", "constant.numeric.net"],
    ["//", "keyword.operator.arithmetic.net"],
    ["x1", "variable.other.net"],
    ["none", "constant.language.net"],
  ]);
});

test("scan, repeat, for and comprehensions", () => {
  expect(inNet("y, h = scan x in xs, h = zeros([n]) {\n h = h + x\n emit h\n}\nfor w in [f(k) for k in 1..3 if not k] { }"), [
    ["scan", "keyword.control.loop.net"],
    ["in", "keyword.control.loop.net"],
    ["emit", "keyword.other.statement.net"],
    ["for", "keyword.control.loop.net"],
    ["if", "keyword.control.conditional.net"],
    ["not", "keyword.operator.word.net"],
  ]);
  expect(inNet("y = x -> repeat 3 { conv(8, 3) -> relu }"), [
    ["repeat", "keyword.control.loop.net"],
    ["3", "constant.numeric.net"],
    ["conv", "entity.name.function.call.net"],
  ]);
});

test("a train section", () => {
  const text =
    'train first {\n data csv("a.csv")\n optimizer sgd(lr = 0.1)\n only encoder.*, *.b,\n   c1.W # these\n' +
    " feed image = picture\n batch 64\n minimize main, other\n}\nlet a = 1";
  expect(text, [
    ["train", "storage.type.train.net"],
    ["first", "entity.name.function.definition.net"],
    ["data", "keyword.other.setting.net"],
    ["csv", "support.function.setting.net"],
    ["optimizer", "keyword.other.setting.net"],
    ["sgd", "support.function.setting.net"],
    ["lr", "variable.parameter.argument.net"],
    ["only", "keyword.other.setting.net"],
    ["encoder.*", "string.unquoted.pattern.net"],
    ["*.b", "string.unquoted.pattern.net"],
    ["c1.W", "string.unquoted.pattern.net"],
    ["these", "comment.line.number-sign.net"],
    ["feed", "keyword.other.setting.net"],
    ["image", "variable.parameter.port.net"],
    ["batch", "keyword.other.setting.net"],
    ["minimize", "keyword.other.setting.net"],
    ["main", "variable.other.net"],
    ["let", "storage.type.let.net"],
  ]);
});

test("turns and settings of parameters", () => {
  const text =
    "train fine for words {\n rate encoder.*, *.b = 0.1 * lr # low\n start d.W = transpose(up.W)\n turn critic {\n" +
    "  steps 5; only c.*\n }\n epochs 3\n}\nlet a = 1";
  expect(text, [
    ["train", "storage.type.train.net"],
    ["fine", "entity.name.function.definition.net"],
    ["for", "keyword.control.loop.net"],
    ["words", "entity.name.function.module.net"],
    ["rate", "keyword.other.setting.net"],
    ["encoder.*", "string.unquoted.pattern.net"],
    ["*.b", "string.unquoted.pattern.net"],
    ["0.1", "constant.numeric.net"],
    ["lr", "variable.other.net"],
    ["low", "comment.line.number-sign.net"],
    ["start", "keyword.other.setting.net"],
    ["d.W", "string.unquoted.pattern.net"],
    ["transpose", "entity.name.function.call.net"],
    ["turn", "storage.type.turn.net"],
    ["critic", "entity.name.function.definition.net"],
    ["steps", "keyword.other.setting.net"],
    ["5", "constant.numeric.net"],
    ["only", "keyword.other.setting.net"],
    ["c.*", "string.unquoted.pattern.net"],
    ["epochs", "keyword.other.setting.net"],
    ["let", "storage.type.let.net"],
  ]);
});

test("names of other alphabets", () => {
  expect(inNet("größe = ширина -> relu"), [
    ["größe", "variable.other.net"],
    ["ширина", "variable.other.net"],
    ["relu", "entity.name.function.module.net"],
  ]);
});

test("an open bracket or text does not spoil what follows", () => {
  const text = 'net n {\n    y = f(x, [1, 2\n}\nnet m {\n    assert a, "open\n    input x: [3]\n}';
  expect(text, [["m", "entity.name.function.definition.net"], ["input", "storage.type.declaration.net"]]);
});
