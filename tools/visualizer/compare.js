// Two models side by side: what is only in one, what changed. A click on one side shows its partner on the other.
class Comparison {
  constructor(bundle) {
    this.bundle = bundle;
    this.reverse = false;
    const { statuses, partners } = bundle.difference;
    this.partners = [new Map(Object.entries(partners).map(([a, b]) => [Number(a), b])), new Map(Object.entries(partners).map(([a, b]) => [b, Number(a)]))];
    this.sides = bundle.documents.map((doc, k) => this.side(doc, statuses[k]));
    document.body.append(this.header(), el("main", {}, this.changes(), el("div", { class: "stage" }, ...this.sides.map((side) => side.pane))));
    this.sides.forEach((side, k) => {
      side.canvas = new Canvas(side.pane, side.graph, side.style, {
        select: (item) => this.select(k, item), toggle: (item) => this.toggle(k, item),
      });
      side.canvas.arrange();
      side.canvas.fit();
    });
    for (const { canvas } of this.sides) canvas.fit(true);
    const scale = Math.max(0.5, Math.min(...this.sides.map((side) => side.canvas.scale)));
    for (const { canvas } of this.sides) {
      canvas.scale = scale;
      canvas.origin.x = (canvas.container.clientWidth - canvas.picture.width * scale) / 2;
      canvas.origin.y = 44;
      canvas.draw();
    }
    this.canvas = this.sides[0].canvas;
    document.addEventListener("keydown", (event) => this.key(event));
  }

  side(doc, statuses) {
    const graph = new Graph(doc);
    const style = new Style({ graph, reverse: false });
    style.statuses = statuses;
    // What changed is opened, what stayed is folded, so that the eye falls on the difference.
    for (const item of graph.items) {
      if (item === graph.root || !item.children.length || item.type === "series" || item.type === "library") continue;
      item.unfolded = statuses[item.id] === "changed" && ancestors(item).length < 4;
    }
    const pane = el("div", { class: "pane" });
    return { graph, style, pane };
  }

  header() {
    const [a, b] = this.sides.map((side) => side.graph);
    const row = (name, of, text) => {
      const [x, y] = [of(a.root), of(b.root)];
      const change = x && x !== y ? ` (${y > x ? "+" : "−"}${Math.abs(((y - x) / x) * 100).toFixed(0)} %)` : "";
      return el("tr", {}, el("td", {}, name), el("td", {}, text(x)), el("td", {}, text(y) + change));
    };
    const named = (graph) => {
      const hypers = Object.entries(graph.root.hyperparameters);
      const other = graph === a ? b : a;
      const telling = hypers.filter(([key, value]) => other.root.hyperparameters[key] !== value);
      return graph.document.name + (telling.length ? `(${telling.map(([key, value]) => `${key} = ${value}`).join(", ")})` : "");
    };
    const statuses = this.bundle.difference.statuses;
    const tally = (k, status) => statuses[k].filter((s, id) => s === status && ["library", "block"].includes(this.sides[k].graph.items[id].type)).length;
    this.facts = [row("parameters", (root) => root.parameters, (v) => amount(v)), row("FLOPs", (root) => root.flops, (v) => amount(v)),
      row("activations", (root) => root.bytes, bytes)];
    this.sides.forEach(({ pane, graph }) => pane.append(el("h2", {}, named(graph))));
    return el("header", {},
      el("h1", {}, a.document.name === b.document.name ? a.document.name : `${a.document.name} and ${b.document.name}`),
      el("span", { class: "removed" }, `■ ${tally(0, "removed")} modules only on the left`),
      el("span", { class: "added" }, `■ ${tally(1, "added")} only on the right`),
      el("span", { class: "changed" }, `■ ${tally(0, "changed")} changed`),
      el("span", { class: "facts" }),
      el("div", { class: "group" }, el("button", { onclick: () => this.sides.forEach((s) => s.canvas.fit(true)) }, "Fit"),
        el("button", { onclick: () => this.setTheme() }, "◐")));
  }

  setTheme() {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    for (const { canvas } of this.sides) {
      canvas.redraw();
      canvas.drawMinimap();
      canvas.draw();
    }
  }

  changes() {
    const { changes } = this.bundle.difference;
    const sign = { added: "+", removed: "−", changed: "≠" };
    const list = el("ul", {}, ...changes.map((change) => el("li", {},
      el("button", { class: change.kind, onclick: () => this.goTo(change) }, `${sign[change.kind]} ${change.text}`))));
    return el("aside", { class: "changes" }, el("table", { class: "summary" }, el("tr", {}, ...["", "left", "right"].map((text) => el("th", {}, text))), ...this.facts),
      el("h3", {}, changes.length ? "What differs" : "The two models are the same"), list);
  }

  goTo(change) {
    const ids = [change.first, change.second];
    this.sides.forEach((side, k) => ids[k] !== null && this.show(k, side.graph.items[ids[k]]));
  }

  show(k, item) {
    const { graph, canvas } = this.sides[k];
    graph.reveal(item);
    canvas.selected = item;
    canvas.rearrange(item);
    canvas.show(item);
    canvas.redraw();
  }

  partner(k, item) {
    const id = item && this.partners[k].get(item.id);
    return id === undefined || id === null ? null : this.sides[1 - k].graph.items[id];
  }

  select(k, item) {
    this.sides[k].canvas.selected = item;
    this.sides[k].canvas.redraw();
    const other = this.partner(k, item);
    if (other && other.parent) this.show(1 - k, other);
    this.canvas = this.sides[k].canvas;
  }

  toggle(k, item) {
    const other = this.partner(k, item);
    const unfolded = !item.unfolded;
    [[k, item], [1 - k, other]].forEach(([side, each]) => {
      if (each && this.sides[side].graph.setFold(each, unfolded)) this.sides[side].canvas.rearrange(each);
    });
  }

  key(event) {
    if (event.key === "f") this.sides.forEach((side) => side.canvas.fit(true));
    if (event.key === "+" || event.key === "-") this.sides.forEach((side) => side.canvas.zoom(event.key === "+" ? 1.25 : 0.8));
  }
}
