// A table that keeps only the rows in view in the document; sorted by its headings, walked with the
// arrow keys. Before printing all of its rows are put in.

const ROW = 28;
const SPARE = 12;
const PRINTED = 600;
const PRINTED_CODE = 60;

class Grid {
  // columns: {label, value(row), text(row), title(row), numeric, heat(row)}; opened(row) on choice;
  // sort: {index, down} to begin with.
  constructor(host, label, columns, opened, sort) {
    this.columns = columns;
    this.opened = opened;
    this.rows = [];
    this.all = [];
    this.sort = sort || null;
    this.at = -1;
    this.printing = false;
    this.printed = PRINTED;
    this.buttons = columns.map((column, index) =>
      el("button", { type: "button", text: column.label, onclick: () => this.sortBy(index) }));
    this.heads = columns.map((column, index) =>
      el("th", { scope: "col", "aria-sort": "none", "data-label": column.label, class: column.numeric ? "n" : null }, this.buttons[index]));
    this.body = el("tbody");
    this.table = el("table", { role: "grid", "aria-label": label },
      el("thead", null, el("tr", null, ...this.heads)), this.body);
    this.box = el("div", { class: "grid", tabindex: "0", "aria-label": label }, this.table);
    this.box.addEventListener("scroll", () => this.draw(true));
    this.box.addEventListener("keydown", (event) => this.key(event));
    host.replaceChildren(this.box);
    this.mark_heads();
    new ResizeObserver(() => this.draw(true)).observe(this.box);
    addEventListener("beforeprint", () => { this.printing = true; this.draw(); });
    addEventListener("afterprint", () => { this.printing = false; this.draw(); });
  }
  show(rows, chosen) {
    this.all = rows;
    this.rows = this.sorted();
    this.at = chosen ? this.rows.indexOf(chosen) : -1;
    this.box.scrollTop = 0;
    this.draw();
  }
  mark_heads() {
    this.heads.forEach((head, i) =>
      head.setAttribute("aria-sort", !this.sort || i !== this.sort.index ? "none" : this.sort.down ? "descending" : "ascending"));
  }
  sortBy(index, down) {
    if (down === undefined) down = this.sort && this.sort.index === index ? !this.sort.down : !!this.columns[index].numeric;
    this.sort = { index, down };
    this.mark_heads();
    const chosen = this.rows[this.at];
    this.rows = this.sorted();
    this.at = chosen === undefined ? -1 : this.rows.indexOf(chosen);
    this.box.scrollTop = 0;
    this.draw();
  }
  sorted() {
    const rows = [...this.all];
    if (!this.sort) return rows;
    const { index, down } = this.sort;
    const value = this.columns[index].value;
    const absent = (v) => v === null || v === undefined;
    // What is missing goes last, whichever way the rest is sorted.
    return rows.sort((a, b) => {
      const x = value(a), y = value(b);
      if (absent(x) || absent(y)) return absent(x) - absent(y);
      const order = typeof x === "number" ? x - y : String(x).localeCompare(String(y));
      return down ? -order : order;
    });
  }
  choose(at, open) {
    if (!this.rows.length) return;
    this.at = Math.max(0, Math.min(this.rows.length - 1, at));
    const top = this.at * ROW, height = this.box.clientHeight - 2 * ROW;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top > this.box.scrollTop + height) this.box.scrollTop = top - height;
    if (open) this.opened(this.rows[this.at]);
    this.draw();
  }
  mark(row) {
    this.at = this.rows.indexOf(row);
    if (this.at >= 0) this.choose(this.at, false); else this.draw();
  }
  key(event) {
    if (event.target !== this.box) return;
    const page = Math.max(1, Math.floor(this.box.clientHeight / ROW) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page };
    if (event.key in steps) this.choose(this.at + steps[event.key], true);
    else if (event.key === "Home") this.choose(0, true);
    else if (event.key === "End") this.choose(this.rows.length - 1, true);
    else return;
    event.preventDefault();
  }
  // With moved the rows are as they were: they are made again only where others come into view, so
  // that a click is never lost to a row that has just been replaced.
  draw(moved) {
    const above = Math.floor(this.box.scrollTop / ROW);
    let first = Math.max(0, above - (above % SPARE) - SPARE);
    let last = Math.min(this.rows.length, first + Math.ceil((this.box.clientHeight || 400) / ROW) + 3 * SPARE);
    if (this.printing) { first = 0; last = Math.min(this.rows.length, this.printed); }
    if (moved && this.first === first && this.last === last) return;
    this.first = first;
    this.last = last;
    const span = this.columns.length;
    const spacer = (rows) => {
      const cell = el("td", { colspan: span, class: "gap" });
      cell.style.height = rows * ROW + "px";
      return el("tr", { "aria-hidden": "true" }, cell);
    };
    const lines = [];
    if (first > 0) lines.push(spacer(first));
    for (let i = first; i < last; i++) lines.push(this.line(i));
    if (last < this.rows.length && !this.printing) lines.push(spacer(this.rows.length - last));
    if (last < this.rows.length && this.printing) lines.push(el("tr", null, el("td", { colspan: span, class: "rest",
      text: `${num(this.rows.length - last, 0)} rows more are in the page itself.` })));
    this.table.setAttribute("aria-rowcount", this.rows.length);
    this.body.replaceChildren(...lines);
  }
  line(i) {
    const row = this.rows[i];
    const cells = this.columns.map((column) => {
      const text = column.text ? column.text(row) : column.value(row);
      const shown = text === null || text === undefined ? NONE : String(text);
      const cell = el("td", { text: shown, class: column.class || (column.numeric ? "n" : null),
        title: column.title ? column.title(row) : shown });
      const heat = column.heat ? column.heat(row) : 0;
      if (heat > 0) cell.style.backgroundSize = `calc((100% - 18px) * ${Math.min(1, heat / 100)}) 3px`, cell.classList.add("heat");
      return cell;
    });
    return el("tr", { "aria-rowindex": i + 1, "aria-selected": i === this.at ? "true" : "false",
      onclick: () => { this.at = i; this.opened(row); this.draw(); } }, ...cells);
  }
}
