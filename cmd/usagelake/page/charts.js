// Charts: stacked bars over days, with a legend that has the sums, a table for
// those who do not see them, and arrow keys.

const MOST = 8; // series, before the rest is one

const groups = { day: "day", week: "week", month: "month" };
const charts = new Map();
const themeColor = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const seriesColor = (i) => themeColor(i < 0 ? "--other" : `--s${(i % MOST) + 1}`);

const bucketText = (day, span) => (span === "month" ? monthName.format(dateOf(day)) : span === "week" ? "week of " + dayText(day) : dayText(day));

// bucketsOf lists the periods from one day to another.
function bucketsOf(from, to, span) {
  const list = [];
  for (let d = startOf(from, span); d <= to; d = nextOf(d, span)) list.push(d);
  return list;
}

// stack is a chart's figures: a series for each name, with a value for each
// bucket. totals are amounts.
function drawStack(id, { title, unit, write, shortly, buckets, span, series, note }) {
  const figure = byId(id);
  const all = series.reduce((sum, s) => sum + s.total.value, 0);
  if (!figure.dataset.made) {
    figure.dataset.made = "1";
    const canvas = el("canvas", { role: "img", tabindex: "0" });
    canvas.addEventListener("keydown", (e) => step(id, e));
    canvas.addEventListener("blur", () => point(id, -1));
    figure.append(
      el("div", { class: "plot" }, canvas),
      el("p", { class: "said", "aria-live": "polite" }),
      el("ul", { class: "legend" }),
      el("p", { class: "note" }),
      el("details", { on: { toggle: () => tabulate(id) } }, el("summary", {}, "Table"), el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title}, as a table` })),
    );
  }
  const canvas = figure.querySelector("canvas");
  const top = series.slice(0, 3).map((s) => `${s.name} ${write(s.total.value)}`).join(", ");
  canvas.setAttribute("aria-label", `${title}: stacked bars, ${plural(buckets.length, span)} from ${dayText(buckets[0])}. In all ${write(all)} ${unit}${top && "; most: " + top}. Arrow keys step through the bars; the table below has the same figures.`);
  figure.querySelector(".legend").replaceChildren(
    ...series.map((s) => {
      const swatch = el("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = seriesColor(s.color);
      return el("li", {}, swatch, el("span", { class: "name", title: s.name }, s.name), amountEl("span", s.total, write, { class: "num" }), el("span", { class: "share" }, percent(s.total.value, all)));
    }),
  );
  figure.querySelector(".note").textContent = note || "";
  const view = { title, unit, write, buckets, span, series, at: -1, chart: null };
  const old = charts.get(id);
  const datasets = series.map((s) => ({
    label: s.name, data: s.values, backgroundColor: seriesColor(s.color), borderWidth: 0, borderRadius: 1,
    barPercentage: 0.92, categoryPercentage: 0.94, maxBarThickness: 48,
  }));
  const labels = buckets.map((d) => (span === "month" ? monthName : shortDay).format(dateOf(d)));
  const options = {
    animation: false, responsive: true, maintainAspectRatio: false, locale: "en-US",
    interaction: { mode: "index", intersect: false },
    scales: {
      x: { stacked: true, grid: { display: false }, border: { color: themeColor("--line") }, ticks: { color: themeColor("--soft"), maxRotation: 0, autoSkipPadding: 18, font: { size: 11 } } },
      y: { stacked: true, beginAtZero: true, grid: { color: themeColor("--grid") }, border: { display: false }, ticks: { color: themeColor("--soft"), maxTicksLimit: 5, font: { size: 11 }, callback: (v) => shortly(v) } },
    },
    plugins: {
      legend: { display: false },
      tooltip: {
        backgroundColor: themeColor("--tip"), titleColor: themeColor("--tip-ink"), bodyColor: themeColor("--tip-ink"), footerColor: themeColor("--tip-ink"),
        padding: 10, cornerRadius: 6, boxPadding: 4, usePointStyle: true, itemSort: (a, b) => a.datasetIndex - b.datasetIndex,
        filter: (item) => item.raw !== 0,
        callbacks: {
          title: (items) => (items.length ? bucketText(buckets[items[0].dataIndex], span) : ""),
          label: (item) => ` ${item.dataset.label}: ${write(item.raw)}`,
          footer: (items) => (items.length > 1 ? `All: ${write(items.reduce((sum, i) => sum + i.raw, 0))}` : ""),
        },
      },
    },
  };
  if (old && old.chart) {
    view.chart = old.chart;
    view.chart.data = { labels, datasets };
    view.chart.options = options;
    view.chart.update("none");
  } else {
    view.chart = new Chart(canvas, { type: "bar", data: { labels, datasets }, options });
  }
  charts.set(id, view);
  tabulate(id);
}

// tabulate fills the table of a chart, where it is open.
function tabulate(id) {
  const figure = byId(id), view = charts.get(id), details = figure.querySelector("details");
  if (!view || !details.open) return;
  const head = el("tr", {}, el("th", { scope: "col" }, view.span[0].toUpperCase() + view.span.slice(1)), view.series.map((s) => el("th", { scope: "col", class: "num" }, s.name)), el("th", { scope: "col", class: "num" }, "All"));
  const rows = view.buckets.map((d, i) =>
    el("tr", {}, el("th", { scope: "row" }, view.span === "month" ? monthName.format(dateOf(d)) : dayText(d)),
      view.series.map((s) => el("td", { class: "num" }, view.write(s.values[i]))),
      el("td", { class: "num" }, view.write(view.series.reduce((sum, s) => sum + s.values[i], 0)))));
  details.querySelector(".scroll").replaceChildren(el("table", {}, el("caption", { class: "hidden" }, `${view.title}, ${view.unit}, by ${view.span}`), el("thead", {}, head), el("tbody", {}, rows)));
}

// step moves along the bars by keys.
function step(id, e) {
  const view = charts.get(id), last = view.buckets.length - 1;
  const to = { ArrowRight: Math.min(view.at + 1, last), ArrowLeft: view.at < 0 ? last : Math.max(view.at - 1, 0), Home: 0, End: last, Escape: -1 }[e.key];
  if (to === undefined) return;
  e.preventDefault();
  point(id, to);
}

// point shows a bar's figures, and says them.
function point(id, at) {
  const view = charts.get(id), said = byId(id).querySelector(".said");
  view.at = at;
  const active = at < 0 ? [] : view.series.map((_, datasetIndex) => ({ datasetIndex, index: at }));
  view.chart.setActiveElements(active);
  const x = at < 0 ? 0 : view.chart.scales.x.getPixelForValue(at);
  view.chart.tooltip.setActiveElements(active, { x, y: view.chart.chartArea.top + 20 });
  view.chart.update("none");
  const parts = at < 0 ? [] : view.series.filter((s) => s.values[at] !== 0).map((s) => `${s.name} ${view.write(s.values[at])}`);
  said.textContent = at < 0 ? "" : `${bucketText(view.buckets[at], view.span)}: ${parts.join(", ") || "nothing"}`;
}

// seriesOf makes the series of a chart of a table: one for each of the names
// that have most, and one for the rest. rest is what that is called.
// colors remembers what colour a name has, over charts.
function seriesOf(table, cells, measure, buckets, span, dim, rest, colors) {
  const at = new Map(buckets.map((d, i) => [d, i]));
  const sums = table.group(cells, [measure], (i) => table.dims[dim][i]);
  const order = [...sums].filter(([id, [v]]) => id !== OTHER && v != 0).sort((a, b) => (b[1][0] > a[1][0] ? 1 : b[1][0] < a[1][0] ? -1 : a[0] - b[0]));
  const own = order.slice(0, order.length > MOST || sums.has(OTHER) ? MOST - 1 : MOST);
  for (const [id] of own) if (!colors.has(id)) colors.set(id, colors.size);
  const series = new Map(own.map(([id, [v]]) => [id, { name: table.name(dim, id), total: table.amount(measure, v), color: colors.get(id), values: buckets.map(() => 0) }]));
  let left = { name: `${rest} (${order.length - own.length || "small ones"})`, color: -1, units: 0, values: buckets.map(() => 0) };
  const { values, decimals } = table.sums[measure];
  for (const i of cells) {
    const s = series.get(table.dims[dim][i]) || left;
    if (s === left) left.units = left.units === 0 ? values[i] : left.units + values[i];
    s.values[at.get(Math.max(startOf(table.day[i], span), buckets[0]))] += Number(values[i]) / 10 ** decimals;
  }
  const list = [...series.values()];
  if (left.units != 0) list.push({ ...left, total: table.amount(measure, left.units) });
  return list;
}

// partsOf makes the series of a chart of several measures.
function partsOf(table, cells, parts, buckets, span) {
  const at = new Map(buckets.map((d, i) => [d, i]));
  const sums = table.total(cells, parts.map((p) => p.measure));
  return parts.filter((p) => sums[p.measure].units != 0 || p.always).map((p) => {
    const values = buckets.map(() => 0), column = table.sums[p.measure];
    for (const i of cells) values[at.get(Math.max(startOf(table.day[i], span), buckets[0]))] += Number(column.values[i]) / 10 ** column.decimals;
    return { name: p.name, color: p.color, total: sums[p.measure], values };
  });
}
