// How numbers, days and elements are written.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en-US", { maximumFractionDigits: 2 });
const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 3 });
const dollars = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
const cents = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD", maximumSignificantDigits: 3 });
const tenths = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD", minimumFractionDigits: 2, maximumFractionDigits: 3 });
const shortDollars = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD", notation: "compact", maximumSignificantDigits: 3 });
const shortDay = new Intl.DateTimeFormat("en-US", { timeZone: "UTC", month: "short", day: "numeric" });
const longDay = new Intl.DateTimeFormat("en-US", { timeZone: "UTC", month: "short", day: "numeric", year: "numeric" });
const monthName = new Intl.DateTimeFormat("en-US", { timeZone: "UTC", month: "short", year: "numeric" });

const dayText = (day) => longDay.format(dateOf(day));
const count = (v) => whole.format(v);
const money = (v) => (v === 0 ? "$0" : Math.abs(v) < 0.1 ? cents.format(v) : Math.abs(v) < 1 ? tenths.format(v) : dollars.format(v));
const tokens = (v) => (Number.isInteger(v) ? whole : fine).format(v);
const percent = (part, of) => {
  if (!(of > 0)) return "–";
  const p = (100 * part) / of;
  return p === 0 ? "0%" : p < 0.1 ? "< 0.1%" : (p < 10 ? p.toFixed(1) : p.toFixed(0)) + "%";
};
const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many || one + "s"}`;

// exact is an amount as a decimal number, all of it.
function exact({ units, decimals }) {
  let v = BigInt(units);
  const sign = v < 0n ? "-" : "";
  if (v < 0n) v = -v;
  const digits = v.toString().padStart(decimals + 1, "0");
  const cut = digits.length - decimals;
  const rest = digits.slice(cut).replace(/0+$/, "");
  return sign + digits.slice(0, cut) + (rest && "." + rest);
}

// el makes an element. Texts are never taken for HTML.
function el(name, attributes, ...children) {
  const e = document.createElement(name);
  for (const [k, v] of Object.entries(attributes || {})) {
    if (v === null || v === undefined || v === false) continue;
    if (k === "on") for (const [type, f] of Object.entries(v)) e.addEventListener(type, f);
    else e.setAttribute(k, v === true ? "" : v);
  }
  e.append(...children.flat().filter((c) => c !== null && c !== undefined));
  return e;
}
const byId = (id) => document.getElementById(id);
const fill = (id, ...children) => byId(id).replaceChildren(...children.flat().filter((c) => c !== null && c !== undefined));

// amountCell is an amount with all its digits behind it.
const amountEl = (name, a, write, more) => el(name, { "data-exact": exact(a), title: exact(a), ...more }, write(a.value));
