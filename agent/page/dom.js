// Elements and words. Whatever comes from the data becomes text: nothing here ever parses markup.

const MINUS = "−";
const STATUS = { baseline: "baseline", keep: "kept", discard: "discarded", crash: "crashed", checks_failed: "refused" };

function el(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== "") made.append(typeof child === "string" ? visible(child) : child);
  }
  return made;
}

// Text with its lines kept, and every other character that steers what is shown made visible.
function visible(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (one) => (one === "\n" || one === "\t" ? one : "�"));
}

function thousandths(bits) {
  const text = Math.abs(bits * 1000).toFixed(1);
  if (text === "0.0") return text;
  return (bits < 0 ? MINUS : "+") + text;
}

function interval(effect) {
  return effect.low === effect.high ? "identical scores" : `${thousandths(effect.low)} to ${thousandths(effect.high)}`;
}

function many(count, word) {
  return `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
}

function duration(seconds) {
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  if (hours) return `${hours} h ${String(minutes).padStart(2, "0")} min`;
  return minutes ? `${minutes} min ${String(rest).padStart(2, "0")} s` : `${rest} s`;
}

function dollars(usd) {
  return `$${usd.toFixed(usd && usd < 0.1 ? 4 : 2)}`;
}

function percent(share) {
  return `${Math.round(share * 100)} %`;
}

function moment(milliseconds) {
  return new Date(milliseconds).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}

// The verdict as a person is told it: a baseline was measured, not kept.
function statusOf(one) {
  return one.source === "baseline" ? "baseline" : one.status;
}

function words(identifier) {
  return identifier.replaceAll("_", " ");
}

// A table in a region of its own, which scrolls where it is wider than the page.
function table(label, heads, rows) {
  const shown = heads.map((head) => (typeof head === "string" ? { text: head } : head));
  const cell = (value, at) => el(at ? "td" : "th", { scope: at ? null : "row", class: shown[at].number ? "number" : null }, value);
  return el(
    "div",
    { class: "scroll", role: "region", tabindex: "0", "aria-label": label },
    el(
      "table",
      {},
      el("thead", {}, el("tr", {}, shown.map((head) => el("th", { scope: "col", class: head.number ? "number" : null }, head.text)))),
      el("tbody", {}, rows.map((row) => el("tr", {}, row.map(cell)))),
    ),
  );
}

function number(text) {
  return { text, number: true };
}

// A link out of the page, where there is an address; it is followed by whoever presses it and by nothing else.
function link(text, url) {
  return url ? el("a", { href: url, rel: "noreferrer noopener", target: "_blank" }, text) : el("span", {}, text);
}

// A link to an experiment's row, which opens it.
function experimentLink(id) {
  return el("a", { href: `#${encodeURIComponent(id)}`, class: "id", onclick: (event) => { event.preventDefault(); reveal(id); } }, id);
}
