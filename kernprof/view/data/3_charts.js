// Drawings: stacked bars, a roofline, curves.

function legend(names) {
  return el("ul", { class: "legend" }, ...names.map((name) => {
    const mark = el("span", { class: "mark" });
    mark.style.backgroundColor = color(name);
    return el("li", null, mark, document.createTextNode(name));
  }));
}
// One stacked bar; parts: [name, value]. What has no color of its own is drawn together, grey.
function stacked(picture, y, height, left, scale, parts, title) {
  let x = left;
  for (const [name, value] of parts) {
    const width = value * scale;
    if (width > 0.2) picture.append(svg("rect", { x, y, width, height, fill: color(name) }, svg("title", { text: title(name, value) })));
    x += width;
  }
}
const OTHERS = "all others";
const own = (name) => NAMED.includes(name) || name in FIXED;
function gathered(parts) {
  const rest = parts.filter(([name]) => !own(name)).reduce((sum, x) => sum + x[1], 0);
  const order = (name) => (name in FIXED ? -1 : NAMED.indexOf(name));
  const named = parts.filter(([name]) => own(name)).sort((a, b) => order(a[0]) - order(b[0]));
  return rest > 0 ? [...named, [OTHERS, rest]] : named;
}

function stallBars(launches) {
  let shown = launches.filter((x) => Object.keys(x.stalls).length);
  // Of many the longest; few keep their order.
  if (shown.length > 40) shown = shown.sort((a, b) => (b.duration_ns || 0) - (a.duration_ns || 0)).slice(0, 40);
  if (!shown.length)
    return el("p", { text: "No launch shown tells its stalls (n/a): collect them with ncu --section WarpStateStats." });
  const left = 250, width = 1000, bar = 22;
  const picture = svg("svg", { viewBox: `0 0 ${width} ${shown.length * bar + 26}`, role: "img",
    "aria-label": "Stall reasons of each launch, in percent" });
  const names = new Set();
  for (const at of [0, 25, 50, 75, 100]) {
    const x = left + (width - left - 24) * at / 100;
    picture.append(svg("line", { class: "tick", x1: x, x2: x, y1: 0, y2: shown.length * bar }),
      svg("text", { x, y: shown.length * bar + 17, "text-anchor": "middle", text: `${at} %` }));
  }
  shown.forEach((launch, row) => {
    picture.append(svg("text", { class: "strong", x: left - 8, y: row * bar + 15, "text-anchor": "end",
      text: cut(`#${launch.index} ${launch.kernel}`, 32) }));
    const parts = gathered(Object.entries(launch.stalls));
    parts.forEach(([name]) => names.add(name));
    stacked(picture, row * bar + 3, bar - 6, left, (width - left - 24) / 100, parts,
      (name, share) => `#${launch.index} ${launch.kernel}: ${name} ${num(share)} %`);
  });
  const more = launches.length - shown.length;
  return el("div", null, legend([...NAMED, OTHERS].filter((x) => names.has(x))), picture,
    more > 0 ? el("p", { class: "note", text: `${more} launch(es) more are in the table: shorter ones, and such as tell no stalls. Filter it to see others here.` }) : null);
}

// Cycles of both sides as two bars of one scale: what grew and what shrank is seen at once.
function cycleBars(pair) {
  if (!pair.parts.length) return null;
  const left = 50, width = 1000, bar = 30;
  const longest = Math.max(...["base", "new"].map((side) => pair.parts.reduce((sum, p) => sum + p[side], 0))) || 1;
  const picture = svg("svg", { viewBox: `0 0 ${width} ${2 * bar}`, role: "img", "aria-label": "Cycles by cause, base above new" });
  const names = new Set();
  ["base", "new"].forEach((side, row) => {
    picture.append(svg("text", { class: "strong", x: left - 8, y: row * bar + 19, "text-anchor": "end", text: side }));
    const parts = gathered(pair.parts.map((p) => [p.name, p[side]]));
    parts.forEach(([name]) => names.add(name));
    stacked(picture, row * bar + 3, bar - 6, left, (width - left) / longest, parts,
      (name, cycles) => `${side}: ${name} ${num(cycles, 0)} cycles`);
  });
  return el("div", null, legend([...Object.keys(FIXED), ...NAMED, OTHERS].filter((x) => names.has(x))), picture);
}

// Where the time of all launches goes, by kernel.
function timeBar(launches) {
  const times = new Map();
  for (const x of launches) if (x.duration_ns) times.set(x.kernel, (times.get(x.kernel) || 0) + x.duration_ns * x.launches);
  const ranked = [...times].sort((a, b) => b[1] - a[1]), total = ranked.reduce((sum, x) => sum + x[1], 0);
  if (!total) return el("p", { class: "note", text: "No launch tells its time (n/a): collect it with ncu --section SpeedOfLight." });
  const shown = ranked.slice(0, 7), rest = ranked.slice(7).reduce((sum, x) => sum + x[1], 0);
  if (rest) shown.push([`${ranked.length - 7} others`, rest]);
  const picture = svg("svg", { viewBox: "0 0 1000 26", role: "img", "aria-label": "Share of GPU time by kernel" });
  let x = 0;
  shown.forEach(([name, value], i) => {
    const width = 1000 * value / total;
    picture.append(svg("rect", { x, y: 2, width, height: 22, fill: COLORS[i] }, svg("title", { text: `${name}: ${time(value)}, ${num(100 * value / total)} %` })));
    x += width;
  });
  const list = el("ul", { class: "legend" }, ...shown.map(([name, value], i) => {
    const mark = el("span", { class: "mark" });
    mark.style.backgroundColor = COLORS[i];
    return el("li", null, mark, document.createTextNode(`${cut(name, 60)} ${num(100 * value / total)} %`));
  }));
  return el("div", null, el("h3", { text: "GPU time by kernel" }), list, picture);
}

function roofline(launches, chosen, open) {
  const placed = launches.filter((x) => x.roofline.intensity_flops_per_byte && x.roofline.flops_per_s && x.roofline.peak_flops_per_s);
  const hints = new Map();
  for (const x of launches) if (!placed.includes(x)) hints.set(x.roofline.hint, (hints.get(x.roofline.hint) || 0) + 1);
  const notes = [...hints].map(([hint, count]) => el("p", { class: "note", text: `${count} launch(es) have no place (n/a): ${hint || "not told"}.` }));
  if (!placed.length) return el("div", null, ...notes);
  const roofs = new Map();
  for (const x of placed) {
    const r = x.roofline, old = roofs.get(x.gpu.name);
    if (!old || old.flops < r.peak_flops_per_s)
      roofs.set(x.gpu.name, { flops: r.peak_flops_per_s, bytes: r.peak_bytes_per_s, from: r.peaks_from });
  }
  const xs = placed.map((x) => x.roofline.intensity_flops_per_byte);
  const ridges = [...roofs.values()].map((r) => r.flops / r.bytes);
  const x0 = Math.log10(Math.min(...xs, ...ridges)) - 0.5, x1 = Math.log10(Math.max(...xs, ...ridges)) + 0.8;
  const ys = placed.map((x) => x.roofline.flops_per_s), peaks = [...roofs.values()].map((r) => r.flops);
  const y0 = Math.log10(Math.min(...ys)) - 0.4, y1 = Math.log10(Math.max(...ys, ...peaks)) + 0.3;
  const W = 900, H = 460, L = 80, B = 45;
  const px = (v) => L + (W - L - 10) * (Math.log10(v) - x0) / (x1 - x0);
  const py = (v) => 10 + (H - B - 10) * (1 - (Math.log10(v) - y0) / (y1 - y0));
  const picture = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": "Roofline: FP32 operations per second over operations per byte" });
  for (let d = Math.ceil(x0); d <= x1; d++) picture.append(
    svg("line", { class: "tick", x1: px(10 ** d), x2: px(10 ** d), y1: 10, y2: H - B }),
    svg("text", { x: px(10 ** d), y: H - B + 16, "text-anchor": "middle", text: String(+(10 ** d).toPrecision(1)) }));
  for (let d = Math.ceil(y0); d <= y1; d++) picture.append(
    svg("line", { class: "tick", x1: L, x2: W - 10, y1: py(10 ** d), y2: py(10 ** d) }),
    svg("text", { x: L - 6, y: py(10 ** d) + 4, "text-anchor": "end", text: rate(10 ** d, "").replace(".00", "") }));
  picture.append(svg("text", { x: (W + L) / 2, y: H - 8, "text-anchor": "middle", text: "FP32 operations per byte of DRAM traffic" }));
  picture.append(svg("text", { x: -H / 2 + 20, y: 14, "text-anchor": "middle", transform: "rotate(-90)", text: "FP32 operations per second" }));
  const slope = (gpu) => `rotate(${-Math.atan2(py(1) - py(10), px(10) - px(1)) * 180 / Math.PI} ${gpu})`;
  for (const [gpu, r] of roofs) {
    const ridge = r.flops / r.bytes, half = r.flops / 2 / r.bytes;
    const at = 10 ** (x0 + 0.06 * (x1 - x0)), place = `${px(at)} ${py(at * r.bytes)}`;
    const named = roofs.size > 1 ? `${cut(gpu, 30)}: ` : "";
    picture.append(
      svg("polyline", { class: "roof low", points: `${px(half)},${py(r.flops / 2)} ${px(10 ** x1)},${py(r.flops / 2)}` },
        svg("title", { text: `${gpu}: ${rate(r.flops / 2, "FLOP/s")} without fused multiply-adds` })),
      svg("text", { x: W - 14, y: py(r.flops) - 6, "text-anchor": "end", class: "strong", text: `${named}${rate(r.flops, "FLOP/s")} FP32` }),
      svg("text", { x: px(at), y: py(at * r.bytes) - 7, class: "strong", transform: slope(place), text: `${named}${rate(r.bytes, "B/s")} DRAM` }));
    if (roofs.size === 1) picture.append(svg("text", { x: W - 14, y: py(r.flops / 2) + 14, "text-anchor": "end", text: "without fused multiply-adds" }));
    const line = [10 ** x0, ridge, 10 ** x1].map((x) => `${px(x)},${py(Math.min(r.flops, x * r.bytes))}`);
    picture.append(svg("polyline", { class: "roof", points: line.join(" ") },
      svg("title", { text: `${gpu}: ${rate(r.flops, "FLOP/s")}, ${rate(r.bytes, "B/s")} (${r.from})` })));
    notes.push(el("p", { class: "note", text: `${gpu}: ${rate(r.flops, "FLOP/s")} FP32, ${rate(r.bytes, "B/s")} DRAM (${r.from}).` }));
  }
  for (const launch of placed) {
    const r = launch.roofline;
    picture.append(svg("circle", { class: launch === chosen ? "point chosen" : "point", cx: px(r.intensity_flops_per_byte), cy: py(r.flops_per_s),
      r: launch === chosen ? 8 : 5, tabindex: "0", role: "button", "aria-label": `${launch.kernel} #${launch.index}`,
      onclick: () => open(launch), onkeydown: (e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); open(launch); } } },
      svg("title", { text: `#${launch.index} ${launch.kernel}: ${num(r.intensity_flops_per_byte, 3)} FLOP/B, ${rate(r.flops_per_s, "FLOP/s")} (${launch.source})` })));
  }
  // Names where there is room for them; the rest is told by the points' titles.
  const taken = [];
  for (const launch of placed) {
    const r = launch.roofline, x = px(r.intensity_flops_per_byte), y = py(r.flops_per_s);
    if (placed.length > 12 || taken.some(([a, b]) => Math.abs(a - x) < 190 && Math.abs(b - y) < 14)) continue;
    taken.push([x, y]);
    picture.append(svg("text", { x: x + (x > W - 220 ? -9 : 9), y: py(r.flops_per_s) - 6, "text-anchor": x > W - 220 ? "end" : "start",
      text: cut(`#${launch.index} ${launch.kernel}`, 28) }));
  }
  return el("div", null, picture, ...notes);
}

function curve(label, points, now, text) {
  const W = 420, H = 210, L = 44, B = 38, last = points[points.length - 1][0] || 1;
  const px = (v) => L + (W - L - 10) * v / last, py = (v) => 10 + (H - B - 10) * (1 - v / 100);
  const picture = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `Occupancy over ${label}` });
  for (const y of [0, 25, 50, 75, 100]) picture.append(
    svg("line", { class: "tick", x1: L, x2: W - 10, y1: py(y), y2: py(y) }),
    svg("text", { x: L - 5, y: py(y) + 4, "text-anchor": "end", text: y === 100 ? "100 %" : String(y) }));
  for (const part of [0, 0.25, 0.5, 0.75, 1]) picture.append(
    svg("text", { x: px(last * part), y: H - B + 16, "text-anchor": part === 1 ? "end" : "middle", text: text ? text(last * part) : num(last * part, 0) }));
  picture.append(svg("polyline", { class: "curve", points: points.map(([x, y]) => `${px(x)},${py(y)}`).join(" ") }));
  if (now) picture.append(svg("circle", { class: "point chosen", cx: px(Math.min(now[0], last)), cy: py(now[1]), r: 5.5 }));
  return el("div", null, el("h3", { text: `Occupancy over ${label}` }), picture);
}
