// Overlays: a number for each node shown as its colour and size. The page offers those that were measured.
const OVERLAYS = {
  parameters: { name: "Parameters", of: (item) => item.parameters, text: (v) => amount(v) },
  flops: { name: "FLOPs", of: (item) => item.flops, text: (v) => amount(v) },
  bytes: { name: "Activation memory", of: (item) => item.bytes, text: bytes },
  time: { name: "Measured time", of: (item) => item.time, text: (v, item) => (item?.worked ? `${seconds(v)}, ${amount(item.worked / v)}FLOP/s` : seconds(v)) },
  gradient: { name: "Gradient norms", of: (item) => item.gradient, text: (v) => v.toPrecision(3) },
};

// Times come by module path, with the operations and the bytes moved of a step; the applications of a shared module
// share them, and a block has those of its parts.
function measure(graph, measured) {
  if (!measured) return;
  const homes = new Map();
  for (const item of graph.items) {
    if (["block", "library"].includes(item.type)) append(homes, item.path ?? "", item);
  }
  for (const item of graph.items) [item.time, item.worked, item.moved] = [0, 0, 0];
  for (const [name, amounts] of [["time", measured.time], ["worked", measured.flops], ["moved", measured.moved]]) {
    for (const [path, value] of Object.entries(amounts ?? {})) {
      const owners = homes.get(path) ?? [graph.root];
      for (const owner of owners) {
        for (let each = owner; each; each = each.parent) each[name] += value / owners.length;
      }
    }
  }
  for (const item of graph.items) {
    const norms = item.variables.map((path) => measured.gradients?.[path]).filter((norm) => norm !== undefined);
    if (norms.length) item.gradient = Math.hypot(...norms);
    if (["operator", "result", "scan"].includes(item.type)) item.time = undefined;
  }
}

class Style {
  constructor(app) {
    this.app = app;
    this.overlay = null;
    this.most = 1;
    this.statuses = null;
  }

  choose(overlay) {
    this.overlay = OVERLAYS[overlay] ?? null;
    this.rescale();
  }

  // The scale spans what the picture shows now: folded blocks and single operators.
  rescale() {
    if (!this.overlay) return;
    const { graph } = this.app;
    const shown = graph.items.filter((item) => item !== graph.root && !(item.unfolded && item.children.length) && graph.shown(item) === item);
    this.most = Math.max(1e-30, ...shown.map((item) => this.overlay.of(item) ?? 0));
  }

  weight(item) {
    return this.overlay ? Math.min(1, (this.overlay.of(item) ?? 0) / this.most) : 0;
  }

  fill(item) {
    if (this.overlay) return heat(Math.sqrt(this.weight(item)));
    const status = this.statuses?.[item.id];
    return status ? (status === "same" ? theme().block : theme()[`${status}Fill`]) : null;
  }

  border(item) {
    const status = this.statuses?.[item.id];
    return status && status !== "same" ? theme()[status] : null;
  }

  subtitle(item) {
    if (!this.overlay) return item.text ?? "";
    const value = this.overlay.of(item);
    return value ? this.overlay.text(value, item) : "";
  }

  reverse() {
    return this.app.reverse;
  }
}
