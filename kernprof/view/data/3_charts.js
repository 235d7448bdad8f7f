// Drawings: stacked bars, a roofline, curves.

function legend(names) {
  return el("ul", { class: "legend" }, ...names.map((name, i) => {
    const mark = el("span", { class: "mark" });
    mark.style.backgroundColor = COLORS[i % COLORS.length];
    return el("li", null, mark, document.createTextNode(name));
  }));
}

function stallBars(launches) {
  const names = REASONS.slice(0, 7), rest = REASONS.slice(7);
  const shown = launches.filter((x) => Object.keys(x.stalls).length).slice(0, 40);
  if (!shown.length)
    return el("p", { text: "No launch shown tells its stalls (n/a): collect them with ncu --section WarpStateStats." });
  const left = 250, width = 900, bar = 20;
  const picture = svg("svg", { viewBox: `0 0 ${width} ${shown.length * bar + 4}`, role: "img",
    "aria-label": "Stall reasons of each launch, in percent" });
  shown.forEach((launch, row) => {
    picture.append(svg("text", { x: left - 6, y: row * bar + 14, "text-anchor": "end",
      text: cut(`#${launch.index} ${launch.kernel}`, 36) }));
    let x = left;
    const parts = names.map((n) => [n, launch.stalls[n] || 0]);
    parts.push(["all others", rest.reduce((sum, n) => sum + (launch.stalls[n] || 0), 0)]);
    parts.forEach(([name, share], i) => {
      const w = (width - left) * share / 100;
      if (w > 0.2) picture.append(svg("rect", { x, y: row * bar + 2, width: w, height: bar - 4, fill: COLORS[i] },
        svg("title", { text: `${launch.kernel}: ${name} ${num(share)} %` })));
      x += w;
    });
  });
  const more = launches.length - shown.length;
  return el("div", null, legend([...names, ...(rest.length ? ["all others"] : [])]), picture,
    more > 0 ? el("p", { class: "note", text: `${more} launch(es) more are in the table; filter it to see them here.` }) : null);
}

// Cycles of both sides as two bars of one scale: what grew and what shrank is seen at once.
function cycleBars(pair) {
  if (!pair.parts.length) return null;
  const ranked = [...pair.parts].sort((a, b) => Math.max(b.base, b.new) - Math.max(a.base, a.new));
  const names = ranked.slice(0, 7).map((p) => p.name), rest = ranked.slice(7);
  const left = 60, width = 900, bar = 26;
  const longest = Math.max(...["base", "new"].map((side) => pair.parts.reduce((sum, p) => sum + p[side], 0))) || 1;
  const picture = svg("svg", { viewBox: `0 0 ${width} ${2 * bar + 4}`, role: "img",
    "aria-label": "Cycles by cause, base above new" });
  ["base", "new"].forEach((side, row) => {
    picture.append(svg("text", { x: left - 6, y: row * bar + 17, "text-anchor": "end", text: side }));
    let x = left;
    const parts = ranked.slice(0, 7).map((p) => [p.name, p[side]]);
    parts.push(["all others", rest.reduce((sum, p) => sum + p[side], 0)]);
    parts.forEach(([name, cycles], i) => {
      const w = (width - left) * cycles / longest;
      if (w > 0.2) picture.append(svg("rect", { x, y: row * bar + 2, width: w, height: bar - 4, fill: COLORS[i] },
        svg("title", { text: `${side}: ${name} ${num(cycles, 0)} cycles` })));
      x += w;
    });
  });
  return el("div", null, legend([...names, ...(rest.length ? ["all others"] : [])]), picture);
}

function roofline(launches, chosen, open) {
  const placed = launches.filter((x) => x.roofline.intensity_flops_per_byte && x.roofline.flops_per_s && x.roofline.peak_flops_per_s);
  const hints = [...new Set(launches.filter((x) => !placed.includes(x)).map((x) => x.roofline.hint).filter(Boolean))];
  const notes = hints.map((hint) => el("p", { class: "note", text: `${launches.length - placed.length} launch(es) have no place (n/a): ${hint}.` }));
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
  for (const [gpu, r] of roofs) {
    const line = [10 ** x0, r.flops / r.bytes, 10 ** x1].map((x) => `${px(x)},${py(Math.min(r.flops, x * r.bytes))}`);
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
  return el("div", null, picture, ...notes);
}

function curve(label, points, now) {
  const W = 420, H = 190, L = 38, B = 34, last = points[points.length - 1][0] || 1;
  const px = (v) => L + (W - L - 10) * v / last, py = (v) => 10 + (H - B - 10) * (1 - v / 100);
  const picture = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `Occupancy over ${label}` });
  for (const y of [0, 25, 50, 75, 100]) picture.append(
    svg("line", { class: "tick", x1: L, x2: W - 10, y1: py(y), y2: py(y) }),
    svg("text", { x: L - 5, y: py(y) + 4, "text-anchor": "end", text: String(y) }));
  for (const part of [0, 0.25, 0.5, 0.75, 1]) picture.append(
    svg("text", { x: px(last * part), y: H - B + 15, "text-anchor": part === 1 ? "end" : "middle", text: num(last * part, 0) }));
  picture.append(svg("text", { x: (W + L) / 2, y: H - 4, "text-anchor": "middle", text: label }));
  picture.append(svg("polyline", { class: "curve", points: points.map(([x, y]) => `${px(x)},${py(y)}`).join(" ") }));
  if (now) picture.append(svg("circle", { class: "point chosen", cx: px(Math.min(now[0], last)), cy: py(now[1]), r: 5 }));
  return picture;
}
