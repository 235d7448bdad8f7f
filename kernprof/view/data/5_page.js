// The page: which launches are shown, which one is chosen, and what follows from it.

const TABLE_V = [
  ["compute_utilization_pct", "Compute utilization"], ["bandwidth_utilization_pct", "Bandwidth utilization (DRAM)"],
  ["occupancy_pct", "Occupancy (achieved)"], ["theoretical_occupancy_pct", "Occupancy (theoretical)"],
  ["warp_execution_efficiency_pct", "Warp execution efficiency"], ["branch_divergence_pct", "Branch divergence"],
  ["sm_utilization_pct", "SM utilization"], ["memory_dependency_pct", "Memory dependency"],
  ["instruction_dependency_pct", "Instruction dependency"], ["synchronization_pct", "Synchronization"], ["others_pct", "Others"],
];
const percent = (key, label) => ({ label, numeric: true, value: (x) => x.table_v[key], text: (x) => num(x.table_v[key]), heat: (x) => x.table_v[key] });
const state = { shown: DATA.launches, chosen: null };
let launches, sass, source;

function overview() {
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

function choose(launch) {
  state.chosen = launch;
  document.getElementById("chosen").textContent = `#${launch.index} ${launch.kernel}`;
  const facts = [
    ["Name", launch.demangled || launch.kernel], ["Source", `${launch.source}: ${launch.origin}`],
    ["GPU", [launch.gpu.name, launch.gpu.cc && `compute capability ${launch.gpu.cc}`].filter(Boolean).join(", ") || NONE],
    ["Grid × block", launch.grid && launch.block ? `${launch.grid.join("×")} × ${launch.block.join("×")}` : NONE],
    ["Registers, shared memory", `${launch.registers ?? NONE}, ${launch.shared_mem.static ?? NONE} + ${launch.shared_mem.dynamic ?? NONE} bytes`],
    ["Time", time(launch.duration_ns)], ["Bound by", `${launch.bound}: ${launch.evidence}`],
  ];
  const rows = (pairs, unit) => pairs.map(([label, value]) => el("tr", null, el("th", { scope: "row", text: label }), el("td", { class: unit ? "n" : null, text: value })));
  const table = TABLE_V.map(([key, label]) => [label, launch.table_v[key] === null ? NONE : `${num(launch.table_v[key])} %`]);
  const stalls = Object.entries(launch.stalls).sort((a, b) => b[1] - a[1]).filter((x) => x[1] > 0).map(([n, v]) => [n, `${num(v)} %`]);
  const hints = launch.missing.map((m) => el("li", { text: `${m.metric} (n/a): ${m.hint}` }));
  const notes = launch.notes.map((note) => el("li", { text: note }));
  replace("detail", el("table", { class: "facts" }, ...rows(facts)),
    el("div", { class: "side" },
      el("div", null, el("h3", { text: "Table V" }), el("table", { class: "facts" }, ...rows(table, true))),
      el("div", null, el("h3", { text: "Stall reasons" }), stalls.length ? el("table", { class: "facts" }, ...rows(stalls, true)) : el("p", { text: NONE }),
        launch.stall_family ? el("p", { class: "note", text: `From ${launch.stall_family}; base: ${launch.stall_base}.` }) : null)),
    hints.length + notes.length ? el("ul", { class: "note" }, ...notes, ...hints) : null);
  replace("roofline-plot", roofline(state.shown, launch, open));
  showCode(launch);
  fillOccupancy(launch);
}

function codeGrids() {
  const stall = { label: "Stalls %", numeric: true, value: (x) => x.share, text: (x) => (x.share ? num(x.share) : ""), heat: (x) => x.share };
  const count = (key, label, digits) => ({ label, numeric: true, value: (x) => x[key], text: (x) => (x[key] === null ? "" : num(x[key], digits)) });
  const link = (line) => { source.mark(source.rows.find((x) => x.file === line.file && x.line === line.line)); };
  sass = new Grid(document.getElementById("sass"), "Instructions", [
    { label: "Offset", numeric: true, value: (x) => x.offset, text: (x) => x.offset.toString(16).padStart(4, "0") },
    stall, { label: "Instruction", class: "code", value: (x) => x.text ?? NONE },
    { label: "Top stall", value: (x) => x.top || "" }, count("executed", "Executed", 0), count("threads", "Threads", 1),
    { label: "Line", numeric: true, value: (x) => x.line, text: (x) => x.line ?? "", title: (x) => (x.file === null ? "" : `${DATA.files[x.file]}:${x.line}`) },
  ], link);
  source = new Grid(document.getElementById("source"), "Source lines", [
    { label: "Line", numeric: true, value: (x) => x.line, text: (x) => x.line, title: (x) => DATA.files[x.file] },
    stall, { label: "Source", class: "code", value: (x) => x.text ?? NONE },
  ], (line) => { sass.mark(sass.rows.find((x) => x.file === line.file && x.line === line.line)); });
}

function showCode(launch) {
  const code = launch.code === null ? null : DATA.code[launch.code];
  document.getElementById("code-none").textContent = code ? `${num(code.total, 0)} stalled samples; ${code.meaning}.` : `n/a: ${launch.code_hint}`;
  document.getElementById("code-grids").hidden = !code;
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
  const texts = [];
  for (const file of used) {
    const text = DATA.sources[file];
    if (text) text.forEach((t, i) => texts.push({ file, line: i + 1, text: t, share: sums.get(`${file}:${i + 1}`) || 0 }));
    else for (const [key, share] of sums) {
      const [f, n] = key.split(":").map(Number);
      if (f === file) texts.push({ file, line: n, text: null, share });
    }
  }
  document.getElementById("source-box").hidden = !texts.length;
  sass.show(lines);
  source.show(texts);
}

function facts(heads, rows) {
  return el("table", { class: "facts" }, el("tr", null, ...heads.map((text) => el("th", { text }))),
    ...rows.map(([name, ...values]) => el("tr", null, el("th", { scope: "row", text: name.trim() }),
      ...values.map((v) => el("td", { class: "n", text: v === "" ? "" : v })))));
}

function comparison() {
  const box = document.getElementById("comparison");
  if (!DATA.comparison) { box.hidden = true; document.getElementById("nav-comparison").hidden = true; return; }
  const change = (x) => (x.base && x.new !== null ? 100 * (x.new / x.base - 1) : null);
  const host = document.getElementById("pairs"), detail = document.getElementById("pair");
  const grid = new Grid(host, "Comparison", [
    { label: "Kernel", class: "name", value: (x) => x.kernel },
    { label: "Base", numeric: true, value: (x) => x.base, text: (x) => num(x.base, 0) },
    { label: "New", numeric: true, value: (x) => x.new, text: (x) => num(x.new, 0) },
    { label: "Change %", numeric: true, value: change, text: (x) => num(change(x)) },
    { label: "What explains it", value: (x) => x.sentence },
  ], (pair) => detail.replaceChildren(
    el("h3", { text: pair.heading }), el("p", { text: pair.sentence }), cycleBars(pair),
    el("div", { class: "side" },
      facts(["Cycles", "Base", "New", "Change"], pair.parts.map((p) => [p.name, num(p.base, 0), num(p.new, 0), num(p.delta, 0)])),
      facts(["Figure", "Base", "New", "Change", "%"], pair.figures)),
    ...pair.notes.map((note) => el("p", { class: "note", text: note }))));
  document.getElementById("unmatched").replaceChildren(
    ...DATA.comparison.unmatched.map((line) => el("p", { class: "note", text: line })));
  grid.show(DATA.comparison.pairs);
  if (grid.rows.length) grid.choose(0, true);
}

document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
overview();
codeGrids();
setUpOccupancy();
comparison();
filter();
launches.choose(0, true);
document.documentElement.dataset.ready = "yes";
