// What stands beside the picture: the details of a node, the source text, the search. All text is set as text.
function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "style") Object.assign(element.style, value);
    else if (value !== null && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function amount(value, unit = "") {
  if (!Number.isFinite(value)) return "–";
  for (const [size, letter] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(value) >= size) return `${Number((value / size).toPrecision(3))} ${letter}${unit}`;
  }
  return `${Number(value.toPrecision(3))}${unit ? " " + unit : ""}`;
}

function bytes(value) {
  for (const [size, letter] of [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]]) {
    if (value >= size) return `${Number((value / size).toPrecision(3))} ${letter}`;
  }
  return `${value} B`;
}

function seconds(value) {
  if (value >= 1) return `${value.toPrecision(3)} s`;
  return value >= 1e-3 ? `${(value * 1e3).toPrecision(3)} ms` : `${(value * 1e6).toPrecision(3)} µs`;
}

function table(rows) {
  return el("table", {}, ...rows.map(([key, value]) => el("tr", {}, el("td", {}, key), el("td", {}, value))));
}

class Details {
  constructor(app) {
    this.app = app;
    this.element = el("aside", { "aria-label": "details" });
  }

  show(item) {
    this.element.replaceChildren(...(item && item !== this.app.graph.root ? this.ofItem(item) : this.ofModel()));
  }

  ofItem(item) {
    const { app } = this;
    const color = kindColors(item.kind);
    const parts = [
      el("h2", {}, item.name ? `${item.label}  ${item.name}` : item.label),
      el("span", { class: "chip", style: { color: color.mark, borderColor: color.mark } }, item.type === "library" ? `${item.kind}, library` : item.kind === "block" ? "block" : item.kind),
    ];
    if (item.shared) parts.push(el("span", { class: "chip" }, `shared: use ${item.shared[0]} of ${item.shared[1]}`));
    if (item.path) parts.push(el("p", { class: "path" }, item.path));
    if (item.documentation) parts.push(el("p", {}, item.documentation));
    if (item.children.length) {
      parts.push(el("p", {}, el("button", { onclick: () => app.toggle(item) }, item.unfolded ? "Fold" : "Unfold")));
    }
    const shapes = [...item.inputs.map((s) => ["input", s]), ...item.outputs.map((s) => ["output", s])];
    if (shapes.length) parts.push(el("h3", {}, "Shapes, for one example"), table(shapes));
    const hypers = Object.entries(item.hyperparameters);
    if (hypers.length) parts.push(el("h3", {}, "Hyperparameters"), table(hypers));
    parts.push(el("h3", {}, "Costs, for one example"), table(this.costs(item)));
    if (item.variables.length) parts.push(el("h3", {}, "Parameters: choose one to see its paths to the loss"), this.parameters(item.variables));
    if (item.place) {
      const [source, line] = item.place;
      parts.push(el("h3", {}, "Source"), el("p", {}, el("button", { onclick: () => app.source.mark(item) },
        `${app.graph.document.sources[source].name}:${line}`)));
    }
    return parts;
  }

  costs(item) {
    const rows = [["parameters", amount(item.parameters)], ["FLOPs, forward", amount(item.flops)], ["activations", bytes(item.bytes)]];
    if (item.time !== undefined) rows.push(["time of a step", seconds(item.time)]);
    if (item.time > 0) {
      const { peak } = this.app.bundle.measured;
      const part = (rate, most) => (most ? `, ${Math.round((100 * rate) / most)} % of the peak` : "");
      const [work, move] = [item.worked / item.time, item.moved / item.time];
      rows.push(["rate", `${amount(work)}FLOP/s${part(work, peak?.flops)}`], ["memory", `${amount(move)}B/s${part(move, peak?.bandwidth)}`]);
    }
    if (item.gradient !== undefined) rows.push(["gradient norm", item.gradient.toPrecision(4)]);
    return rows;
  }

  ofModel() {
    const { app } = this;
    const { document: doc, root } = app.graph;
    const kinds = [...new Set(app.graph.items.map((item) => item.kind))].filter((kind) => HUES[kind]);
    const hypers = Object.entries(root.hyperparameters);
    return [
      el("h2", {}, doc.name),
      doc.documentation ? el("p", {}, doc.documentation) : null,
      el("h3", {}, "Whole net, for one example"),
      table(this.costs(root)),
      ...(hypers.length ? [el("h3", {}, "Hyperparameters"), table(hypers)] : []),
      el("h3", {}, "Colours"),
      el("p", { class: "legend" }, ...kinds.map((kind) => el("span", {}, el("i", { style: { background: kindColors(kind).mark } }), kind))),
      el("h3", {}, "Parameters: choose one to see its paths to the loss"),
      this.parameters(Object.keys(doc.parameters)),
      el("h3", {}, "Keys"),
      el("p", {}, el("kbd", {}, "↑ ↓ ← →"), " move, ", el("kbd", {}, "Enter"), " fold, ", el("kbd", {}, "/"), " search, ",
        el("kbd", {}, "f"), " fit, ", el("kbd", {}, "+ −"), " zoom, ", el("kbd", {}, "e"), " unfold all, ", el("kbd", {}, "c"),
        " fold all, ", el("kbd", {}, "g"), " gradients, ", el("kbd", {}, "t"), " theme, ", el("kbd", {}, "Esc"), " clear"),
    ].filter(Boolean);
  }

  parameters(paths, most = 300) {
    const { app } = this;
    const shapes = app.graph.document.parameters;
    const list = paths.filter((path) => shapes[path]).slice(0, most).map((path) => el("button", {
      "aria-pressed": String(app.parameter === path), onclick: () => app.follow(app.parameter === path ? null : path),
    }, el("span", {}, el("bdi", {}, path)), el("span", {}, app.norms?.[path] === undefined ? shapes[path].join("×") : `‖∇‖ ${app.norms[path].toPrecision(3)}`)));
    return el("div", { class: "parameters" }, ...list);
  }
}

const WORDS = /(#[^\n]*)|("(?:[^"\\\n]|\\.)*"?)|\b(net|block|train|input|output|param|state|loss|metric|let|import|as|if|else|for|in|scan|emit|repeat|update|assert|data|optimizer|schedule|batch|epochs|steps|augment|minimize|only|max_norm|turn|and|or|not|true|false|none)\b|\b(\d+(?:\.\d+)?(?:e-?\d+)?)\b/g;

class SourcePanel {
  constructor(app) {
    this.app = app;
    this.element = el("aside", { class: "source", "aria-label": "source text" });
    this.tabs = el("div", { class: "tabs" });
    this.chooser = el("select", { "aria-label": "file", onchange: () => this.open(Number(this.chooser.value)) });
    this.code = el("div", { class: "code", tabindex: 0 });
    this.element.append(this.tabs, this.code);
    this.current = null;
    const { sources } = app.graph.document;
    sources.forEach((source, number) => this.chooser.append(el("option", { value: number, title: source.name }, source.name.split("/").slice(-2).join("/"))));
    this.tabs.append(this.chooser, el("button", { title: "hide the source", "aria-label": "hide the source",
      onclick: () => app.toggleSource() }, "×"));
    if (sources.length) this.open(Math.max(0, sources.findIndex((source) => !source.library)));
  }

  open(number) {
    if (this.current === number) return;
    this.current = number;
    this.chooser.value = String(number);
    const { name, text: whole } = this.app.graph.document.sources[number];
    const times = this.app.bundle.measured?.lines ?? {};
    this.lines = whole.split("\n").map((text, k) => {
      const line = el("code");
      let last = 0;
      for (const match of text.matchAll(WORDS)) {
        const kind = match[1] !== undefined ? "c" : match[2] !== undefined ? "s" : match[3] !== undefined ? "k" : "n";
        line.append(text.slice(last, match.index), el("span", { class: kind }, match[0]));
        last = match.index + match[0].length;
      }
      line.append(text.slice(last) || (text ? "" : " "));
      const time = times[`${name}:${k + 1}`];
      return el("div", { "data-line": k + 1, "data-time": time ? seconds(time) : null, onclick: () => this.app.selectLine(number, k + 1) }, line);
    });
    this.code.replaceChildren(...this.lines);
  }

  mark(item) {
    for (const line of this.lines ?? []) line.classList.remove("marked");
    if (!item?.place) return;
    const [source, first, , last] = item.place;
    this.open(source);
    const whole = item === this.app.graph.root;
    for (let k = first; k <= (whole ? first : last); k += 1) this.lines[k - 1]?.classList.add("marked");
    const line = this.lines[first - 1];
    if (line) this.code.scrollTop = line.offsetTop - this.code.offsetTop - this.code.clientHeight / 3;
  }
}

class Search {
  constructor(app) {
    this.app = app;
    this.input = el("input", { type: "search", placeholder: "Search  /", "aria-label": "search nodes", oninput: () => this.find(), onkeydown: (e) => this.key(e) });
    this.hits = el("div", { class: "hits", role: "listbox" });
    this.element = el("div", { class: "search" }, this.input, this.hits);
    this.at = 0;
  }

  find() {
    const words = this.input.value.toLowerCase().split(/\s+/).filter(Boolean);
    this.at = 0;
    const all = words.length === 0 ? [] : this.app.graph.items.filter((item) => {
      const text = `${item.label} ${item.name ?? ""} ${item.path ?? ""} ${item.kind} ${item.text ?? ""}`.toLowerCase();
      return item !== this.app.graph.root && words.every((word) => text.includes(word));
    });
    const depth = (item) => ancestors(item).length;
    this.found = all.sort((a, b) => depth(a) - depth(b)).slice(0, 60);
    this.hits.replaceChildren(...this.found.map((item, k) => el("button", { role: "option", "aria-selected": String(k === 0),
      onclick: () => this.choose(item) }, item.label, el("small", {}, `${item.name ?? ""}  ${item.path ?? ""}`))));
    if (words.length && !this.found.length) this.hits.append(el("p", { style: { margin: "4px 8px" } }, "nothing found"));
  }

  key(event) {
    if (event.key === "Escape") { this.close(); this.app.canvas.svg.focus(); }
    if (event.key === "Enter" && this.found?.length) this.choose(this.found[this.at]);
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const buttons = this.hits.querySelectorAll("button");
      this.at = Math.max(0, Math.min(buttons.length - 1, this.at + (event.key === "ArrowDown" ? 1 : -1)));
      buttons.forEach((button, k) => button.setAttribute("aria-selected", String(k === this.at)));
      buttons[this.at]?.scrollIntoView({ block: "nearest" });
      event.preventDefault();
    }
    event.stopPropagation();
  }

  choose(item) {
    this.close();
    this.app.goTo(item);
  }

  close() {
    this.input.value = "";
    this.hits.replaceChildren();
  }
}
