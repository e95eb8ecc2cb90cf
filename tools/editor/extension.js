// Starts the language server, `graphdl lsp`, and lets VS Code talk with it.
"use strict";

const { commands, window, workspace } = require("vscode");
const { LanguageClient, TransportKind } = require("vscode-languageclient/node");

let client;

async function start() {
  const [command, ...args] = workspace.getConfiguration("graphdl").get("command");
  const executable = { command, args, transport: TransportKind.stdio };
  client = new LanguageClient(
    "graphdl",
    "graphdl",
    { run: executable, debug: executable },
    {
      documentSelector: [
        { scheme: "file", language: "graphdl" },
        { scheme: "untitled", language: "graphdl" },
      ],
      synchronize: { fileEvents: workspace.createFileSystemWatcher("**/*.net") },
    },
  );
  try {
    await client.start();
  } catch (error) {
    window.showErrorMessage(
      `The language server does not start (${command} ${args.join(" ")}): ${error.message ?? error}. ` +
        "Install it with: pip install 'graphdl[editor]', or name it in the setting graphdl.command.",
    );
  }
}

async function stop() {
  const running = client;
  client = undefined;
  if (running?.isRunning()) {
    await running.stop();
  }
}

async function activate(context) {
  const restart = async () => {
    await stop();
    await start();
  };
  context.subscriptions.push(
    commands.registerCommand("graphdl.restart", restart),
    workspace.onDidChangeConfiguration((event) => (event.affectsConfiguration("graphdl.command") ? restart() : undefined)),
  );
  await start();
}

module.exports = { activate, deactivate: stop };
