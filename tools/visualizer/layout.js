// Where everything stands. Each unfolded block is laid out by itself, so that folding one moves only what is around it.
const SIZE = { line: 16, pad: 9, header: 24, inner: 14, rank: 36, node: 22, port: 12, large: 700 };
const measuring = document.createElement("canvas").getContext("2d");
const widths = new Map();

function textWidth(text, font) {
  const key = font + text;
  if (!widths.has(key)) {
    measuring.font = font;
    widths.set(key, measuring.measureText(text).width);
  }
  return widths.get(key);
}

const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif";
const TITLE = `600 13px ${FONT}`;
const SMALL = `11px ${FONT}`;

// `weight` (0 to 1) makes a box larger: what an overlay measures.
function boxSize(item, subtitle, weight) {
  const name = item.name ? textWidth(item.name, SMALL) + 8 : 0;
  const sign = item.children.length ? 18 : 0;
  const width = Math.max(textWidth(item.label, TITLE) + name + sign, subtitle ? textWidth(subtitle, SMALL) : 0);
  const height = SIZE.line + (subtitle ? SIZE.line - 2 : 0) + SIZE.pad * 2 - 5;
  const grown = 1 + 0.9 * Math.sqrt(weight);
  return { width: Math.ceil(width + SIZE.pad * 2 + 4) * (1 + (grown - 1) / 3), height: height * grown };
}

function layOut(graph, style) {
  return place(graph, graph.root, style);
}

function place(graph, item, style) {
  if (item.layout) return item.layout;
  const subtitle = style.subtitle(item);
  if (!item.unfolded || !item.children.length) {
    item.layout = { ...boxSize(item, subtitle, style.weight(item)), subtitle, unfolded: false };
    return item.layout;
  }
  const local = graph.local.get(item);
  const children = item.children.map((child) => ({ item: child, layout: place(graph, child, style) }));
  item.layout = gather(arranged(children, local), item, children, local, style);
  item.layout.subtitle = subtitle;
  return item.layout;
}

// The places of equal blocks are the same: what is inside is named by its number, and laid out once.
const arrangements = new Map();
const MOST_ARRANGEMENTS = 4000;

function arranged(children, local) {
  const names = new Names(children, local);
  const sizes = children.map(({ layout }) => [layout.width, layout.height]);
  const key = JSON.stringify([sizes, names.edges, names.ins, names.outs]);
  if (!arrangements.has(key)) {
    if (arrangements.size >= MOST_ARRANGEMENTS) arrangements.clear();
    arrangements.set(key, children.length > SIZE.large ? stacked(sizes, names) : layered(sizes, names));
  }
  const places = arrangements.get(key);
  return {
    node: (child) => places.nodes[names.number.get(child)],
    port: (side, value) => places.ports[`${side} ${names.values.get(value)}`],
    points: (a, b, value) => places.edges[names.edge(a, b, value)],
  };
}

class Names {
  constructor(children, local) {
    this.number = new Map(children.map(({ item }, k) => [item, k]));
    this.values = new Map();
    this.edges = [...local.edges.values()].filter((e) => !e.recurrent).map((e) => [this.number.get(e.a), this.number.get(e.b), this.value(e.value)]);
    this.ins = [...local.ins.values()].map(({ child, value }) => [this.number.get(child), this.value(value)]);
    this.outs = [...local.outs.values()].map(({ child, value }) => [this.number.get(child), this.value(value)]);
  }

  value(value) {
    if (!this.values.has(value)) this.values.set(value, this.values.size);
    return this.values.get(value);
  }

  // The ends of an edge are children, "in" or "out".
  edge(a, b, value) {
    const name = (end) => (typeof end === "string" ? end : this.number.get(end));
    return `${name(a)} ${name(b)} ${this.values.get(value)}`;
  }
}

function layered(sizes, names) {
  const g = new dagre.graphlib.Graph({ multigraph: true });
  g.setGraph({ rankdir: "TB", nodesep: SIZE.node, ranksep: SIZE.rank, edgesep: 12, marginx: 0, marginy: 0 });
  sizes.forEach(([width, height], k) => g.setNode(String(k), { width, height }));
  for (const [a, b, value] of names.edges) g.setEdge(String(a), String(b), {}, String(value));
  addPorts(g, "in", names.ins);
  addPorts(g, "out", names.outs);
  dagre.layout(g);
  const found = { nodes: sizes.map((_, k) => g.node(String(k))), ports: {}, edges: {} };
  for (const edge of g.edges()) {
    if (edge.name === "border") continue;
    const ends = [edge.v, edge.w].map((end) => end.split(" ")[0]);
    found.edges[`${ends[0]} ${ends[1]} ${edge.name}`] = g.edge(edge).points;
  }
  for (const node of g.nodes()) if (node.includes(" ")) found.ports[node] = g.node(node);
  sink(found, sizes, names);
  return found;
}

// What nothing feeds stands just above what it feeds, though it shares a row with a tall block.
function sink(found, sizes, names) {
  const fed = new Set([...names.edges.map(([, b]) => b), ...names.ins.map(([child]) => child)]);
  sizes.forEach(([, height], k) => {
    const leaving = names.edges.filter(([a]) => a === k);
    if (fed.has(k) || !leaving.length || names.outs.some(([child]) => child === k)) return;
    const lowest = Math.min(...leaving.map(([, b]) => found.nodes[b].y - sizes[b][1] / 2)) - SIZE.rank - height / 2;
    if (lowest <= found.nodes[k].y) return;
    found.nodes[k] = { ...found.nodes[k], y: lowest };
    for (const [a, b, value] of leaving) {
      const [first, ...rest] = found.edges[`${a} ${b} ${value}`];
      const below = rest.filter((point) => point.y > lowest + height / 2);
      found.edges[`${a} ${b} ${value}`] = [{ x: first.x, y: lowest + height / 2 }, ...(below.length ? below : rest.slice(-1))];
    }
  });
}

// Values that cross a block's border enter at its top and leave at its bottom, each at a point of its own.
function addPorts(g, side, ports) {
  if (!ports.length) return;
  g.setNode(side, { width: 1, height: 1 });
  for (const [child, value] of ports) {
    const port = `${side} ${value}`;
    if (!g.hasNode(port)) {
      g.setNode(port, { width: SIZE.port, height: 1 });
      g.setEdge(...(side === "in" ? [side, port] : [port, side]), { weight: 50 }, "border");
    }
    g.setEdge(...(side === "in" ? [port, String(child)] : [String(child), port]), {}, String(value));
  }
}

// For blocks with very many parts: rows by the longest path, long ways along the right side.
function stacked(sizes, names) {
  const before = sizes.map(() => []);
  const after = sizes.map(() => []);
  for (const [a, b] of names.edges) { before[b].push(a); after[a].push(b); }
  const waiting = before.map((list) => list.length);
  const rank = sizes.map(() => 0);
  const ready = [...waiting.keys()].filter((k) => waiting[k] === 0);
  for (const k of ready) {
    for (const next of after[k]) {
      rank[next] = Math.max(rank[next], rank[k] + 1);
      if (--waiting[next] === 0) ready.push(next);
    }
  }
  const rows = [];
  for (const k of ready) (rows[rank[k]] ??= []).push(k);
  const nodes = [];
  let y = 0;
  let right = 0;
  for (const row of rows) {
    const wish = (k) => (before[k].length ? before[k].reduce((sum, p) => sum + (nodes[p]?.x ?? 0), 0) / before[k].length : 0);
    const wishes = new Map(row.map((k) => [k, wish(k)]));
    row.sort((p, q) => wishes.get(p) - wishes.get(q));
    const width = row.reduce((sum, k) => sum + sizes[k][0] + SIZE.node, -SIZE.node);
    const height = Math.max(...row.map((k) => sizes[k][1]));
    let x = row.reduce((sum, k) => sum + wishes.get(k), 0) / row.length * 0.9 - width / 2;
    for (const k of row) {
      nodes[k] = { x: x + sizes[k][0] / 2, y: y + height / 2 };
      x += sizes[k][0] + SIZE.node;
      right = Math.max(right, x);
    }
    y += height + SIZE.rank;
  }
  const found = { nodes: sizes.map((_, k) => nodes[k] ?? { x: 0, y: 0 }), ports: {}, edges: {} };
  const top = (k) => ({ x: found.nodes[k].x, y: found.nodes[k].y - sizes[k][1] / 2 });
  const bottom = (k) => ({ x: found.nodes[k].x, y: found.nodes[k].y + sizes[k][1] / 2 });
  for (const [a, b, value] of names.edges) {
    const [from, to] = [bottom(a), top(b)];
    const side = right + 10 + (value % 12) * 5;
    const way = rank[b] - rank[a] > 1 ? [{ x: side, y: from.y + SIZE.rank }, { x: side, y: to.y - SIZE.rank }] : [];
    found.edges[`${a} ${b} ${value}`] = [from, ...way, to];
  }
  for (const [child, value] of names.ins) {
    const to = top(child);
    found.ports[`in ${value}`] ??= { x: to.x, y: -SIZE.rank };
    found.edges[`in ${child} ${value}`] = [found.ports[`in ${value}`], to].map((p) => ({ ...p }));
  }
  for (const [child, value] of names.outs) {
    const from = bottom(child);
    found.ports[`out ${value}`] ??= { x: from.x, y: y + SIZE.rank };
    found.edges[`${child} out ${value}`] = [from, found.ports[`out ${value}`]].map((p) => ({ ...p }));
  }
  return found;
}

function gather(places, item, children, local, style) {
  const boxes = children.map(({ item: child, layout }) => {
    const { x, y } = places.node(child);
    return { item: child, layout, x: x - layout.width / 2, y: y - layout.height / 2 };
  });
  const ports = { in: new Map(), out: new Map() };
  let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const box of boxes) {
    [left, right] = [Math.min(left, box.x), Math.max(right, box.x + box.layout.width)];
    [top, bottom] = [Math.min(top, box.y), Math.max(bottom, box.y + box.layout.height)];
  }
  const ways = [];
  for (const edge of local.edges.values()) {
    if (!edge.recurrent) ways.push({ edge, points: places.points(edge.a, edge.b, edge.value) });
  }
  for (const { child, value } of local.ins.values()) {
    ways.push({ edge: { a: null, b: child, value, shape: "", inner: true }, points: places.points("in", child, value) });
  }
  for (const { child, value } of local.outs.values()) {
    ways.push({ edge: { a: child, b: null, value, shape: "", inner: true }, points: places.points(child, "out", value) });
  }
  for (const { points } of ways) for (const { x } of points) [left, right] = [Math.min(left, x), Math.max(right, x)];
  const bare = item.parent === null;
  const head = bare ? 0 : SIZE.header + 6;
  const margin = bare ? 0 : SIZE.inner;
  const minimum = bare ? 0 : textWidth(item.label, TITLE) + (item.name ? textWidth(item.name, SMALL) : 0) + 60;
  const extra = Math.max(0, minimum - (right - left + 2 * margin)) / 2;
  const [dx, dy] = [margin + extra - left, head + (local.ins.size ? SIZE.rank / 2 : margin / 2) - top];
  const width = right - left + 2 * (margin + extra);
  const height = bottom + dy + (local.outs.size ? SIZE.rank / 2 : 0) + (bare ? 0 : margin / 2);
  for (const side of ["in", "out"]) {
    for (const { value } of local[`${side}s`].values()) ports[side].set(value, places.port(side, value).x + dx);
  }
  const placed = new Map();
  for (const box of boxes) {
    box.x += dx;
    box.y += dy;
    placed.set(box.item, box);
  }
  const edges = ways.map(({ edge, points }) => ({ ...edge, points: route(edge, points, placed, ports, { dx, dy, height }) }));
  for (const edge of local.edges.values()) {
    if (edge.recurrent) edges.push({ ...edge, points: loop(placed.get(edge.a), placed.get(edge.b)) });
  }
  return { width, height, boxes, edges, ports, unfolded: true };
}

// An edge leaves and enters a folded box away from its corners, an unfolded one at the value's port.
function route({ a, b, value }, points, placed, ports, { dx, dy, height }) {
  const moved = points.map((p) => ({ x: p.x + dx, y: p.y + dy }));
  const along = (box, at, x) => {
    const margin = Math.min(14, box.layout.width / 3);
    return at === undefined ? Math.max(box.x + margin, Math.min(box.x + box.layout.width - margin, x)) : box.x + at;
  };
  const [from, to] = [a && placed.get(a), b && placed.get(b)];
  const last = moved.length - 1;
  moved[0] = from ? { x: along(from, from.layout.ports?.out.get(value), moved[0].x), y: from.y + from.layout.height } : { x: ports.in.get(value), y: 0 };
  moved[last] = to ? { x: along(to, to.layout.ports?.in.get(value), moved[last].x), y: to.y } : { x: ports.out.get(value), y: height };
  return moved;
}

// A state's way from one step to the next: up the right side.
function loop(from, to) {
  const x = Math.max(from.x + from.layout.width, to.x + to.layout.width) + 16;
  const [y0, y1] = [from.y + from.layout.height / 2, to.y + to.layout.height / 2];
  return [
    { x: from.x + from.layout.width, y: y0 }, { x, y: (2 * y0 + y1) / 3 }, { x, y: (y0 + 2 * y1) / 3 },
    { x: to.x + to.layout.width, y: y1 },
  ];
}

// Everything in one list with absolute places, blocks before what is in them.
function flatten(graph) {
  const boxes = [];
  const edges = [];
  const pending = [{ item: graph.root, layout: graph.root.layout, x: 0, y: 0, depth: 0 }];
  while (pending.length) {
    const { item, layout, x, y, depth } = pending.pop();
    boxes.push({ item, layout, x, y, width: layout.width, height: layout.height, depth });
    if (!layout.unfolded) continue;
    for (const edge of layout.edges) {
      edges.push({ ...edge, container: item, points: edge.points.map((p) => ({ x: p.x + x, y: p.y + y })) });
    }
    for (const box of [...layout.boxes].reverse()) {
      pending.push({ item: box.item, layout: box.layout, x: x + box.x, y: y + box.y, depth: depth + 1 });
    }
  }
  return { boxes, edges, width: graph.root.layout.width, height: graph.root.layout.height };
}
