// The picture of one graph: drawn as SVG, only what is in sight; pan, zoom, selection, folding, mini-map.
const SVG = "http://www.w3.org/2000/svg";
const FAR = 0.3; // Below this scale texts are too small to read, and are left out.

function make(name, attributes = {}, parent = null, text = null) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== null) element.textContent = text;
  if (parent) parent.append(element);
  return element;
}

function round(value) {
  return Math.round(value * 10) / 10;
}

class Canvas {
  constructor(container, graph, style, events) {
    Object.assign(this, { container, graph, style, events });
    this.scale = 1;
    this.origin = { x: 0, y: 0 };
    this.selected = null;
    this.lit = null;
    this.svg = make("svg", { tabindex: 0, role: "application", class: "canvas",
      "aria-label": `graph of ${graph.document.name}; arrow keys move, Enter folds and unfolds` });
    this.world = make("g", {}, this.svg);
    container.append(this.svg);
    this.minimap = document.createElement("canvas");
    this.minimap.className = "minimap";
    this.minimap.setAttribute("aria-hidden", "true");
    container.append(this.minimap);
    this.listen();
  }

  // ------------------------------------------------------------------------------------------------------- layout

  arrange() {
    layOut(this.graph, this.style);
    this.picture = flatten(this.graph);
    this.byItem = new Map(this.picture.boxes.map((box) => [box.item, box]));
    this.drawn = null;
    this.drawMinimap();
    this.draw();
  }

  // A new arrangement in which the item stays where it is on the screen.
  rearrange(item) {
    const anchor = item && this.byItem?.get(this.graph.shown(item));
    const before = anchor && { x: anchor.x + anchor.width / 2, y: anchor.y };
    layOut(this.graph, this.style);
    this.picture = flatten(this.graph);
    this.byItem = new Map(this.picture.boxes.map((box) => [box.item, box]));
    const after = before && this.byItem.get(this.graph.shown(item));
    if (after) {
      this.origin.x += (before.x - after.x - after.width / 2) * this.scale;
      this.origin.y += (before.y - after.y) * this.scale;
    }
    this.drawn = null;
    this.drawMinimap();
    this.draw();
  }

  fit(wide = false) {
    const { clientWidth: w, clientHeight: h } = this.container;
    const { width, height } = this.picture;
    const whole = Math.min((w - 60) / width, (h - 60) / height, 1.1);
    // A deep net does not fit on a screen: it is better read from its top, at a size that can be read.
    this.scale = wide ? whole : Math.max(whole, Math.min(0.62, (w - 40) / width, 1));
    this.origin.x = (w - width * this.scale) / 2;
    this.origin.y = whole === this.scale ? (h - height * this.scale) / 2 : 30;
    this.draw();
  }

  toWorld(x, y) {
    return { x: (x - this.origin.x) / this.scale, y: (y - this.origin.y) / this.scale };
  }

  at(clientX, clientY) {
    const bounds = this.svg.getBoundingClientRect();
    const { x, y } = this.toWorld(clientX - bounds.left, clientY - bounds.top);
    let found = null;
    for (const box of this.picture.boxes) {
      if (box.item !== this.graph.root && x >= box.x && x <= box.x + box.width && y >= box.y && y <= box.y + box.height
        && (!found || box.depth > found.depth)) found = box;
    }
    return found && { ...found, header: y <= found.y + SIZE.header + 4 };
  }

  zoom(factor, x = this.container.clientWidth / 2, y = this.container.clientHeight / 2) {
    const scale = Math.max(0.02, Math.min(4, this.scale * factor));
    this.origin.x = x - ((x - this.origin.x) * scale) / this.scale;
    this.origin.y = y - ((y - this.origin.y) * scale) / this.scale;
    this.scale = scale;
    this.draw();
  }

  pan(dx, dy) {
    this.origin.x += dx;
    this.origin.y += dy;
    this.draw();
  }

  show(item) {
    const box = this.byItem.get(this.graph.shown(item));
    if (!box) return;
    const { clientWidth: w, clientHeight: h } = this.container;
    const [x, y] = [box.x * this.scale + this.origin.x, box.y * this.scale + this.origin.y];
    const inside = x > 20 && y > 20 && x + box.width * this.scale < w - 20 && y + Math.min(box.height * this.scale, h) < h - 10;
    if (inside && this.scale > FAR) return;
    if (this.scale <= FAR) this.scale = 0.8;
    this.origin.x = w / 2 - (box.x + box.width / 2) * this.scale;
    this.origin.y = Math.min(h / 2, h * 0.3 + 20) - (box.y + Math.min(box.height, h / this.scale) / 3) * this.scale;
    this.draw();
  }

  // ------------------------------------------------------------------------------------------------------ drawing

  draw() {
    if (!this.picture) return;
    this.world.setAttribute("transform", `translate(${round(this.origin.x)} ${round(this.origin.y)}) scale(${this.scale})`);
    const sight = this.sight();
    const near = this.scale >= FAR;
    const known = this.drawn;
    if (!known || known.near !== near || sight.left < known.left || sight.top < known.top
      || sight.right > known.right || sight.bottom > known.bottom) this.redraw(sight, near);
    this.drawFrame(sight);
    const { width, height } = this.picture;
    const seen = ((sight.right - sight.left) * (sight.bottom - sight.top)) / (width * height);
    this.minimap.classList.toggle("hidden", seen > 0.97);
  }

  sight() {
    const { clientWidth: w, clientHeight: h } = this.container;
    const [a, b] = [this.toWorld(0, 0), this.toWorld(w, h)];
    const { width, height } = this.picture;
    return { left: Math.max(a.x, 0), top: Math.max(a.y, 0), right: Math.min(b.x, width), bottom: Math.min(b.y, height) };
  }

  redraw(sight = this.sight(), near = this.scale >= FAR) {
    const [w, h] = [sight.right - sight.left, sight.bottom - sight.top];
    const area = { left: sight.left - w * 0.6, right: sight.right + w * 0.6, top: sight.top - h * 0.6,
      bottom: sight.bottom + h * 0.6, near };
    this.drawn = area;
    this.world.replaceChildren();
    this.paint(this.world, area, near);
  }

  paint(parent, area, near) {
    const colors = theme();
    const boxes = this.picture.boxes.filter((box) => box.x <= area.right && box.x + box.width >= area.left
      && box.y <= area.bottom && box.y + box.height >= area.top);
    const blocks = make("g", {}, parent);
    const lines = make("g", { fill: "none" }, parent);
    const heads = make("g", {}, parent);
    const nodes = make("g", {}, parent);
    for (const box of boxes) {
      if (box.item === this.graph.root) continue;
      if (box.layout.unfolded) this.paintBlock(blocks, heads, box, colors, near);
      else this.paintNode(nodes, box, colors, near);
    }
    this.paintEdges(lines, area, colors, near);
    if (near) this.paintShapes(nodes, area, colors);
    this.paintSelection(nodes, colors);
  }

  paintBlock(parent, heads, box, colors, near) {
    const { item } = box;
    const border = this.style.border(item) ?? kindColors(item.kind).stroke;
    make("rect", { x: round(box.x), y: round(box.y), width: round(box.width), height: round(box.height), rx: 10,
      fill: box.depth % 2 ? colors.block : colors.paper, stroke: border, "stroke-width": this.style.border(item) ? 2 : 1,
      ...this.dimming(item) }, parent);
    if (!near) return;
    const text = make("text", { x: round(box.x + 26), y: round(box.y + 19), "font-family": FONT, "font-size": 13,
      "font-weight": 600, fill: colors.ink, stroke: box.depth % 2 ? colors.block : colors.paper, "stroke-width": 4,
      "paint-order": "stroke", "stroke-linejoin": "round", ...this.dimming(item) }, heads, item.label);
    this.paintName(text, item, colors);
    this.paintSign(heads, box.x + 14, box.y + 14, false, kindColors(item.kind).mark);
  }

  paintName(text, item, colors) {
    if (!item.name) return;
    make("tspan", { dx: 7, "font-size": 11, "font-weight": 400, fill: colors.soft }, text, item.name);
  }

  paintSign(parent, x, y, folded, color) {
    const d = folded ? `M${x - 4} ${y}h8M${x} ${y - 4}v8` : `M${x - 4} ${y}h8`;
    make("circle", { cx: x, cy: y, r: 7, fill: color, opacity: 0.16 }, parent);
    make("path", { d, stroke: color, "stroke-width": 1.6, fill: "none", "stroke-linecap": "round" }, parent);
  }

  paintNode(parent, box, colors, near) {
    const { item } = box;
    const kind = kindColors(item.kind);
    const border = this.style.border(item);
    const fill = this.style.fill(item) ?? kind.fill;
    const place = { x: round(box.x), y: round(box.y), width: round(box.width), height: round(box.height) };
    const group = make("g", this.dimming(item), parent);
    const round_ = ["input", "loss", "metric", "output"].includes(item.kind) ? 14 : item.children.length ? 8 : 6;
    if (near && item.type === "series") {
      for (const step of [6, 3]) {
        make("rect", { ...place, x: place.x + step, y: place.y + step, rx: round_, fill, stroke: border ?? kind.stroke }, group);
      }
    }
    make("rect", { ...place, rx: round_, fill, stroke: border ?? kind.stroke, "stroke-width": border ? 2.4 : 1.2,
      ...(item.kind === "parameter" ? { "stroke-dasharray": "3 2" } : {}) }, group);
    if (!near) return;
    make("rect", { x: place.x, y: place.y + 5, width: 3.5, height: place.height - 10, rx: 1.7, fill: kind.mark }, group);
    const middle = place.y + place.height / 2;
    const first = box.layout.subtitle ? middle - 2.5 : middle + 4.5;
    const text = make("text", { x: place.x + 12, y: round(first), "font-family": FONT, "font-size": 13, "font-weight": 600,
      fill: colors.ink }, group, item.label);
    this.paintName(text, item, colors);
    if (box.layout.subtitle) {
      make("text", { x: place.x + 12, y: round(middle + 12), "font-family": FONT, "font-size": 11,
        fill: this.style.overlay ? colors.ink : colors.soft }, group, box.layout.subtitle);
    }
    if (item.children.length) this.paintSign(group, place.x + place.width - 13, place.y + 13, true, kind.mark);
  }

  dimming(item) {
    return this.lit && !this.isLit(item) ? { opacity: 0.28 } : {};
  }

  isLit(item) {
    return this.lit.shown.has(item);
  }

  light(found) {
    this.lit = found && { ...found, shown: new Set(), values: new Set() };
    if (found) {
      for (const item of found.items) {
        for (let each = item; each; each = each.parent) this.lit.shown.add(each);
      }
      this.relight();
    }
    this.redraw();
  }

  // Which of the drawn edges stand for an edge of a lit path: those whose ends hold its ends and that carry its value.
  relight() {
    for (const edge of this.lit.edges) {
      for (const a of ancestors(edge.source)) for (const b of [edge.value]) this.lit.values.add(`${a.id}>${b}`);
      for (const b of ancestors(edge.target)) this.lit.values.add(`${edge.value}>${b.id}`);
    }
  }

  edgeLit(edge) {
    if (!this.lit) return false;
    const out = edge.a === null || this.lit.values.has(`${edge.a.id}>${edge.value}`);
    const into = edge.b === null || this.lit.values.has(`${edge.value}>${edge.b.id}`);
    return out && into;
  }

  paintEdges(parent, area, colors, near) {
    const reverse = this.style.reverse();
    const plain = [];
    const strong = [];
    const arrows = [];
    for (const edge of this.picture.edges) {
      const ys = edge.points.map((p) => p.y);
      const xs = edge.points.map((p) => p.x);
      if (Math.min(...ys) > area.bottom || Math.max(...ys) < area.top || Math.min(...xs) > area.right
        || Math.max(...xs) < area.left) continue;
      const lit = this.edgeLit(edge);
      const line = curve(edge.points);
      if (edge.recurrent) make("path", { d: line, stroke: colors.soft, "stroke-dasharray": "5 4", "stroke-width": 1.3 }, parent);
      else (lit ? strong : plain).push(line);
      const toBlock = edge.b !== null && edge.b.unfolded && edge.b.children.length;
      const fromBlock = edge.a !== null && edge.a.unfolded && edge.a.children.length;
      const tip = edge.points[edge.points.length - 1];
      if (near && !reverse && edge.b !== null && !toBlock && !edge.recurrent) arrows.push([tip, 1, lit]);
      if (near && reverse && edge.a !== null && !fromBlock && !edge.recurrent) arrows.push([edge.points[0], -1, lit]);
    }
    const faint = this.lit ? { opacity: 0.3 } : {};
    if (plain.length) make("path", { d: plain.join(""), stroke: colors.edge, "stroke-width": 1.3, ...faint }, parent);
    const glow = reverse ? colors.reverse : colors.path;
    if (strong.length) {
      make("path", { d: strong.join(""), stroke: glow, "stroke-width": near ? 2.6 : 5, class: reverse ? "flow" : "" }, parent);
    }
    for (const [{ x, y }, way, lit] of arrows) {
      const d = `M${round(x - 3.6)} ${round(y - 7 * way)}L${round(x)} ${round(y)}L${round(x + 3.6)} ${round(y - 7 * way)}Z`;
      make("path", { d, fill: lit ? glow : colors.edge, ...(lit ? {} : faint) }, parent);
    }
  }

  // One label for each tensor, just below where it is made.
  paintShapes(parent, area, colors) {
    const named = new Set();
    for (const edge of this.picture.edges) {
      if (edge.inner || edge.recurrent || edge.a.kind === "parameter") continue;
      const key = `${edge.a.id} ${edge.shape}`;
      const { x, y } = edge.points[0];
      if (named.has(key) || y < area.top || y > area.bottom || x < area.left || x > area.right) continue;
      named.add(key);
      make("text", { x: round(x + 5), y: round(y + 13), "font-family": FONT, "font-size": 10, fill: colors.soft,
        stroke: colors.paper, "stroke-width": 3, "paint-order": "stroke", "stroke-linejoin": "round",
        ...(this.lit && !this.edgeLit(edge) ? { opacity: 0.3 } : {}) }, parent, edge.shape.replace(/\[(.*)\]/, (_, sizes) => ` ${sizes.replaceAll(", ", "×")}`).trim());
    }
  }

  paintSelection(parent, colors) {
    const box = this.selected && this.byItem.get(this.graph.shown(this.selected));
    if (!box || box.item === this.graph.root) return;
    make("rect", { x: round(box.x - 3), y: round(box.y - 3), width: round(box.width + 6), height: round(box.height + 6), rx: 10,
      fill: "none", stroke: colors.select, "stroke-width": Math.max(2.4, 2 / this.scale) }, parent);
  }

  // ------------------------------------------------------------------------------------------------------ minimap

  drawMinimap() {
    const { width, height } = this.picture;
    const ratio = window.devicePixelRatio || 1;
    const scale = Math.min(150 / width, 210 / height);
    const [w, h] = [Math.max(24, width * scale), Math.max(24, height * scale)];
    Object.assign(this.minimap.style, { width: `${w}px`, height: `${h}px` });
    [this.minimap.width, this.minimap.height] = [w * ratio, h * ratio];
    this.miniature = { scale: scale * ratio, css: scale };
    const pen = this.minimap.getContext("2d");
    for (const box of this.picture.boxes) {
      if (box.item === this.graph.root) continue;
      const kind = kindColors(box.item.kind);
      const colored = this.style.statuses ? this.style.border(box.item) ?? theme().border : this.style.fill(box.item) ?? kind.stroke;
      pen.fillStyle = box.layout.unfolded ? theme().block : colored;
      const s = this.miniature.scale;
      pen.fillRect(box.x * s, box.y * s, Math.max(1, box.width * s), Math.max(1, box.height * s));
    }
    this.miniature.image = document.createElement("canvas");
    [this.miniature.image.width, this.miniature.image.height] = [this.minimap.width, this.minimap.height];
    this.miniature.image.getContext("2d").drawImage(this.minimap, 0, 0);
  }

  drawFrame({ left, top, right, bottom }) {
    const pen = this.minimap.getContext("2d");
    const s = this.miniature.scale;
    pen.clearRect(0, 0, this.minimap.width, this.minimap.height);
    pen.drawImage(this.miniature.image, 0, 0);
    pen.strokeStyle = theme().select;
    pen.lineWidth = 2;
    pen.strokeRect(left * s + 1, top * s + 1, Math.max(4, (right - left) * s - 2), Math.max(4, (bottom - top) * s - 2));
  }

  // ------------------------------------------------------------------------------------------------------- events

  listen() {
    let drag = null;
    this.svg.addEventListener("pointerdown", (event) => {
      drag = { x: event.clientX, y: event.clientY, moved: false };
      this.svg.setPointerCapture(event.pointerId);
    });
    this.svg.addEventListener("pointermove", (event) => {
      if (!drag) return;
      const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
      if (!drag.moved && Math.abs(dx) + Math.abs(dy) < 4) return;
      drag = { x: event.clientX, y: event.clientY, moved: true };
      this.pan(dx, dy);
    });
    this.svg.addEventListener("pointerup", (event) => {
      const clicked = drag && !drag.moved;
      drag = null;
      if (clicked) this.click(event);
    });
    this.svg.addEventListener("dblclick", (event) => {
      const box = this.at(event.clientX, event.clientY);
      if (box) this.events.toggle(box.item);
    });
    this.svg.addEventListener("wheel", (event) => {
      event.preventDefault();
      const bounds = this.svg.getBoundingClientRect();
      if (event.ctrlKey || event.metaKey || !event.shiftKey && Math.abs(event.deltaY) >= 50 && event.deltaX === 0) {
        this.zoom(Math.exp(-event.deltaY * 0.0016), event.clientX - bounds.left, event.clientY - bounds.top);
      } else {
        this.pan(event.shiftKey ? -event.deltaY : -event.deltaX, event.shiftKey ? 0 : -event.deltaY);
      }
    }, { passive: false });
    const jump = (event) => {
      const bounds = this.minimap.getBoundingClientRect();
      const x = (event.clientX - bounds.left) / this.miniature.css;
      const y = (event.clientY - bounds.top) / this.miniature.css;
      this.origin.x = this.container.clientWidth / 2 - x * this.scale;
      this.origin.y = this.container.clientHeight / 2 - y * this.scale;
      this.draw();
    };
    this.minimap.addEventListener("pointerdown", (event) => {
      this.minimap.setPointerCapture(event.pointerId);
      jump(event);
    });
    this.minimap.addEventListener("pointermove", (event) => event.buttons && jump(event));
    new ResizeObserver(() => this.draw()).observe(this.container);
  }

  click(event) {
    const box = this.at(event.clientX, event.clientY);
    if (!box) {
      this.events.select(null);
      return;
    }
    const bounds = this.svg.getBoundingClientRect();
    const { x } = this.toWorld(event.clientX - bounds.left, 0);
    const { y } = this.toWorld(0, event.clientY - bounds.top);
    const onSign = box.layout.unfolded
      ? x < box.x + 26 && y < box.y + 26
      : x > box.x + box.width - 24 && y < box.y + 24;
    if (box.item.children.length && onSign) this.events.toggle(box.item);
    else this.events.select(box.item);
  }

  // -------------------------------------------------------------------------------------------------------- export

  exported() {
    const { width, height } = this.picture;
    const svg = make("svg", { xmlns: SVG, viewBox: `-20 -20 ${Math.ceil(width + 40)} ${Math.ceil(height + 40)}`,
      width: Math.ceil(width + 40), height: Math.ceil(height + 40) });
    make("title", {}, svg, this.graph.document.name);
    make("rect", { x: -20, y: -20, width: Math.ceil(width + 40), height: Math.ceil(height + 40), fill: theme().paper }, svg);
    this.paint(make("g", {}, svg), { left: 0, right: width, top: 0, bottom: height }, true);
    return svg;
  }
}

// A smooth line through the points, upright at each.
function curve(points) {
  let d = `M${round(points[0].x)} ${round(points[0].y)}`;
  for (let k = 1; k < points.length; k += 1) {
    const [a, b] = [points[k - 1], points[k]];
    if (Math.abs(a.x - b.x) < 0.5) {
      d += `L${round(b.x)} ${round(b.y)}`;
      continue;
    }
    const middle = round((a.y + b.y) / 2);
    d += `C${round(a.x)} ${middle} ${round(b.x)} ${middle} ${round(b.x)} ${round(b.y)}`;
  }
  return d;
}
