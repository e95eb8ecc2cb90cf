// An extension may only hold files of its own folder: the grammar is copied from the repository's grammar/.
"use strict";

const { copyFileSync, mkdirSync } = require("node:fs");
const { join } = require("node:path");

const folder = join(__dirname, "syntaxes");
mkdirSync(folder, { recursive: true });
copyFileSync(join(__dirname, "..", "..", "grammar", "net.tmLanguage.json"), join(folder, "net.tmLanguage.json"));
