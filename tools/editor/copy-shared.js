// An extension holds files of its own folder only: the grammar and the licence are copied from the repository.
"use strict";

const { copyFileSync, mkdirSync } = require("node:fs");
const { join } = require("node:path");

const root = join(__dirname, "..", "..");
mkdirSync(join(__dirname, "syntaxes"), { recursive: true });
copyFileSync(join(root, "grammar", "net.tmLanguage.json"), join(__dirname, "syntaxes", "net.tmLanguage.json"));
copyFileSync(join(root, "LICENSE"), join(__dirname, "LICENSE"));
