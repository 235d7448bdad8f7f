"use strict";
// Elements are made from data through textContent alone: a name in a report is never markup.

const DATA = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const COLORS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999"];

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  for (const child of children) if (child) node.append(child);
  return node;
}
function el(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}
function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}
function replace(id, ...children) {
  document.getElementById(id).replaceChildren(...children.filter(Boolean));
}

const NONE = "n/a";
function num(value, digits) {
  if (value === null || value === undefined) return NONE;
  return value.toLocaleString("en-US", {
    minimumFractionDigits: digits === undefined ? 1 : digits,
    maximumFractionDigits: digits === undefined ? 1 : digits,
  });
}
function time(ns) {
  if (ns === null || ns === undefined) return NONE;
  for (const [factor, unit] of [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]])
    if (ns >= factor) return num(ns / factor, 2) + " " + unit;
  return num(ns, 0) + " ns";
}
function rate(value, unit) {
  if (value === null || value === undefined) return NONE;
  for (const [factor, prefix] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (value >= factor) return num(value / factor, 2) + " " + prefix + unit;
  return num(value, 2) + " " + unit;
}
function cut(text, length) {
  return text.length <= length ? text : text.slice(0, length - 1) + "…";
}

function card(title, ...children) {
  return el("div", { class: "card" }, title ? el("h3", { text: title }) : null, ...children);
}
// Rows of a name, a bar of some percent and its text.
function meters(rows) {
  return el("div", { class: "meters" }, ...rows.flatMap(([label, percent, text, color]) => {
    const fill = el("i");
    fill.style.width = Math.max(0, Math.min(100, percent || 0)) + "%";
    if (color) fill.style.backgroundColor = color;
    return [el("span", { text: label }), el("div", { class: "track", "aria-hidden": "true" }, fill), el("span", { text })];
  }));
}

const REASONS = (() => {
  const totals = new Map();
  for (const launch of DATA.launches)
    for (const [name, share] of Object.entries(launch.stalls))
      totals.set(name, (totals.get(name) || 0) + share);
  return [...totals.keys()].sort((a, b) => totals.get(b) - totals.get(a) || (a < b ? -1 : 1));
})();

// One color a stall reason all over the page; seven of them, the rest is grey.
const FIXED = { issuing: "#5b7083", no_warp_resident: "#c3cbd3" };
const NAMED = REASONS.slice(0, 7);
for (const pair of DATA.comparison ? DATA.comparison.pairs : [])
  for (const part of pair.parts) if (NAMED.length < 7 && !NAMED.includes(part.name) && !FIXED[part.name]) NAMED.push(part.name);
function color(name) {
  const at = NAMED.indexOf(name);
  return FIXED[name] || COLORS[at < 0 ? 7 : at];
}
