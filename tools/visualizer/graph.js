// The document as a tree of items with the edges that each block sees: lifted to its children, or crossing its border.
class Graph {
  constructor(document) {
    this.document = document;
    this.items = document.items.map((entry) => ({
      flops: 0, bytes: 0, children: [], variables: [], hyperparameters: {}, inputs: [], outputs: [], nodes: [],
      ...entry,
    }));
    for (const item of this.items) {
      item.parent = item.parent === null ? null : this.items[item.parent];
      item.children = item.children.map((id) => this.items[id]);
      item.unfolded = false;
      item.parameters = item.variables.reduce((sum, path) => sum + count(document.parameters[path]), 0);
    }
    this.root = this.items[0];
    this.root.unfolded = true;
    this.local = new Map(this.items.filter((item) => item.children.length).map((item) => [item, newLocal()]));
    this.after = new Map();
    this.before = new Map();
    this.edges = document.edges.map(([source, target, shape, value, recurrent, smooth]) => ({
      source: this.items[source], target: this.items[target], shape, value,
      recurrent: Boolean(recurrent), smooth: Boolean(smooth),
    }));
    for (const edge of this.edges) this.lift(edge);
    this.unfoldFirst();
  }

  lift(edge) {
    append(this.after, edge.source, edge);
    append(this.before, edge.target, edge);
    const from = ancestors(edge.source);
    const to = ancestors(edge.target);
    let common = 0;
    while (from[common] === to[common] && common < from.length - 1 && common < to.length - 1) common += 1;
    const container = from[common - 1];
    const [a, b] = [from[common], to[common]];
    const key = `${a.id} ${b.id} ${edge.value}`;
    const edges = this.local.get(container).edges;
    if (!edges.has(key)) edges.set(key, { ...edge, a, b });
    for (let k = common; k < from.length - 1; k += 1) {
      this.local.get(from[k]).outs.set(`${from[k + 1].id} ${edge.value}`, { child: from[k + 1], value: edge.value });
    }
    for (let k = common; k < to.length - 1; k += 1) {
      this.local.get(to[k]).ins.set(`${to[k + 1].id} ${edge.value}`, { child: to[k + 1], value: edge.value });
    }
  }

  // Blocks of the user's own open from the outside inwards while the picture stays one that a person can take in.
  unfoldFirst(most = 48) {
    let shown = this.root.children.length;
    let level = this.root.children;
    while (level.length) {
      const next = level.filter((item) => item.type === "block" || item.type === "scan");
      const more = next.reduce((sum, item) => sum + item.children.length, 0);
      if (!more || shown + more > most) return;
      for (const item of next) item.unfolded = true;
      shown += more;
      level = next.flatMap((item) => item.children);
    }
  }

  setFold(item, unfolded) {
    if (!item.children.length || item === this.root) return false;
    item.unfolded = unfolded;
    this.invalidate(item);
    return true;
  }

  invalidate(item) {
    for (let each = item; each; each = each.parent) each.layout = null;
  }

  invalidateAll() {
    for (const item of this.items) item.layout = null;
  }

  reveal(item) {
    for (let each = item.parent; each; each = each.parent) each.unfolded = true;
    this.invalidate(item);
  }

  // The item that stands for `item` in the picture: itself, or the folded block around it.
  shown(item) {
    let visible = item;
    for (let each = item.parent; each; each = each.parent) if (!each.unfolded) visible = each;
    return visible;
  }

  unfoldAll(most = 6000) {
    let shown = 0;
    for (const item of this.items) if (item.children.length) shown += item.children.length;
    for (const item of this.items) {
      if (item.children.length && (item.type !== "library" || shown < most)) item.unfolded = true;
    }
    this.invalidateAll();
  }

  foldAll() {
    for (const item of this.items) item.unfolded = item === this.root;
    this.invalidateAll();
  }

  // The edges on some path from one of `sources` to one of `targets`, along which gradients flow back.
  between(sources, targets) {
    const down = this.reached(sources, this.after, "target");
    const up = this.reached(targets, this.before, "source");
    const items = new Set([...down].filter((item) => up.has(item)));
    const edges = this.edges.filter((e) => e.smooth && !e.recurrent && items.has(e.source) && items.has(e.target));
    return { items, edges, paths: this.countPaths(sources, targets, items) };
  }

  reached(starts, links, end) {
    const found = new Set(starts);
    const pending = [...starts];
    while (pending.length) {
      for (const edge of links.get(pending.pop()) ?? []) {
        if (!edge.smooth || edge.recurrent || found.has(edge[end])) continue;
        found.add(edge[end]);
        pending.push(edge[end]);
      }
    }
    return found;
  }

  // Blocks of the library count as one step each, and a tensor that a step reads twice as one way, as in
  // `graphdl explain`.
  countPaths(sources, targets, items) {
    const step = (item) => ancestors(item).find((each) => each.type === "library") ?? item;
    const after = new Map();
    for (const item of items) {
      for (const edge of this.after.get(item) ?? []) {
        const [a, b] = [step(edge.source), step(edge.target)];
        if (!edge.smooth || edge.recurrent || a === b || !items.has(edge.target)) continue;
        if (!after.has(a)) after.set(a, new Map());
        after.get(a).set(`${edge.value} ${b.id}`, b);
      }
    }
    const known = new Map();
    const goal = new Set(targets.map(step));
    const starts = new Set(sources.filter((item) => items.has(item)).map(step));
    const stack = [...starts];
    while (stack.length) {
      const item = stack[stack.length - 1];
      if (known.has(item)) { stack.pop(); continue; }
      const next = [...(after.get(item)?.values() ?? [])];
      const waiting = next.filter((each) => !known.has(each));
      if (waiting.length) { stack.push(...waiting); continue; }
      stack.pop();
      known.set(item, next.reduce((sum, each) => sum + known.get(each), goal.has(item) ? 1n : 0n));
    }
    return [...starts].reduce((sum, item) => sum + known.get(item), 0n);
  }
}

function newLocal() {
  return { edges: new Map(), ins: new Map(), outs: new Map() };
}

function ancestors(item) {
  const chain = [];
  for (let each = item; each; each = each.parent) chain.push(each);
  return chain.reverse();
}

function append(map, key, value) {
  if (!map.has(key)) map.set(key, []);
  map.get(key).push(value);
}

function count(shape) {
  return shape === undefined ? 0 : shape.reduce((product, n) => product * n, 1);
}
