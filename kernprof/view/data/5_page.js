// The page: which launches are shown, which one is chosen, and what follows from it.

const TABLE_V = [
  ["compute_utilization_pct", "Compute utilization"], ["bandwidth_utilization_pct", "Bandwidth utilization (DRAM)"],
  ["occupancy_pct", "Occupancy (achieved)"], ["theoretical_occupancy_pct", "Occupancy (theoretical)"],
  ["warp_execution_efficiency_pct", "Warp execution efficiency"], ["branch_divergence_pct", "Branch divergence"],
  ["sm_utilization_pct", "SM utilization"], ["memory_dependency_pct", "Memory dependency"],
  ["instruction_dependency_pct", "Instruction dependency"], ["synchronization_pct", "Synchronization"], ["others_pct", "Others"],
];
const percent = (key, label) => ({ label, numeric: true, value: (x) => x.table_v[key], text: (x) => num(x.table_v[key]), heat: (x) => x.table_v[key] });
const state = { shown: DATA.launches, chosen: null, hot: true };
let launches, sass, source;

function tiles() {
  const all = DATA.launches;
  const count = all.reduce((sum, x) => sum + x.launches, 0);
  const spent = all.reduce((sum, x) => sum + (x.duration_ns || 0) * x.launches, 0);
  const distinct = (make) => [...new Set(all.map(make).filter(Boolean))];
  const some = (names) => names.slice(0, 3).join(", ") + (names.length > 3 ? ` and ${names.length - 3} more` : "") || NONE;
  const bound = new Map();
  for (const x of all) bound.set(x.bound, (bound.get(x.bound) || 0) + (x.duration_ns || 0) * x.launches);
  const [most, its] = [...bound].sort((a, b) => b[1] - a[1])[0];
  const tile = (label, value, words) => el("div", { class: words ? "tile text" : "tile" }, el("b", { text: value }), el("span", { text: label }));
  replace("tiles",
    tile("launches", num(count, 0)), tile("kernels", num(distinct((x) => x.kernel).length, 0)), tile("GPU time", spent ? time(spent) : NONE),
    tile(spent ? `bound by, for ${num(100 * its / spent, 0)} % of the time` : "bound by", most, true),
    tile("GPU", some(distinct((x) => x.gpu.name)), true), tile("source of the figures", some(distinct((x) => x.source)), true));
  replace("time-bar", timeBar(all));
}

function overview() {
  tiles();
  launches = new Grid(document.getElementById("launches"), "Launches", [
    { label: "#", numeric: true, value: (x) => x.index, text: (x) => x.index },
    { label: "Kernel", class: "name", value: (x) => x.kernel, title: (x) => x.demangled || x.kernel },
    { label: "Source", value: (x) => x.source, title: (x) => x.origin },
    { label: "Time", numeric: true, value: (x) => x.duration_ns, text: (x) => time(x.duration_ns) },
    { label: "Bound by", value: (x) => x.bound, title: (x) => x.evidence },
    percent("compute_utilization_pct", "Compute %"), percent("bandwidth_utilization_pct", "DRAM %"),
    percent("occupancy_pct", "Occ. %"), percent("warp_execution_efficiency_pct", "Warp eff. %"),
    percent("branch_divergence_pct", "Div. %"), percent("memory_dependency_pct", "Mem. dep. %"),
    percent("instruction_dependency_pct", "Inst. dep. %"), percent("synchronization_pct", "Sync. %"), percent("others_pct", "Others %"),
  ], choose);
  const bounds = [...new Set(DATA.launches.map((x) => x.bound))].sort();
  const select = document.getElementById("bound");
  bounds.forEach((bound) => select.append(el("option", { value: bound, text: bound })));
  for (const id of ["filter", "bound"]) document.getElementById(id).addEventListener("input", filter);
}

function filter() {
  const words = document.getElementById("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const bound = document.getElementById("bound").value;
  state.shown = DATA.launches.filter((x) => (!bound || x.bound === bound) &&
    words.every((word) => `${x.kernel} ${x.demangled || ""} ${x.origin} ${x.source} ${x.gpu.name || ""}`.toLowerCase().includes(word)));
  launches.show(state.shown, state.chosen);
  document.getElementById("count").textContent = `${state.shown.length} of ${DATA.launches.length} launches`;
  replace("stall-bars", stallBars(state.shown));
  replace("roofline-plot", roofline(state.shown, state.chosen, open));
}

function open(launch) { choose(launch); launches.mark(launch); }

function adviceList(launch) {
  if (!launch.advice.length) return el("p", { text: "No cause that could save 5 % of the time is found." });
  return el("ol", { class: "advice" }, ...launch.advice.map((a) => {
    const gain = a.gain === null ? "gain n/a" : `saves at most ${num(a.gain, 0)} %`;
    const share = a.share === null ? "" : `Holds ${num(a.share, 0)} % of the cycles. `;
    return el("li", null,
      el("div", { class: "head" }, el("span", { text: DATA.texts[a.title] }), el("span", { class: "gain", text: gain })),
      el("p", { text: `${a.evidence}.` }), el("p", { text: `To do: ${DATA.texts[a.remedy]}.` }),
      el("p", { class: "note", text: `${share}${a.gain === null ? "The gain needs elapsed cycles, SM utilization and issue activity" : `Bound: ${DATA.texts[a.bound]}`}.` }));
  }));
}

function choose(launch) {
  state.chosen = launch;
  document.getElementById("chosen").textContent = `#${launch.index} ${launch.kernel}`;
  const pairs = [
    ["Name", launch.demangled || launch.kernel], ["Source", `${launch.source}: ${launch.origin}`],
    ["GPU", [launch.gpu.name, launch.gpu.cc && `compute capability ${launch.gpu.cc}`].filter(Boolean).join(", ") || NONE],
    ["Grid × block", launch.grid && launch.block ? `${launch.grid.join("×")} × ${launch.block.join("×")}` : NONE],
    ["Registers a thread", launch.registers ?? NONE],
    ["Shared memory a block", `${launch.shared_mem.static === null ? NONE : num(launch.shared_mem.static, 0)} + ${launch.shared_mem.dynamic === null ? NONE : num(launch.shared_mem.dynamic, 0)} bytes (static + dynamic)`],
    ["Occupancy limited by", launch.limiters.join(", ") || NONE],
    ["Time", `${time(launch.duration_ns)}, ${launch.cycles === null ? NONE : num(launch.cycles, 0)} cycles${launch.launches > 1 ? ` (median of ${launch.launches} launches)` : ""}`],
  ];
  const table = TABLE_V.map(([key, label]) => [label, launch.table_v[key], launch.table_v[key] === null ? NONE : `${num(launch.table_v[key])} %`]);
  const stalls = Object.entries(launch.stalls).sort((a, b) => b[1] - a[1]).filter((x) => x[1] >= 0.05).map(([n, v]) => [n, v, `${num(v)} %`, color(n)]);
  const hints = launch.missing.map((m) => el("li", { text: `${m.metric} (n/a): ${m.hint}` }));
  const notes = launch.notes.map((note) => el("li", { text: note }));
  replace("detail",
    el("div", { class: "card verdict" }, el("b", { text: launch.bound === "unknown" ? "Bound unknown" : `Bound by ${launch.bound}` }), document.createTextNode(`: ${launch.evidence}.`)),
    el("div", { class: "cards" },
      card("Table V", meters(table)),
      card("Stall reasons", stalls.length ? meters(stalls) : el("p", { text: NONE }),
        launch.stall_family ? el("p", { class: "note", text: `From ${launch.stall_family}; base: ${launch.stall_base}.` }) : null),
      card("Likely causes", adviceList(launch)),
      el("div", { class: "card full" }, el("dl", { class: "fields" }, ...pairs.map(([label, value]) =>
        el("div", null, el("dt", { text: label }), el("dd", { text: value })))))),
    hints.length + notes.length ? el("ul", { class: "note" }, ...notes, ...hints) : null);
  replace("roofline-plot", roofline(state.shown, launch, open));
  showCode(launch);
  fillOccupancy(launch);
}

// A column that no line fills is left out; grids are made once for each set of columns.
const codeGrids = new Map();
function codeGrid(kind, columns, opened) {
  const key = kind + columns.map((c) => c.label).join();
  const host = document.getElementById(kind);
  if (!codeGrids.has(key)) codeGrids.set(key, new Grid(host, kind === "sass" ? "Instructions" : "Source lines", columns, opened));
  const grid = codeGrids.get(key);
  grid.printed = PRINTED_CODE;
  host.replaceChildren(grid.box);
  return grid;
}

function makeCodeGrids(lines, texts) {
  const most = Math.max(...lines.map((x) => x.share), 1e-9);
  const stall = { label: "Stalls %", numeric: true, value: (x) => x.share, text: (x) => (x.share ? num(x.share) : ""), heat: (x) => x.heat };
  for (const line of lines) line.heat = 100 * line.share / most;
  const has = (key) => lines.some((x) => x[key] !== null);
  const count = (key, label, digits) => ({ label, numeric: true, value: (x) => x[key], text: (x) => (x[key] === null ? "" : num(x[key], digits)) });
  sass = codeGrid("sass", [
    { label: "Offset", numeric: true, value: (x) => x.offset, text: (x) => x.offset.toString(16).padStart(4, "0") },
    stall, has("text") ? { label: "Instruction", class: "code", value: (x) => x.text ?? NONE } : null,
    { label: "Top stall", value: (x) => x.top || "" }, count("executed", "Executed", 0), count("threads", "Threads", 1),
    has("line") ? { label: "Line", numeric: true, value: (x) => x.line, text: (x) => x.line ?? "", title: (x) => (x.file === null ? "" : `${DATA.files[x.file]}:${x.line}`) } : null,
  ].filter(Boolean), (line) => { source.mark(source.rows.find((x) => x.file === line.file && x.line === line.line)); });
  source = codeGrid("source", [
    { label: "Line", numeric: true, value: (x) => x.line, text: (x) => x.line, title: (x) => DATA.files[x.file] },
    stall, texts.some((x) => x.text !== null) ? { label: "Source", class: "code", value: (x) => x.text ?? NONE } : null,
    DATA.files.length > 1 || texts.every((x) => x.text === null) ? { label: "File", value: (x) => DATA.files[x.file].split("/").pop(), title: (x) => DATA.files[x.file] } : null,
  ].filter(Boolean), (line) => { sass.mark(sass.rows.find((x) => x.file === line.file && x.line === line.line)); });
}

function order(hot) {
  state.hot = hot;
  document.getElementById("order-hot").setAttribute("aria-pressed", String(hot));
  document.getElementById("order-program").setAttribute("aria-pressed", String(!hot));
  if (!sass) return;
  for (const grid of [sass, source]) grid.sortBy(hot ? 1 : 0, hot);
}

// The whole function as one strip: the darker, the more stalls.
function strip(lines) {
  const most = Math.max(...lines.map((x) => x.share), 1e-9);
  const picture = svg("svg", { viewBox: `0 0 ${lines.length} 10`, preserveAspectRatio: "none", role: "img",
    "aria-label": "Stalls over the instructions in program order" });
  lines.forEach((line, i) => {
    if (line.share <= 0) return;
    picture.append(svg("rect", { x: i, y: 0, width: 1.05, height: 10, "fill-opacity": (0.12 + 0.88 * Math.sqrt(line.share / most)).toFixed(3) },
      svg("title", { text: `${line.offset.toString(16).padStart(4, "0")} ${line.text ?? ""}: ${num(line.share)} % ${line.top || ""}` })));
  });
  picture.addEventListener("click", (event) => {
    const box = picture.getBoundingClientRect();
    const at = Math.min(lines.length - 1, Math.floor(lines.length * (event.clientX - box.left) / box.width));
    sass.mark(lines[at]);
    sass.opened(lines[at]);
  });
  return picture;
}

function showCode(launch) {
  const code = launch.code === null ? null : DATA.code[launch.code];
  document.getElementById("code-none").textContent = code ? `${num(code.total, 0)} stalled samples; ${code.meaning}.` : `n/a: ${launch.code_hint}`;
  document.getElementById("code-box").hidden = !code;
  if (!code) return;
  const keys = ["offset", "text", "file", "line", "samples", "executed", "threads", "top"];
  const lines = code.lines.map((row) => Object.fromEntries(keys.map((key, i) => [key, row[i]])));
  const sums = new Map();
  for (const line of lines) {
    line.share = code.total ? 100 * line.samples / code.total : 0;
    if (line.file !== null && line.line !== null) {
      const key = `${line.file}:${line.line}`;
      sums.set(key, (sums.get(key) || 0) + line.share);
    }
  }
  const used = new Set(lines.map((line) => line.file).filter((f) => f !== null));
  const texts = [], most = Math.max(...sums.values(), 1e-9);
  for (const file of used) {
    const text = DATA.sources[file];
    if (text) text.forEach((t, i) => texts.push({ file, line: i + 1, text: t, share: sums.get(`${file}:${i + 1}`) || 0 }));
    else for (const [key, share] of sums) {
      const [f, n] = key.split(":").map(Number);
      if (f === file) texts.push({ file, line: n, text: null, share });
    }
  }
  for (const text of texts) text.heat = 100 * text.share / most;
  makeCodeGrids(lines, texts);
  const bare = texts.length && texts.every((x) => x.text === null);
  document.getElementById("code-grids").classList.toggle("bare", Boolean(bare));
  if (bare) document.getElementById("code-none").textContent += launch.source === "predicted"
    ? " The profile holds no source text (n/a)." : " The report holds no source text (n/a): ncu --import-source yes embeds it.";
  document.getElementById("source-box").hidden = !texts.length;
  document.getElementById("code-grids").classList.toggle("one", !texts.length);
  replace("strip", strip(lines));
  sass.show(lines);
  source.show(texts);
  order(state.hot);
}

// Rows: [group, name, values...]; a group that begins gets a heading.
function facts(heads, rows) {
  let last = null;
  const lines = rows.flatMap(([group, name, ...values]) => {
    const line = el("tr", null, el("th", { scope: "row", text: name.trim() }), ...values.map((v) => el("td", { class: "n", text: v })));
    if (group === last || !group) return [line];
    last = group;
    return [el("tr", { class: "group" }, el("th", { colspan: heads.length, text: group })), line];
  });
  return el("table", { class: "facts" }, el("thead", null, el("tr", null, ...heads.map((text, i) => el("th", { text, class: i ? "n" : null })))),
    el("tbody", null, ...lines));
}

function comparison() {
  const box = document.getElementById("comparison");
  if (!DATA.comparison) { box.hidden = true; document.getElementById("nav-comparison").hidden = true; return; }
  const change = (x) => (x.base && x.new !== null ? 100 * (x.new / x.base - 1) : null);
  const signed = (v) => (v === null ? NONE : (v > 0 ? "+" : "") + num(v));
  const host = document.getElementById("pairs"), detail = document.getElementById("pair");
  const unit = DATA.comparison.unit;
  const grid = new Grid(host, "Comparison", [
    { label: "Kernel", class: "name", value: (x) => x.kernel },
    { label: `Base ${unit}`, numeric: true, value: (x) => x.base, text: (x) => num(x.base, 0) },
    { label: `New ${unit}`, numeric: true, value: (x) => x.new, text: (x) => num(x.new, 0) },
    { label: "Change %", numeric: true, value: change, text: (x) => signed(change(x)) },
    { label: "Of the difference %", numeric: true, value: (x) => x.share, text: (x) => signed(x.share) },
    { label: "What explains it", class: "wide", value: (x) => x.sentence },
  ], (pair) => detail.replaceChildren(
    el("div", { class: "cards" },
      el("div", { class: "card full" }, el("h3", { class: "data", text: pair.heading }), el("p", { class: "sentence", text: pair.sentence }), ...[cycleBars(pair)].filter(Boolean)),
      ...(pair.parts.length ? [el("div", { class: "card scroll" }, el("h3", { text: "Cycles by cause" }), facts(["Cycles", "Base", "New", "Change"],
        pair.parts.map((p) => [null, p.name, num(p.base, 0), num(p.new, 0), (p.delta > 0 ? "+" : "") + num(p.delta, 0)])))] : []),
      el("div", { class: pair.parts.length ? "card scroll wide" : "card scroll full" }, el("h3", { text: "All figures" }), facts(["Figure", "Base", "New", "Change", "%"], pair.figures))),
    el("ul", { class: "note" }, ...pair.notes.map((note) => el("li", { text: note })))));
  document.getElementById("unmatched").replaceChildren(
    ...[DATA.comparison.together, ...DATA.comparison.unmatched].filter(Boolean).map((line) => el("p", { class: "note", text: line })));
  grid.show(DATA.comparison.pairs);
  if (grid.rows.length) grid.choose(0, true);
}

document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
// The filter by keyboard: / goes there, Escape empties it and goes back to the table.
addEventListener("keydown", (event) => {
  const field = document.getElementById("filter"), typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    field.focus();
    field.select();
  } else if (event.key === "Escape" && event.target === field) {
    field.value = "";
    filter();
    launches.box.focus();
  }
});
document.getElementById("order-hot").addEventListener("click", () => order(true));
document.getElementById("order-program").addEventListener("click", () => order(false));
overview();
setUpOccupancy();
comparison();
filter();
launches.choose(0, true);
document.documentElement.dataset.ready = "yes";
