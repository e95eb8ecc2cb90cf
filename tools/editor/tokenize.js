// Tokenizes .net files with the TextMate engine of VS Code.
//
//   node tokenize.js FILE…      prints JSON: for each file its lines, for each line its tokens, [start, end, scope].
//
// Columns count UTF-16 units. The scope is the innermost one that says more than where in the text the token stands.
"use strict";

const { readFileSync } = require("node:fs");
const { join } = require("node:path");
const { OnigScanner, OnigString, loadWASM } = require("vscode-oniguruma");
const { INITIAL, Registry, parseRawGrammar } = require("vscode-textmate");

const GRAMMAR = join(__dirname, "..", "..", "grammar", "net.tmLanguage.json");

async function loadGrammar() {
  const wasm = readFileSync(require.resolve("vscode-oniguruma/release/onig.wasm"));
  await loadWASM(wasm.buffer.slice(wasm.byteOffset, wasm.byteOffset + wasm.byteLength));
  const registry = new Registry({
    onigLib: Promise.resolve({
      createOnigScanner: (patterns) => new OnigScanner(patterns),
      createOnigString: (text) => new OnigString(text),
    }),
    loadGrammar: async () => parseRawGrammar(readFileSync(GRAMMAR, "utf8"), GRAMMAR),
  });
  return registry.loadGrammar("source.net");
}

function tokenize(grammar, text) {
  let state = INITIAL;
  return text.split(/\r?\n/).map((line) => {
    const result = grammar.tokenizeLine(line, state);
    state = result.ruleStack;
    return result.tokens.map((token) => {
      const scopes = token.scopes.filter((scope) => !scope.startsWith("meta.") && scope !== "source.net");
      return [token.startIndex, Math.min(token.endIndex, line.length), scopes.at(-1) ?? ""];
    });
  });
}

async function main(files) {
  const grammar = await loadGrammar();
  const lines = files.map((file) => tokenize(grammar, readFileSync(file, "utf8")));
  process.stdout.write(JSON.stringify(lines));
}

module.exports = { loadGrammar, tokenize };

if (require.main === module) {
  main(process.argv.slice(2));
}
