// The page: one model, with everything that was measured of it.
class App {
  constructor(bundle) {
    this.bundle = bundle;
    this.reverse = false;
    this.parameter = null;
    this.norms = bundle.measured?.gradients;
    this.graph = new Graph(bundle.documents[0]);
    measure(this.graph, bundle.measured);
    this.style = new Style(this);
    this.build();
    this.canvas = new Canvas(this.pane, this.graph, this.style, { select: (item) => this.select(item), toggle: (item) => this.toggle(item) });
    this.canvas.arrange();
    this.canvas.fit();
    this.details.show(null);
    document.addEventListener("keydown", (event) => this.key(event));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolor());
  }

  build() {
    const { document: doc, root } = this.graph;
    this.details = new Details(this);
    this.source = new SourcePanel(this);
    this.search = new Search(this);
    this.pane = el("div", { class: "pane" });
    this.note = el("div", { class: "note", "aria-live": "polite" });
    this.scale = el("div", { class: "scale hidden" });
    this.stage = el("div", { class: "stage" }, this.pane, this.note, this.scale);
    this.tip = el("div", { class: "tip" });
    this.spoken = el("div", { class: "spoken", "aria-live": "polite" });
    const available = Object.entries(OVERLAYS).filter(([key]) =>
      key === "time" ? this.bundle.measured?.time : key === "gradient" ? this.norms : true);
    this.overlay = el("select", { "aria-label": "overlay", onchange: () => this.setOverlay(this.overlay.value) },
      el("option", { value: "" }, "Overlay: none"), ...available.map(([key, { name }]) => el("option", { value: key }, name)));
    this.reverseButton = el("button", { "aria-pressed": "false", title: "show how gradients flow (g)", onclick: () => this.setReverse(!this.reverse) }, "∇ Gradients");
    const header = el("header", {},
      el("h1", {}, doc.name),
      el("span", { class: "facts" }, `${amount(root.parameters)} parameters · ${amount(root.flops)} FLOPs · ${bytes(root.bytes)} activations`),
      this.views(),
      this.search.element,
      this.overlay,
      this.reverseButton,
      el("div", { class: "group" },
        el("button", { title: "unfold all (e)", onclick: () => this.unfoldAll() }, "Unfold all"),
        el("button", { title: "fold all (c)", onclick: () => this.foldAll() }, "Fold all"),
        el("button", { title: "the whole picture (f)", onclick: () => this.canvas.fit(true) }, "Fit")),
      el("div", { class: "group" },
        el("button", { onclick: () => this.exportSvg() }, "SVG"),
        el("button", { onclick: () => this.exportPng() }, "PNG")),
      el("button", { title: "show or hide the source", onclick: () => this.toggleSource() }, "Source"),
      el("button", { title: "light or dark (t)", "aria-label": "light or dark", onclick: () => this.setTheme() }, "◐"));
    document.body.append(header, el("main", {}, this.source.element, this.stage, this.details.element), this.tip, this.spoken);
  }

  // The tabs, where there is more to see than the graph.
  views() {
    const sheets = sheetsOf(this);
    if (!sheets.length) return null;
    this.sheet = el("div", { class: "sheet hidden" });
    this.stage.append(this.sheet);
    const tabs = [{ name: "Graph", draw: null }, ...sheets].map(({ name, draw }) => el("button", {
      role: "tab", "aria-selected": String(name === "Graph"), onclick: (event) => {
        for (const tab of tabs) tab.setAttribute("aria-selected", String(tab === event.currentTarget));
        this.sheet.classList.toggle("hidden", !draw);
        this.source.element.classList.toggle("away", Boolean(draw));
        this.redrawSheet = () => {
          this.sheet.replaceChildren();
          if (draw) draw(this.sheet, this);
        };
        this.redrawSheet();
      },
    }, name));
    return el("div", { class: "group", role: "tablist" }, ...tabs);
  }

  openSheet(name) {
    for (const tab of document.querySelectorAll("[role=tab]")) if (tab.textContent === name) tab.click();
  }

  select(item) {
    this.canvas.selected = item;
    this.details.show(item);
    this.source.mark(item);
    if (this.lineLit) { this.lineLit = false; this.canvas.light(null); }
    this.canvas.redraw();
    if (item) this.spoken.textContent = `${item.label} ${item.name ?? ""} ${item.text ?? ""}`;
  }

  goTo(item) {
    this.graph.reveal(item);
    this.refresh(item);
    this.select(item);
    this.canvas.show(item);
  }

  toggle(item) {
    if (!this.graph.setFold(item, !item.unfolded)) return;
    this.refresh(item);
    if (this.canvas.selected) this.details.show(this.canvas.selected);
  }

  refresh(item) {
    if (this.style.overlay) {
      this.style.rescale();
      this.graph.invalidateAll();
      this.showScale();
    }
    this.canvas.rearrange(item);
  }

  unfoldAll() {
    this.graph.unfoldAll();
    this.refresh(this.canvas.selected);
    this.canvas.fit();
  }

  foldAll() {
    this.graph.foldAll();
    this.refresh(this.canvas.selected);
    this.canvas.fit();
  }

  setOverlay(name) {
    this.style.choose(name);
    this.graph.invalidateAll();
    this.canvas.rearrange(this.canvas.selected);
    this.showScale();
  }

  showScale() {
    const { overlay, most } = this.style;
    this.scale.classList.toggle("hidden", !overlay);
    if (!overlay) return;
    const stops = Array.from({ length: 9 }, (_, k) => heat(Math.sqrt(k / 8)));
    this.scale.replaceChildren(overlay.name, el("i", { style: { background: `linear-gradient(90deg, ${stops.join(", ")})` } }),
      el("div", {}, el("span", {}, "0"), el("span", {}, overlay.text(most))));
  }

  setReverse(on) {
    this.reverse = on;
    this.reverseButton.setAttribute("aria-pressed", String(on));
    if (!on) this.parameter = null;
    this.lightPaths();
  }

  follow(path) {
    this.parameter = path;
    this.reverse = path !== null || this.reverse;
    this.reverseButton.setAttribute("aria-pressed", String(this.reverse));
    this.lightPaths();
    this.details.show(this.canvas.selected);
  }

  // With a parameter: its paths to the losses. Without one: all that gradients flow along.
  lightPaths() {
    if (!this.reverse) {
      this.note.textContent = "";
      this.canvas.light(null);
      return;
    }
    const { items } = this.graph;
    const losses = items.filter((item) => item.kind === "loss" && item.type === "result");
    const chosen = items.filter((item) => item.type === "operator" && item.label === "param"
      && (this.parameter === null || item.path === this.parameter));
    const found = this.graph.between(chosen, losses);
    this.canvas.light(found);
    const { paths } = found;
    const many = paths.toLocaleString("en").length > 24 ? `about 10^${String(paths).length - 1}` : paths.toLocaleString("en");
    this.note.textContent = this.parameter === null
      ? "Gradients flow from the losses up to every parameter. Choose a parameter to see its paths."
      : paths === 0n ? `No path leads from ${this.parameter} to a loss.` : `${this.parameter}: ${many} path${paths === 1n ? "" : "s"} to the loss`;
  }

  selectLine(source, line) {
    const around = this.graph.items.filter((item) => item !== this.graph.root && item.place && item.place[0] === source
      && item.place[1] <= line && item.place[3] >= line);
    const exact = around.filter((item) => item.place[1] === line);
    const found = exact.length ? exact : around;
    if (!found.length) return;
    for (const marked of this.source.lines) marked.classList.remove("marked");
    this.source.lines[line - 1].classList.add("marked");
    const shown = [...new Set(found.map((item) => this.graph.shown(item)))];
    this.lineLit = true;
    this.canvas.light({ items: new Set(shown), edges: [], paths: 0n });
    this.canvas.show(shown[0]);
    this.spoken.textContent = `${found.length} nodes come from line ${line}`;
  }

  // --------------------------------------------------------------------------------------------------- keyboard

  key(event) {
    if (event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement || event.ctrlKey || event.metaKey || event.altKey) return;
    const actions = {
      "/": () => this.search.input.focus(), f: () => this.canvas.fit(true), e: () => this.unfoldAll(), c: () => this.foldAll(),
      g: () => this.setReverse(!this.reverse), t: () => this.setTheme(), "+": () => this.canvas.zoom(1.25), "=": () => this.canvas.zoom(1.25),
      "-": () => this.canvas.zoom(0.8), Escape: () => { this.setReverse(false); this.select(null); },
      ArrowDown: () => this.move("after"), ArrowUp: () => this.move("before"), ArrowRight: () => this.aside(1), ArrowLeft: () => this.aside(-1),
      Enter: () => this.canvas.selected && event.target === this.canvas.svg && this.toggle(this.graph.shown(this.canvas.selected)),
      " ": () => this.canvas.selected && event.target === this.canvas.svg && this.toggle(this.graph.shown(this.canvas.selected)),
    };
    if (!actions[event.key] || event.target instanceof HTMLButtonElement && [" ", "Enter"].includes(event.key)) return;
    event.preventDefault();
    actions[event.key]();
  }

  // Along the edges as they are drawn; into a block from its border, out of it at its end.
  move(way) {
    const current = this.canvas.selected && this.graph.shown(this.canvas.selected);
    if (!current || current === this.graph.root) {
      this.step(this.canvas.picture.boxes.find((box) => box.depth === 1)?.item);
      return;
    }
    const box = this.canvas.byItem.get(current);
    const others = this.canvas.picture.boxes.filter((b) => !b.layout.unfolded && b.item !== current
      && (way === "after" ? b.y >= box.y + (current.unfolded && current.children.length ? 0 : box.height) - 1 : b.y + b.height <= box.y + 1));
    const linked = new Set();
    const [from, to] = way === "after" ? ["source", "target"] : ["target", "source"];
    for (const edge of this.graph.edges) if (ancestors(edge[from]).includes(current)) linked.add(this.graph.shown(edge[to]));
    const near = (b) => Math.abs(b.y - box.y) + Math.abs(b.x + b.width / 2 - box.x - box.width / 2) * 0.4;
    const best = others.filter((b) => linked.has(b.item)).sort((a, b) => near(a) - near(b))[0]
      ?? others.sort((a, b) => near(a) - near(b))[0];
    this.step(best?.item);
  }

  aside(way) {
    const current = this.canvas.selected && this.graph.shown(this.canvas.selected);
    const box = current && this.canvas.byItem.get(current);
    if (!box) return;
    const center = (b) => b.x + b.width / 2;
    const best = this.canvas.picture.boxes.filter((b) => b.depth === box.depth && (center(b) - center(box)) * way > 1)
      .sort((a, b) => Math.abs(a.y - box.y) + Math.abs(center(a) - center(box)) - Math.abs(b.y - box.y) - Math.abs(center(b) - center(box)))[0];
    this.step(best?.item);
  }

  step(item) {
    if (!item) return;
    this.select(item);
    this.canvas.show(item);
  }

  // ------------------------------------------------------------------------------------------------------ looks

  setTheme() {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    this.recolor();
  }

  recolor() {
    this.canvas.redraw();
    this.canvas.drawMinimap();
    this.canvas.draw();
    this.details.show(this.canvas.selected);
    this.showScale();
    this.redrawSheet?.();
  }

  toggleSource() {
    this.source.element.classList.toggle("hidden");
  }

  // ----------------------------------------------------------------------------------------------------- export

  exportSvg() {
    const text = new XMLSerializer().serializeToString(this.canvas.exported());
    download(new Blob([text], { type: "image/svg+xml" }), `${this.graph.document.name}.svg`);
  }

  exportPng() {
    const svg = this.canvas.exported();
    const [width, height] = [Number(svg.getAttribute("width")), Number(svg.getAttribute("height"))];
    const scale = Math.min(2, 16000 / Math.max(width, height));
    const image = new Image();
    image.onload = () => {
      const sheet = el("canvas", { width: Math.ceil(width * scale), height: Math.ceil(height * scale) });
      sheet.getContext("2d").drawImage(image, 0, 0, sheet.width, sheet.height);
      sheet.toBlob((blob) => download(blob, `${this.graph.document.name}.png`), "image/png");
    };
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(svg))}`;
  }
}

function download(blob, name) {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
