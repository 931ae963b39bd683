// The page: filters, and what is drawn anew when they change.

const main = tables.calls;
const firstDay = data.from ? dayOf(data.from) : 0, lastDay = data.to ? dayOf(data.to) : 0;
const all = main.total([...Array(main.n).keys()], Object.keys(main.sums));
const filter = { from: firstDay, to: lastDay, provider: null, model: null, project: null };
const view = { cost: all.cost_usd_rows.value >= all.reported_cost_usd_rows.value && all.cost_usd_rows.value > 0 ? "cost_usd" : "reported_cost_usd", span: "", rank: "cost", open: new Set() };
if (all[view.cost].value === 0) view.rank = "tokens";
const costName = { cost_usd: "by price book", reported_cost_usd: "as logged" };

function head() {
  fill("lake", data.lake);
  const time = new Date(data.run_time);
  const at = data.run ? `${longDay.format(time)} ${time.toISOString().slice(11, 16)} UTC` : "";
  fill("asof", data.rows ? `${dayText(firstDay)} – ${dayText(lastDay)} (days are UTC) · ` : "No calls · ",
    data.run ? `as of run ${data.run} (${data.run_kind}), ${at} · ` : "", `usagelake ${data.version}`);
}

function choices() {
  const option = (value, text, selected) => el("option", { value, selected }, text);
  const totals = (dim) => main.group([...Array(main.n).keys()], ["calls"], (i) => main.dims[dim][i]);
  for (const dim of ["provider", "model", "project"]) {
    const ids = [...totals(dim).keys()].sort((a, b) => (a < FIRST ? 1e9 + a : a) - (b < FIRST ? 1e9 + b : b));
    const texts = { [OTHER]: `other ${dim}s`, [NONE]: `(no ${dim})` };
    fill(dim, option("", `All ${dim}s`), ids.map((id) => option(id, id < FIRST ? texts[id] : main.name(dim, id))));
  }
  const ranges = [["all", "All days"], ["7", "Last 7 days"], ["30", "Last 30 days"], ["90", "Last 90 days"], ["month", "Last month in it"]];
  fill("range", ranges.map(([v, t]) => option(v, t)), option("own", "Own"));
  for (const id of ["from", "to"]) {
    byId(id).min = data.from;
    byId(id).max = data.to;
  }
}

function show() {
  byId("from").value = isoOf(filter.from);
  byId("to").value = isoOf(filter.to);
  for (const d of ["provider", "model", "project"]) byId(d).value = filter[d] === null ? "" : filter[d];
  byId("span").value = view.span;
  byId("cost").value = view.cost;
  byId("rank").value = view.rank;
}

function range(which) {
  filter.to = lastDay;
  if (which === "all") filter.from = firstDay;
  else if (which === "month") filter.from = Math.max(firstDay, startOf(lastDay, "month"));
  else filter.from = Math.max(firstDay, lastDay - Number(which) + 1);
}

// spanFor is the width of bars: not too many, and none narrower than a cell.
function spanFor(cells) {
  let span = view.span || (filter.to - filter.from > 400 ? "month" : filter.to - filter.from > 100 ? "week" : "day");
  const order = ["day", "week", "month", "all"];
  for (const i of cells) {
    const own = main.spanOf(main.day[i]);
    if (order.indexOf(own) > order.indexOf(span)) span = own;
  }
  return span;
}

function tile(label, big, sub, chosen) {
  return el("div", { class: "tile" + (chosen ? " chosen" : "") }, el("div", { class: "label" }, label, chosen ? el("span", { class: "hidden" }, " (in the charts)") : null), big, el("div", { class: "sub" }, sub));
}
const bigOf = (id, a, write) => amountEl("div", a, write, { class: write(a.value).length > 12 ? "big long" : "big", id });

function tiles(t) {
  const calls = t.calls.value;
  const cost = (name) => {
    const rows = t[name + "_rows"].value;
    return tile("Cost " + costName[name], bigOf("sum-" + name, t[name], (v) => (rows ? money(v) : "–")), rows === calls ? "USD, all calls" : rows ? `USD, ${percent(rows, calls)} of calls` : "no call has one", name === view.cost && rows > 0);
  };
  fill("tiles", cost("cost_usd"), cost("reported_cost_usd"),
    tile("Calls", bigOf("sum-calls", t.calls, count), t.no_cost_rows.value ? `${count(t.no_cost_rows.value)} without any cost` : "each has a cost"),
    tile("Input tokens", bigOf("sum-input_tokens", t.input_tokens, tokens), `${percent(t.cache_read.value, t.input_tokens.value)} read from cache`),
    tile("Output tokens", bigOf("sum-output_tokens", t.output_tokens, tokens), `${percent(t.reasoning.value, t.output_tokens.value)} reasoning`),
    t.image_count.value ? tile("Images", bigOf("sum-image_count", t.image_count, count), "returned") : null);
}

const inputParts = [
  { measure: "fresh", name: "Fresh", color: 0, always: true },
  { measure: "cache_read", name: "Cache read", color: 2, always: true },
  { measure: "cache_write", name: "Cache write", color: 1 },
  { measure: "unclear", name: "Not told apart", color: -1 },
];
const outputParts = [
  { measure: "text", name: "Text", color: 0, always: true },
  { measure: "reasoning", name: "Reasoning", color: 4, always: true },
  { measure: "image", name: "Image", color: 3 },
  { measure: "audio", name: "Audio", color: 6 },
];

function cache(t) {
  const read = t.cache_read.value, parts = [
    el("div", {}, el("div", { class: "soft" }, "Input from cache"), el("div", { class: "big" }, percent(read, t.input_tokens.value))),
    el("div", {}, el("div", { class: "soft" }, "Tokens read / written"), el("div", { class: "big" }, short.format(read), " / ", short.format(t.cache_write.value))),
  ];
  let why;
  if (!data.priced) {
    why = "What that saved cannot be told from the table alone: it holds the cost of a call, not its prices. Make the report with --prices BOOK.";
  } else if (!t.cached_rows.value) {
    why = "No call here used a prompt cache.";
  } else {
    const net = { units: BigInt(t.saved_usd.units) * 10n ** BigInt(9 - t.saved_usd.decimals) - BigInt(t.write_extra_usd.units) * 10n ** BigInt(9 - t.write_extra_usd.decimals), decimals: 9 };
    net.value = Number(net.units) / 1e9;
    parts.push(
      el("div", {}, el("div", { class: "soft" }, "Reads saved"), amountEl("div", t.saved_usd, money, { class: "big", id: "sum-saved" })),
      el("div", {}, el("div", { class: "soft" }, "Writes cost more"), amountEl("div", t.write_extra_usd, money, { class: "big" })),
      el("div", {}, el("div", { class: "soft" }, "Net, USD"), amountEl("div", net, money, { class: "big" })),
    );
    why = `By the price books given: what cache reads would have cost as plain input, less what they cost; and what cache writes cost more than plain input. ${count(t.saved_rows.value)} of ${plural(t.cached_rows.value, "call")} with a cache have a price.`;
  }
  fill("cache", el("div", { class: "pair" }, parts), el("p", { class: "note" }, why));
}

function notesOf(notes) {
  return notes.length ? el("p", { class: "note" }, "Here: " + notes.join("; ") + ".") : null;
}

// costCells are both costs of a line, with a dash where no call has one.
const costCells = (table, g, at, costs) => costs.map((c) =>
  el("td", { class: "num" }, g[at[c + "_rows"]] ? amountEl("span", table.amount(c, g[at[c]]), money) : "–"));

function images() {
  const table = tables.images, { cells, notes } = table.select(filter);
  const list = ["image_count", "calls", "cost_usd", "cost_usd_rows", "reported_cost_usd", "reported_cost_usd_rows"];
  const at = Object.fromEntries(list.map((m, i) => [m, i]));
  const rows = [...table.group(cells, list, (i) => table.dims.item[i])].sort((a, b) => Number(b[1][0]) - Number(a[1][0]) || a[0] - b[0]);
  if (!rows.length) {
    fill("images", el("p", { class: "note" }, "No images were returned."), notesOf(notes));
    return;
  }
  const most = Number(rows[0][1][0]);
  const costs = ["cost_usd", "reported_cost_usd"].filter((c) => rows.some(([, g]) => g[at[c + "_rows"]]));
  fill("images", el("div", { class: "wide-table", tabindex: "0", role: "region", "aria-label": "Images by size and quality" },
    el("table", { class: "list" }, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Size · quality"), ["Images", ...costs.map((c) => ({ cost_usd: "By price book", reported_cost_usd: "As logged" })[c])].map((h) => el("th", { scope: "col", class: "num" }, h)))),
      el("tbody", {}, rows.slice(0, 12).map(([id, g]) => {
        const [size, quality] = table.name("item", id).split("\t");
        const text = id < FIRST ? "Other" : `${size || "size not given"} · ${quality || "quality not given"}`;
        return el("tr", {}, el("th", { scope: "row", class: "who" }, el("div", { title: text }, text), bar(Number(g[0]) / most, id < FIRST)), el("td", { class: "num" }, amountEl("span", table.amount("image_count", g[0]), count)), costCells(table, g, at, costs));
      })))), el("p", { class: "soft" }, rows.length > 12 ? `and ${rows.length - 12} more` : ""), notesOf(notes));
}

function bar(share, rest) {
  const i = el("i", { class: rest ? "rest" : null });
  i.style.width = `${Math.max(0, Math.min(1, share || 0)) * 100}%`;
  return el("div", { class: "track", "aria-hidden": "true" }, i);
}

// top lists what has most of something: of the table's items, or of a dimension.
function top(id, title, one, table, dim) {
  const { cells, notes } = table.select(filter);
  const list = ["calls", "input_tokens", "output_tokens", "cost_usd", "cost_usd_rows", "reported_cost_usd", "reported_cost_usd_rows"];
  const at = Object.fromEntries(list.map((m, i) => [m, i]));
  const value = (m, g) => table.amount(m, g[at[m]]).value;
  const rankOf = { cost: (g) => value(view.cost, g), tokens: (g) => value("input_tokens", g) + value("output_tokens", g), calls: (g) => value("calls", g) }[view.rank];
  const rows = [...table.group(cells, list, (i) => table.dims[dim][i])].map(([k, g]) => ({ k, g, v: rankOf(g) }));
  const sum = rows.reduce((s, r) => s + r.v, 0);
  rows.sort((a, b) => b.v - a.v || a.k - b.k);
  const named = rows.filter((r) => r.k >= FIRST), names = named.length;
  const shown = [...(view.open.has(id) ? named : named.slice(0, 8)), ...rows.filter((r) => r.k < FIRST)];
  const most = Math.max(...named.map((r) => r.v), 0);
  const folded = table.sheet.folded && table.sheet.folded[dim === "item" ? "item" : dim];
  const parts = [el("h2", { id: "h-" + id }, title)];
  if (!names) {
    parts.push(el("p", { class: "note" }, rows.length ? `No call here names a ${one}.` : "No calls."));
  } else {
    parts.push(el("div", {}, el("table", { class: "list" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, el("span", { class: "hidden" }, one)), [{ cost: "Cost", tokens: "Tokens", calls: "Calls" }[view.rank], "Share"].map((h) => el("th", { scope: "col", class: "num" }, h)))),
      el("tbody", {}, shown.map(({ k, g, v }) => {
        const text = k === OTHER ? `Other ${one}s` + (folded ? ` (${count(folded)})` : "") : k === NONE ? `(no ${one})` : table.name(dim, k);
        const details = `${tokens(value("input_tokens", g))} input, ${tokens(value("output_tokens", g))} output tokens; ${plural(value("calls", g), "call")}; by price book ${money(value("cost_usd", g))}, as logged ${money(value("reported_cost_usd", g))}`;
        const a = view.rank === "tokens" ? null : table.amount(view.rank === "cost" ? view.cost : "calls", g[at[view.rank === "cost" ? view.cost : "calls"]]);
        const write = view.rank === "cost" ? money : (n) => short.format(n);
        return el("tr", { title: details, class: k < FIRST ? "soft" : null }, el("th", { scope: "row", class: "who" }, el("div", {}, text), k < FIRST ? null : bar(v / most)),
          el("td", { class: "num" }, a ? el("span", { "data-exact": exact(a) }, write(a.value)) : write(v)), el("td", { class: "num" }, percent(v, sum)));
      })))));
    if (names > 8) {
      const button = el("button", { type: "button", class: "more", "aria-expanded": String(view.open.has(id)) }, view.open.has(id) ? "Show 8" : `Show ${names}`);
      button.addEventListener("click", () => {
        if (!view.open.delete(id)) view.open.add(id);
        draw();
        byId(id).querySelector("button").focus();
      });
      parts.push(button);
    }
  }
  if (table.sheet.early && dim === "item") notes.push("there are very many names; small parts of one can be in other");
  parts.push(notesOf(notes));
  fill(id, parts.filter(Boolean));
}

// coverage draws a strip of days for each source.
function coverage() {
  const c = data.coverage;
  if (!c.sources.length) {
    fill("coverage", el("p", { class: "note" }, "No sources."));
    return;
  }
  const begin = dayOf(c.from), from = Math.max(filter.from, begin), to = Math.min(filter.to, dayOf(c.to));
  const n = Math.max(to - from + 1, 1);
  const key = [["h", "there"], ["t", "thin"], ["m", "missing"], ["n", "not expected"]].map(([k, text]) => {
    const s = el("span", { class: "swatch" });
    s.style.background = `var(--${{ h: "here", t: "thin", m: "missing", n: "outside" }[k]})`;
    return el("span", {}, s, text);
  });
  let missing = 0, thin = 0;
  const problems = [];
  const lines = c.sources.map((s) => {
    const days = s.days.slice(from - begin, to - begin + 1), at = { h: [], t: [], m: [], "-": [] };
    for (let i = 0; i < days.length; i++) at[days[i]].push(i);
    if (at["-"].length === days.length) return null;
    missing += at.m.length;
    thin += at.t.length;
    for (const i of at.m) problems.push([from + i, s.source, "missing", "no rows"]);
    for (const i of at.t) {
      const t = (s.thin || []).find((d) => d.day === isoOf(from + i));
      problems.push([from + i, s.source, "thin", t ? `${count(t.rows)} rows, usually ${count(t.usual)}` : "few rows"]);
    }
    const ns = "http://www.w3.org/2000/svg", svg = document.createElementNS(ns, "svg");
    const text = `${s.source}: ${plural(at.h.length, "day")} there, ${at.t.length} thin, ${at.m.length} missing`;
    for (const [k, v] of Object.entries({ class: "strip", viewBox: `0 0 ${Math.max(n, 31)} 1`, preserveAspectRatio: "none", role: "img", "aria-label": text })) svg.setAttribute(k, v);
    const gap = n > 150 ? 1 : 0.9;
    for (const [k, list] of Object.entries(at)) {
      const path = document.createElementNS(ns, "path");
      path.setAttribute("class", k === "-" ? "n" : k);
      path.setAttribute("d", list.map((i) => `M${i} 0h${gap}v1h-${gap}z`).join(""));
      svg.append(path);
    }
    svg.addEventListener("pointermove", (e) => {
      const box = svg.getBoundingClientRect(), i = Math.floor(((e.clientX - box.left) / box.width) * Math.max(n, 31));
      const state = { h: "there", t: "thin", m: "missing", "-": "not expected" }[days[i]];
      line.title = state ? `${dayText(from + i)}: ${state}` : "";
    });
    const line = el("div", { class: "source" }, el("span", { class: "name", title: `${s.source} (${plural(s.files, "file")})` }, el("bdi", {}, s.source)), svg,
      el("span", { class: "sum" }, at.m.length ? el("b", {}, `${at.m.length} missing`) : "none missing", at.t.length ? `, ${at.t.length} thin` : ""));
    return line;
  });
  problems.sort((a, b) => a[0] - b[0] || (a[1] < b[1] ? -1 : 1));
  fill("coverage",
    el("p", { class: "soft" }, `Days with rows by source, ${dayText(from)} to ${dayText(to)}. Only the dates above filter it.`),
    el("div", { class: "keyline" }, key), lines.filter(Boolean),
    el("div", { class: "source axis", "aria-hidden": "true" }, el("span"), axis(from, to, n), el("span")),
    el("details", {}, el("summary", {}, "What missing and thin mean"), el("pre", { tabindex: "0", role: "region", "aria-label": "What missing and thin mean" }, data.coverage_rules)),
    problems.length ? el("details", {}, el("summary", {}, `${count(missing)} missing, ${count(thin)} thin`),
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Days that are missing or thin" },
        el("table", {}, el("thead", {}, el("tr", {}, ["Day", "Source", "State", "Rows"].map((h) => el("th", { scope: "col" }, h)))),
          el("tbody", {}, problems.slice(-1000).map(([d, s, state, rows]) => el("tr", {}, el("th", { scope: "row" }, dayText(d)), el("td", {}, s), el("td", {}, state), el("td", {}, rows))))))) : null);
}

// axis is what stands below the strips: a few days, at their places.
function axis(from, to, n) {
  const line = el("div", { class: "ticks" }), every = Math.max(1, Math.ceil(Math.max(n, 31) / 6)); // so that they do not touch
  for (let i = 0; i < n; i += every) {
    const tick = el("span", {}, (n > 300 ? monthName : shortDay).format(dateOf(from + i)));
    tick.style.left = `${(100 * i) / Math.max(n, 31)}%`;
    line.append(tick);
  }
  return line;
}

function simpleTable(label, heads, rows) {
  return el("div", { class: "wide-table", tabindex: "0", role: "region", "aria-label": label }, el("table", {},
    el("thead", {}, el("tr", {}, heads.map((h, i) => el("th", { scope: "col", class: i ? "num" : null }, h)))),
    el("tbody", {}, rows.map((r) => el("tr", {}, r.map((c, i) => el(i ? "td" : "th", i ? { class: "num" } : { scope: "row" }, c)))))));
}

function quality(t, cells) {
  const calls = t.calls.value;
  const flags = tables.flags, picked = flags.select(filter);
  const counts = [...flags.group(picked.cells, ["calls"], (i) => flags.dims.item[i])].sort((a, b) => Number(b[1][0]) - Number(a[1][0]) || a[0] - b[0]);
  const named = (name, doc) => [el("div", {}, name), el("div", { class: "soft" }, doc || "")];
  const quarantine = Object.entries(data.quarantine).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  const models = [...main.group(cells, ["calls", "cost_usd_rows", "reported_cost_usd_rows", "no_cost_rows"], (i) => main.dims.model[i])]
    .map(([id, [n, a, b, none]]) => ({ id, n, priced: n - a, logged: n - b, none })).filter((m) => m.none > 0 || m.n - m.priced > 0 && m.priced > 0 || m[view.cost === "cost_usd" ? "priced" : "logged"] > 0)
    .sort((a, b) => b.none - a.none || b.priced - a.priced || a.id - b.id);
  const b = data.books;
  fill("quality",
    el("div", { class: "cols" },
      el("div", {}, el("h3", {}, "Flags"), el("p", { class: "soft" }, "What is unusual about calls; a call can have several."), counts.length
        ? simpleTable("Flags", ["Flag", "Calls", "Share"], counts.map(([id, [n]]) => [named(flags.name("item", id), data.flag_docs[flags.name("item", id)]), amountEl("span", flags.amount("calls", n), count), percent(Number(n), calls)]))
        : el("p", { class: "note" }, "No call is flagged."), notesOf(picked.notes)),
      el("div", {}, el("h3", {}, "Without a cost"), el("p", { class: "soft" }, "Calls by model that lack a cost. NULL is no zero: they are in no sum of costs."), models.length
        ? simpleTable("Calls without a cost", ["Model", "No price-book cost", "No logged cost", "Neither"], [
          ["All", count(calls - t.cost_usd_rows.value), count(calls - t.reported_cost_usd_rows.value), count(t.no_cost_rows.value)],
          ...models.slice(0, 12).map((m) => [main.name("model", m.id), count(m.priced), count(m.logged), count(m.none)])])
        : el("p", { class: "note" }, "Every call has the cost that the charts show."),
      models.length > 12 ? el("p", { class: "soft" }, `and ${models.length - 12} more models`) : null,
      el("h3", {}, "Quarantine"), el("p", { class: "soft" }, "Records that could not be read, of the whole lake: no filter applies."), quarantine.length
        ? simpleTable("Quarantine", ["Reason", "Records"], quarantine.map(([r, n]) => [named(r, data.reason_docs[r]), count(n)]))
        : el("p", { class: "note" }, "Nothing is set aside."))),
    el("h3", {}, "Books of the whole lake"),
    el("p", { class: "soft" }, `${plural(b.records, "record")} read in ${plural(data.run, "run")}: ${plural(b.duplicates, "duplicate")}, ${count(b.no_usage)} without usage, ${count(b.filtered)} filtered out by date, ${count(b.quarantined)} in quarantine now. ${b.report_rows ? `${plural(b.report_rows, "row")} of providers' own reports are in another table and in no figure here.` : ""}`));
}

function about() {
  const coarse = [];
  const names = { calls: "The charts", users: "Users", keys: "Keys", images: "Images", flags: "Flags" };
  for (const [name, t] of Object.entries(tables)) {
    const s = t.sheet, parts = [];
    if (s.span !== "day") parts.push(s.span === "all" ? "all days are one" : s.daily_from > lastDay ? `days are summed by ${s.span}` : `days before ${dayText(s.daily_from)} are summed by ${s.span}`);
    for (const d of ["provider", "model", "project"]) {
      if (s.dropped && s.dropped[d]) parts.push(`${d}s are not told apart`);
      else if (s.folded && s.folded[d]) parts.push(`${count(s.folded[d])} small ${d}s are “other”`);
    }
    if (s.folded && s.folded.item) parts.push(`${count(s.folded.item)} small ones are “other”`);
    if (s.early) parts.push("small parts of a name can be in “other” too");
    if (parts.length) coarse.push(`${names[name]}: ${parts.join(", ")}.`);
  }
  fill("about", el("ul", {}, [
    "A call is a row of the table usage. Days are those of event_time in UTC. Costs are US dollars: “by price book” is cost_usd, “as logged” is reported_cost_usd. They are two readings of the same calls and are never added.",
    "Input is input_tokens: fresh + cache read + cache write. Calls whose cache counts exceed their input are “not told apart”. Output is output_tokens; image, audio and reasoning are taken out of it in this order, and the rest is text.",
    "Numbers are rounded where they are shown; their exact value appears when you point at them. Filters sum up exact parts; nothing is an average of averages.",
    coarse.length ? "To keep this page small, with all sums exact: " + coarse.join(" ") : "Nothing had to be left out or summed up coarser than by day.",
  ].map((text) => el("li", {}, text))));
}

function draw() {
  const { cells, notes } = main.select(filter);
  const t = main.total(cells, Object.keys(main.sums));
  const span = spanFor(cells), buckets = bucketsOf(filter.from, filter.to, span);
  tiles(t);
  const rows = t[view.cost + "_rows"].value, lacking = t.calls.value - rows;
  fill("cost-what", `US dollars, ${costName[view.cost]}, by ${span}.` + (lacking ? ` ${count(lacking)} of ${plural(t.calls.value, "call")} have none and are not in it.` : ""));
  const colors = new Map();
  const note = notes.length ? "Here: " + notes.join("; ") + "." : "";
  drawStack("chart-cost", { title: "Cost by model", unit: "USD", write: money, shortly: (v) => (v === 0 ? "$0" : Math.abs(v) < 1 ? cents.format(v) : shortDollars.format(v)), buckets, span, note, series: seriesOf(main, cells, view.cost, buckets, span, "model", "Other models", colors) });
  const both = seriesOf(main, cells, "tokens", buckets, span, "model", "Other models", colors);
  drawStack("chart-tokens", { title: "Tokens by model", unit: "tokens", write: tokens, shortly: (v) => short.format(v), buckets, span, note, series: both });
  drawStack("chart-input", { title: "Input tokens", unit: "tokens", write: tokens, shortly: (v) => short.format(v), buckets, span, note, series: partsOf(main, cells, inputParts, buckets, span) });
  drawStack("chart-output", { title: "Output tokens", unit: "tokens", write: tokens, shortly: (v) => short.format(v), buckets, span, note, series: partsOf(main, cells, outputParts, buckets, span) });
  cache(t);
  images();
  top("top-users", "Users", "user", tables.users, "item");
  top("top-projects", "Projects", "project", main, "project");
  top("top-keys", "API keys", "key", tables.keys, "item");
  coverage();
  quality(t, cells);
  fill("status", `${plural(t.calls.value, "call")}, ${dayText(filter.from)} to ${dayText(filter.to)}`);
}

// tokens of the input and the output, which share a unit after this.
function addTokens(table) {
  const a = table.sums.input_tokens, b = table.sums.output_tokens, decimals = Math.max(a.decimals, b.decimals);
  const raise = (c) => 10 ** (decimals - c.decimals);
  const big = a.big || b.big || (Number(a.total) + Number(b.total)) * 10 ** decimals > 2 ** 52;
  const values = Array.from(a.values, (v, i) => (big ? BigInt(v) * BigInt(raise(a)) + BigInt(b.values[i]) * BigInt(raise(b)) : v * raise(a) + b.values[i] * raise(b)));
  table.sums.tokens = { decimals, big, values };
}

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  draw();
}

function start() {
  head();
  about();
  if (!main.n) {
    byId("filters").hidden = true;
    byId("main").replaceChildren(el("p", { class: "card full" }, "There are no calls on these days."));
    return;
  }
  addTokens(main);
  choices();
  show();
  draw();
  const change = (id, f) => byId(id).addEventListener("change", (e) => { f(e.target.value); show(); draw(); });
  change("from", (v) => { if (v) { filter.from = Math.min(Math.max(dayOf(v), firstDay), lastDay); filter.to = Math.max(filter.from, filter.to); } byId("range").value = "own"; });
  change("to", (v) => { if (v) { filter.to = Math.max(Math.min(dayOf(v), lastDay), firstDay); filter.from = Math.min(filter.from, filter.to); } byId("range").value = "own"; });
  change("range", (v) => { if (v !== "own") range(v); });
  for (const d of ["provider", "model", "project"]) change(d, (v) => { filter[d] = v === "" ? null : Number(v); });
  change("span", (v) => { view.span = v; });
  change("cost", (v) => { view.cost = v; });
  change("rank", (v) => { view.rank = v; });
  byId("filters").addEventListener("submit", (e) => e.preventDefault());
  byId("filters").addEventListener("reset", (e) => {
    e.preventDefault();
    Object.assign(filter, { from: firstDay, to: lastDay, provider: null, model: null, project: null });
    byId("range").value = "all";
    view.span = "";
    show();
    draw();
  });
  byId("theme").addEventListener("change", (e) => setTheme(e.target.value));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  addEventListener("beforeprint", () => charts.forEach((v) => v.chart.resize()));
}

start();
