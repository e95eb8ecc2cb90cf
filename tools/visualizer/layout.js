// Where everything stands. Each unfolded block is laid out by itself, so that folding one moves only what is around it.
const SIZE = { line: 16, pad: 9, header: 24, inner: 14, rank: 36, node: 22, port: 12, large: 900 };
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
  const big = children.length > SIZE.large;
  const g = new dagre.graphlib.Graph({ multigraph: true });
  g.setGraph({ rankdir: "TB", nodesep: SIZE.node, ranksep: SIZE.rank, edgesep: 12, marginx: 0, marginy: 0,
    ranker: big ? "longest-path" : "network-simplex" });
  for (const { item: child, layout } of children) {
    g.setNode(String(child.id), { width: layout.width, height: layout.height });
  }
  for (const edge of local.edges.values()) {
    if (edge.recurrent) continue;
    g.setEdge(String(edge.a.id), String(edge.b.id), {}, String(edge.value));
  }
  addPorts(g, local);
  dagre.layout(g);
  item.layout = gather(g, item, children, local, style);
  item.layout.subtitle = subtitle;
  return item.layout;
}

// Values that cross a block's border enter at its top and leave at its bottom, each at a point of its own.
function addPorts(g, local) {
  const border = (side, ports) => {
    if (!ports.size) return;
    g.setNode(side, { width: 1, height: 1 });
    for (const { child, value } of ports.values()) {
      const port = `${side} ${value}`;
      if (!g.hasNode(port)) {
        g.setNode(port, { width: SIZE.port, height: 1 });
        const ends = side === "in" ? [side, port] : [port, side];
        g.setEdge(...ends, { weight: 50 }, "border");
      }
      const ends = side === "in" ? [port, String(child.id)] : [String(child.id), port];
      g.setEdge(...ends, {}, String(value));
    }
  };
  border("in", local.ins);
  border("out", local.outs);
}

function gather(g, item, children, local, style) {
  const boxes = children.map(({ item: child, layout }) => {
    const { x, y } = g.node(String(child.id));
    return { item: child, layout, x: x - layout.width / 2, y: y - layout.height / 2 };
  });
  const ports = { in: new Map(), out: new Map() };
  let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const box of boxes) {
    [left, right] = [Math.min(left, box.x), Math.max(right, box.x + box.layout.width)];
    [top, bottom] = [Math.min(top, box.y), Math.max(bottom, box.y + box.layout.height)];
  }
  for (const edge of g.edges()) {
    for (const { x } of g.edge(edge).points) [left, right] = [Math.min(left, x), Math.max(right, x)];
  }
  const bare = item.parent === null;
  const head = bare ? 0 : SIZE.header + 6;
  const margin = bare ? 0 : SIZE.inner;
  const minimum = bare ? 0 : textWidth(item.label, TITLE) + (item.name ? textWidth(item.name, SMALL) : 0) + 60;
  const extra = Math.max(0, minimum - (right - left + 2 * margin)) / 2;
  const [dx, dy] = [margin + extra - left, head + (local.ins.size ? SIZE.rank / 2 : margin / 2) - top];
  const width = right - left + 2 * (margin + extra);
  const height = bottom + dy + (local.outs.size ? SIZE.rank / 2 : 0) + (bare ? 0 : margin / 2);
  for (const side of ["in", "out"]) {
    for (const { value } of local[`${side}s`].values()) ports[side].set(value, g.node(`${side} ${value}`).x + dx);
  }
  const placed = new Map();
  for (const box of boxes) {
    box.x += dx;
    box.y += dy;
    placed.set(box.item, box);
  }
  const edges = routes(g, local, placed, ports, { dx, dy, height });
  return { width, height, boxes, edges, ports, unfolded: true };
}

function routes(g, local, placed, ports, { dx, dy, height }) {
  // An edge leaves and enters a folded box away from its corners, an unfolded one at the value's port.
  const along = (box, at, x) => {
    const margin = Math.min(14, box.layout.width / 3);
    return at === undefined ? Math.max(box.x + margin, Math.min(box.x + box.layout.width - margin, x)) : box.x + at;
  };
  const start = (child, value, x) => {
    const box = placed.get(child);
    return { x: along(box, box.layout.ports?.out.get(value), x), y: box.y + box.layout.height };
  };
  const end = (child, value, x) => {
    const box = placed.get(child);
    return { x: along(box, box.layout.ports?.in.get(value), x), y: box.y };
  };
  const found = [];
  const between = (from, to, value) => g.edge(from, to, String(value)).points.map((p) => ({ x: p.x + dx, y: p.y + dy }));
  for (const edge of local.edges.values()) {
    if (edge.recurrent) {
      found.push({ ...edge, points: loop(placed.get(edge.a), placed.get(edge.b)) });
      continue;
    }
    const points = between(String(edge.a.id), String(edge.b.id), edge.value);
    points[0] = start(edge.a, edge.value, points[0].x);
    points[points.length - 1] = end(edge.b, edge.value, points[points.length - 1].x);
    found.push({ ...edge, points });
  }
  for (const { child, value } of local.ins.values()) {
    const points = between(`in ${value}`, String(child.id), value);
    points[0] = { x: ports.in.get(value), y: 0 };
    points[points.length - 1] = end(child, value, points[points.length - 1].x);
    found.push({ a: null, b: child, value, shape: "", points, inner: true });
  }
  for (const { child, value } of local.outs.values()) {
    const points = between(String(child.id), `out ${value}`, value);
    points[0] = start(child, value, points[0].x);
    points[points.length - 1] = { x: ports.out.get(value), y: height };
    found.push({ a: child, b: null, value, shape: "", points, inner: true });
  }
  return found;
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
    for (const box of layout.boxes) {
      pending.push({ item: box.item, layout: box.layout, x: x + box.x, y: y + box.y, depth: depth + 1 });
    }
  }
  return { boxes, edges, width: graph.root.layout.width, height: graph.root.layout.height };
}
