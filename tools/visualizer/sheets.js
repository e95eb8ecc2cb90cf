// Further views: schedule, memory, curves, pictures. Filled where the page has the data.
function sheetsOf(app) {
  const { bundle } = app;
  const sheets = [];
  if (bundle.schedule) {
    sheets.push({ name: "Schedule", draw: drawSchedule }, { name: "Memory", draw: drawMemory });
  }
  if (bundle.run) sheets.push({ name: "Curves", draw: drawCurves });
  if (bundle.pictures?.length) sheets.push({ name: "Pictures", draw: drawPictures });
  return sheets;
}

// A chart on a canvas: `paint(pen, width, height)` draws it, `at(x, y)` tells what lies under the pointer.
function chart(sheet, app, height, paint, at) {
  const canvas = el("canvas", { height });
  sheet.append(canvas);
  const ratio = window.devicePixelRatio || 1;
  const draw = () => {
    const width = canvas.clientWidth;
    [canvas.width, canvas.height] = [width * ratio, height * ratio];
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.font = SMALL;
    paint(pen, width, height);
  };
  canvas.addEventListener("pointermove", (event) => {
    const bounds = canvas.getBoundingClientRect();
    const text = at?.(event.clientX - bounds.left, event.clientY - bounds.top, bounds.width) ?? "";
    app.tip.textContent = text;
    Object.assign(app.tip.style, { left: `${Math.min(event.clientX + 14, innerWidth - 430)}px`, top: `${event.clientY + 14}px` });
  });
  canvas.addEventListener("pointerleave", () => { app.tip.textContent = ""; });
  new ResizeObserver(draw).observe(sheet);
  return draw;
}

function launchColor(app, launch) {
  app.kinds ??= new Map(app.graph.items.filter((item) => ["block", "library"].includes(item.type)).map((item) => [item.path ?? "", item.kind]));
  const kind = launch.modules.map((path) => app.kinds.get(path)).find((each) => each && each !== "block") ?? "arithmetic";
  return kindColors(kind).mark;
}

function launchText(launch, number) {
  const rate = launch.seconds > 0 ? `, ${amount(launch.flops / launch.seconds)}FLOP/s, ${amount(launch.bytes / launch.seconds)}B/s` : "";
  return `launch ${number}: ${launch.label}\n${seconds(launch.seconds)}${rate}\n${launch.modules.slice(0, 6).join(", ")}`;
}

function drawSchedule(sheet, app) {
  const { launches } = app.bundle.schedule;
  const { measured } = app.bundle;
  const total = launches.reduce((sum, launch) => sum + launch.seconds, 0);
  const starts = [];
  launches.reduce((sum, launch) => { starts.push(sum); return sum + launch.seconds; }, 0);
  sheet.append(el("h2", {}, "Schedule: the launches of a step against time"),
    el("p", {}, `${launches.length} launches, ${seconds(total)} on ${measured.device}; ${measured.origin}. Each bar is a kernel, coloured by what it serves.`));
  const find = (x, width) => {
    const t = ((x - 8) / (width - 16)) * total;
    return starts.findLastIndex((start) => start <= t);
  };
  chart(sheet, app, 90, (pen, width) => {
    launches.forEach((launch, k) => {
      pen.fillStyle = launchColor(app, launch);
      pen.fillRect(8 + (starts[k] / total) * (width - 16), 14, Math.max(0.6, (launch.seconds / total) * (width - 16) - 0.4), 48);
    });
    pen.fillStyle = theme().soft;
    for (let k = 0; k <= 5; k += 1) pen.fillText(seconds((total * k) / 5 || 0), 8 + ((width - 60) * k) / 5, 80);
  }, (x, y, width) => launches[find(x, width)] && launchText(launches[find(x, width)], find(x, width)));
  const longest = launches.map((launch, k) => ({ launch, k })).sort((a, b) => b.launch.seconds - a.launch.seconds).slice(0, 30);
  sheet.append(el("h2", { style: { marginTop: "20px" } }, "The longest launches"));
  const most = longest[0]?.launch.seconds || 1;
  const rows = longest.map(({ launch, k }) => el("tr", {}, el("td", {}, launch.label || "kernel"), el("td", {}, `${k}`), el("td", {}, seconds(launch.seconds)),
    el("td", {}, `${((100 * launch.seconds) / total).toFixed(1)} %`), el("td", {}, `${amount(launch.flops / launch.seconds)}FLOP/s`),
    el("td", { style: { width: "160px", textAlign: "left" } }, el("div", { style: { height: "10px", borderRadius: "3px", width: `${(150 * launch.seconds) / most}px`, background: launchColor(app, launch) } }))));
  sheet.append(el("table", { class: "summary" }, el("tr", {}, ...["kernel", "launch", "time", "share", "rate", ""].map((text) => el("th", {}, text))), ...rows));
}

function drawMemory(sheet, app) {
  const { blocks, launches, arena, alive, peak } = app.bundle.schedule;
  sheet.append(el("h2", {}, "Memory: the arena, offset against lifetime"),
    el("p", {}, `Each rectangle is an intermediate tensor: from the launch that writes it to the last that reads it, at its place in the arena. ${bytes(arena)} of arena, ${bytes(alive)} alive at most, ${bytes(peak)} with parameters, inputs and results.`));
  const height = 460;
  const box = (width) => ({ x: (k) => 60 + (k / Math.max(1, launches.length)) * (width - 70), y: (offset) => 10 + (1 - offset / Math.max(1, arena)) * (height - 40) });
  chart(sheet, app, height, (pen, width) => {
    const { x, y } = box(width);
    pen.fillStyle = theme().soft;
    for (let k = 0; k <= 4; k += 1) pen.fillText(bytes(Math.round((arena * k) / 4)), 2, y((arena * k) / 4) + 4);
    blocks.forEach((block) => {
      const writer = launches[block.first];
      pen.fillStyle = launchColor(app, writer ?? { modules: [] });
      pen.globalAlpha = 0.78;
      const [left, right, top, bottom] = [x(block.first), x(block.last + 1), y(block.offset + block.bytes), y(block.offset)];
      pen.fillRect(left, top, Math.max(1, right - left - 0.5), Math.max(0.8, bottom - top - 0.5));
    });
    pen.globalAlpha = 1;
    pen.fillStyle = theme().soft;
    pen.fillText("launch 0", 60, height - 10);
    pen.fillText(`${launches.length - 1}`, width - 30, height - 10);
  }, (px, py, width) => {
    const { x, y } = box(width);
    const found = blocks.findLast((b) => px >= x(b.first) && px <= x(b.last + 1) && py >= y(b.offset + b.bytes) && py <= y(b.offset));
    return found && `${found.label}\n${bytes(found.bytes)} at ${bytes(found.offset)}\nalive from launch ${found.first} to ${found.last}`;
  });
}

// -------------------------------------------------------------------------------------------------------- curves

const LINES = ["#3b82d6", "#e0752d", "#2e9e63", "#a05cc8", "#d6455d", "#8a8f98"];

function curvesOf(records) {
  const charts = new Map();
  const add = (title, name, step, value) => {
    if (!Number.isFinite(value)) return;
    if (!charts.has(title)) charts.set(title, new Map());
    append(charts.get(title), name, [step, value]);
  };
  let [offset, step, stage] = [0, 0, null];
  for (const record of records) {
    if (record.stage !== stage) { offset += step; stage = record.stage; }
    step = record.step;
    const at = offset + step;
    if (record.kind !== "epoch") {
      add("loss", "within the epoch", at, record.loss);
      add("learning rate", "lr", at, record.lr);
      continue;
    }
    add("loss", "training", at, record.loss);
    for (const [name, value] of Object.entries(record.metrics ?? {})) add(name, "training", at, value);
    add("learning rate", "lr", at, record.lr);
    const held = record.held_out;
    if (held) {
      add("loss", held.split, at, held.loss);
      for (const [name, value] of Object.entries(held.metrics ?? {})) add(name, held.split, at, value);
    }
  }
  return charts;
}

function drawCurves(sheet, app) {
  const { run } = app.bundle;
  const last = run.records.findLast((record) => record.kind === "epoch");
  const held = last?.held_out ?? last;
  sheet.append(el("h2", {}, run.name), el("p", {}, last
    ? `stage ${last.stage}, epoch ${last.epoch}, step ${last.step}` + (held ? `: ${held.split ?? "training"} loss ${held.loss?.toPrecision(4) ?? "nan"}`
      + Object.entries(held.metrics ?? {}).map(([name, value]) => `, ${name} ${value?.toPrecision(4) ?? "nan"}`).join("") : "")
    : "no epoch has ended yet"));
  const grid = el("div", { class: "charts" });
  sheet.append(grid);
  for (const [title, curves] of curvesOf(run.records)) drawChart(grid, app, title, curves);
}

function drawChart(grid, app, title, curves) {
  const names = [...curves.keys()];
  const figure = el("figure", {}, el("figcaption", {}, `${title} `, ...names.map((name, k) => el("span", { style: { color: LINES[k % LINES.length] } }, `${name} `))));
  grid.append(figure);
  const all = [...curves.values()].flat();
  const [x0, x1] = [Math.min(...all.map((p) => p[0])), Math.max(...all.map((p) => p[0]))];
  const [low, high] = [Math.min(...all.map((p) => p[1])), Math.max(...all.map((p) => p[1]))];
  const margin = (high - low) * 0.06 || Math.abs(high) * 0.06 || 1;
  const height = 240;
  const scale = (width) => ({
    x: (v) => 58 + ((v - x0) / Math.max(1, x1 - x0)) * (width - 72),
    y: (v) => 8 + ((high + margin - v) / (high - low + 2 * margin)) * (height - 36),
  });
  chart(figure, app, height, (pen, width) => {
    const { x, y } = scale(width);
    pen.strokeStyle = theme().border;
    pen.fillStyle = theme().soft;
    for (const value of ticks(low - margin, high + margin)) {
      pen.globalAlpha = 0.5;
      pen.beginPath(); pen.moveTo(58, y(value)); pen.lineTo(width - 14, y(value)); pen.stroke();
      pen.globalAlpha = 1;
      pen.fillText(String(Number(value.toPrecision(4))), 6, y(value) + 4);
    }
    for (const value of ticks(x0, Math.max(x1, x0 + 1))) pen.fillText(amount(value), x(value) - 6, height - 8);
    names.forEach((name, k) => {
      pen.strokeStyle = pen.fillStyle = LINES[k % LINES.length];
      pen.lineWidth = 1.8;
      pen.beginPath();
      for (const [step, value] of curves.get(name)) pen.lineTo(x(step), y(value));
      pen.stroke();
      if (curves.get(name).length === 1) { pen.beginPath(); pen.arc(x(curves.get(name)[0][0]), y(curves.get(name)[0][1]), 3, 0, 7); pen.fill(); }
    });
  }, (px, py, width) => {
    const { x } = scale(width);
    return names.map((name) => {
      const points = curves.get(name);
      const near = points.reduce((best, p) => (Math.abs(x(p[0]) - px) < Math.abs(x(best[0]) - px) ? p : best));
      return `${name}: ${near[1].toPrecision(5)} at step ${near[0]}`;
    }).join("\n");
  });
}

function ticks(low, high) {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const size = [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough);
  const found = [];
  for (let value = Math.ceil(low / size) * size; value <= high; value += size) found.push(value);
  return found;
}

// A page that follows a run asks the server that it came from.
function follow(app) {
  setInterval(async () => {
    const answer = await fetch("records").catch(() => null);
    if (!answer?.ok) return;
    const records = await answer.json();
    if (records.length === app.bundle.run.records.length) return;
    app.bundle.run.records = records;
    app.redrawSheet?.();
  }, 1000);
}

function drawPictures(sheet, app) {
  for (const group of app.bundle.pictures) {
    sheet.append(el("h2", {}, group.title), el("p", {}, group.text));
    const size = group.size ?? 72;
    sheet.append(el("div", { class: "gallery" }, ...group.images.map((image) => el("figure", {},
      el("img", { src: image.data, alt: image.label, style: { width: `${size * (image.ratio ?? 1)}px`, height: `${size}px` } }), image.label))));
  }
}
