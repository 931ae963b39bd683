"use strict";

// The data of the page: tables of cells with their sums, as package cube wrote
// them. Sums are whole numbers in 10^-decimals, exact: BigInt where 53 bits do not
// suffice.

const OTHER = 0, NONE = 1, FIRST = 2;

const data = JSON.parse(document.getElementById("data").textContent);

function bytesOf(base64) {
  const text = atob(base64 || ""), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

// numbersOf reads n numbers of 7 bits a byte, the low ones first.
function numbersOf(base64, n, big, signed) {
  const bytes = bytesOf(base64), out = big ? new Array(n).fill(0n) : new Float64Array(n);
  for (let i = 0, at = 0; i < n && at < bytes.length; i++) {
    let v = big ? 0n : 0, unit = big ? 1n : 1;
    for (;;) {
      const b = bytes[at++], low = b & 127;
      v += big ? BigInt(low) * unit : low * unit;
      unit *= big ? 128n : 128;
      if (b < 128) break;
    }
    if (signed) {
      if (big) v = v & 1n ? -(v >> 1n) : v >> 1n;
      else v = v % 2 ? -(v - 1) / 2 : v / 2;
    }
    out[i] = v;
  }
  return out;
}

const DAY = 86400000;
const dateOf = (day) => new Date(day * DAY);
const dayOf = (text) => Math.round(Date.parse(text + "T00:00:00Z") / DAY);
const isoOf = (day) => dateOf(day).toISOString().slice(0, 10);

// startOf and nextOf are the first day of the period that holds a day, and of the
// one after it.
function startOf(day, span) {
  switch (span) {
    case "week": return day - (((day + 3) % 7) + 7) % 7;
    case "month": { const d = dateOf(day); return Date.UTC(d.getUTCFullYear(), d.getUTCMonth(), 1) / DAY; }
    case "all": return 0;
  }
  return day;
}
function nextOf(day, span) {
  switch (span) {
    case "week": return startOf(day, span) + 7;
    case "month": { const d = dateOf(day); return Date.UTC(d.getUTCFullYear(), d.getUTCMonth() + 1, 1) / DAY; }
    case "all": return 1e6;
  }
  return day + 1;
}

class Table {
  constructor(sheet) {
    const n = sheet.cells;
    this.sheet = sheet;
    this.n = n;
    this.items = sheet.items || [];
    this.day = numbersOf(sheet.keys.day, n);
    for (let i = 1; i < n; i++) this.day[i] += this.day[i - 1];
    this.dims = {};
    this.has = {};
    for (const d of ["provider", "model", "project", "item"]) {
      this.dims[d] = numbersOf(sheet.keys[d], n);
      this.has[d] = new Set(this.dims[d]);
    }
    this.sums = {};
    for (const [name, c] of Object.entries(sheet.sums)) {
      this.sums[name] = { decimals: c.decimals, total: c.total, big: !!c.big, values: numbersOf(c.data, n, c.big, c.signed) };
    }
  }

  spanOf(day) { return day < this.sheet.daily_from ? this.sheet.span : "day"; }

  // select lists the cells that a filter lets through, and what must be said about
  // it: filters that this table cannot follow, and days beyond the range that
  // cells of longer periods bring along.
  select(filter) {
    const notes = [], want = [];
    for (const d of ["provider", "model", "project"]) {
      if (filter[d] === null) continue;
      if (this.sheet.dropped && this.sheet.dropped[d]) {
        notes.push(`not told apart by ${d}: these are the figures of all ${d}s`);
      } else if (filter[d] >= FIRST && !this.has[d].has(filter[d]) && this.has[d].has(OTHER)) {
        notes.push(`this ${d} is one of the small ones here, which are not told apart`);
        want.push([this.dims[d], filter[d]]);
      } else {
        want.push([this.dims[d], filter[d]]);
      }
    }
    const cells = [];
    let from = Infinity, to = -Infinity;
    for (let i = 0; i < this.n; i++) {
      const span = this.spanOf(this.day[i]);
      const end = span === "day" ? this.day[i] + 1 : Math.min(nextOf(this.day[i], span), this.sheet.daily_from);
      if (this.day[i] > filter.to || end <= filter.from) continue;
      if (want.some(([ids, id]) => ids[i] !== id)) continue;
      from = Math.min(from, this.day[i]);
      to = Math.max(to, end - 1);
      cells.push(i);
    }
    from = Math.max(from, dayOf(data.from));
    to = Math.min(to, dayOf(data.to));
    if (cells.length && (from < filter.from || to > filter.to)) {
      notes.push(`by ${this.sheet.span === "all" ? "no date" : this.sheet.span}: these are the figures of ${dayText(Math.min(from, filter.from))} to ${dayText(Math.max(to, filter.to))}`);
    }
    return { cells, notes };
  }

  // group sums measures up by what by() says of a cell: a Map of arrays.
  group(cells, measures, by) {
    const groups = new Map(), columns = measures.map((m) => this.sums[m]);
    for (const i of cells) {
      const k = by(i);
      let g = groups.get(k);
      if (!g) groups.set(k, (g = columns.map((c) => (c.big ? 0n : 0))));
      for (let j = 0; j < columns.length; j++) g[j] += columns[j].values[i];
    }
    return groups;
  }

  // total sums measures up: an object of amounts by name.
  total(cells, measures) {
    const sums = this.group(cells, measures, () => 0).get(0);
    return Object.fromEntries(measures.map((m, j) => [m, this.amount(m, sums ? sums[j] : 0)]));
  }

  amount(measure, units) {
    const { decimals } = this.sums[measure];
    return { units, decimals, value: Number(units) / 10 ** decimals };
  }

  name(dim, id) {
    if (id === OTHER) return "Other";
    if (id === NONE) return `(no ${dim})`;
    const list = { provider: data.providers, model: data.models, project: data.projects, item: this.items }[dim];
    return list[id - FIRST];
  }
}

const tables = Object.fromEntries(Object.entries(data.tables).map(([k, s]) => [k, new Table(s)]));
