// The table of experiments: filtered, sorted, opened and chosen for comparison, all of which outlives a fresh night.

const view = { statuses: new Set(), lane: "", text: "", sort: "run", down: false, open: new Set(), chosen: [] };
const ORDER = Object.keys(STATUS);
const COLUMNS = [
  { key: "run", name: "run", value: (one) => one.run, class: "number" },
  { key: "status", name: "verdict", value: (one) => ORDER.indexOf(statusOf(one)) },
  { key: "description", name: "experiment", value: (one) => one.description.toLowerCase() },
  { key: "lane", name: "lane", value: (one) => one.lane, class: "wide" },
  { key: "effect", name: "Δ ×10⁻³", value: (one) => one.effect?.mean ?? null, class: "number" },
  { key: "val_bpb", name: "val_bpb", value: (one) => one.val_bpb, class: "number wide" },
  { key: "wall_s", name: "wall", value: (one) => one.wall_s, class: "number wide" },
  { key: "usd", name: "dollars", value: (one) => one.usd, class: "number wide" },
];
const FIRST = 60; // rows that are there at once; the others follow, some at a time
const MORE = 150;
const rowListeners = [];
let rows = new Map(); // by id: the experiment, what it is found by, how its row is made, and what was made of it
let waiting = { body: null, entries: [], timer: 0 };

function experimentsTable(morning) {
  const columns = COLUMNS.filter((column) => column.key !== "usd" || morning.experiments.some((one) => one.usd !== null));
  const reach = reachOf(morning.experiments);
  rows = new Map(morning.experiments.map((one) => [one.id, { one, text: textOf(one), make: () => rowOf(one, columns, reach) }]));
  const body = el("tbody", {});
  const heads = columns.map((column) =>
    el("th", { scope: "col", class: column.class, "data-key": column.key },
      el("button", { type: "button", id: `sort-${column.key}`, onclick: () => { sortBy(column.key); arrange(body, heads); } }, column.key === "val_bpb" ? morning.night.metric : column.name, el("span", { class: "arrow", "aria-hidden": "true" }))),
  );
  const grid = el("table", { class: "experiments" },
    el("caption", { class: "hidden" }, "Every experiment; the button in each row opens its details"),
    el("thead", {}, el("tr", {}, heads, el("th", { scope: "col", class: "choose wide" }, "compare"))),
    body);
  const apart = morning.night.segment ? el("p", { class: "quiet" }, "Each segment stands by itself, the last one first: numbers of one compare with no other’s.") : "";
  const place = el("div", {}, apart, filters(morning, () => arrange(body, heads)), el("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "Table of experiments" }, grid));
  for (const id of view.open) if (rows.has(id)) open(id);
  arrange(body, heads);
  return place;
}

function rowOf(one, columns, reach) {
  const cells = {
    run: () => String(one.run),
    status: () => el("span", { class: `status ${statusOf(one)}${one.reverted ? " reverted" : ""}` }, one.reverted ? "reverted" : STATUS[statusOf(one)]),
    description: () => [
      el("button", { type: "button", class: "opener", id: `open-${one.id}`, "aria-expanded": "false", onclick: () => toggle(one.id) }, one.description),
      el("span", { class: "small" }, `${one.id}, ${words(one.reason)}${current.night.segment ? `, segment ${one.segment}` : ""}`),
    ],
    lane: () => one.lane,
    effect: () => effectOf(one, reach),
    val_bpb: () => one.val_bpb?.toFixed(4) ?? "–",
    wall_s: () => duration(one.wall_s),
    usd: () => (one.usd === null ? "–" : dollars(one.usd)),
  };
  return el("tr", { id: one.id, class: statusOf(one) },
    columns.map((column) => el("td", { class: column.class, "data-key": column.key }, cells[column.key]())),
    el("td", { class: "choose wide" }, el("input", { type: "checkbox", id: `choose-${one.id}`, "aria-label": `Compare ${one.id}`, checked: view.chosen.includes(one.id), onchange: (event) => choose(one.id, event.target.checked) })));
}

function effectOf(one, reach) {
  if (!one.effect) return "–";
  const bar = el("span", { class: "bar", "aria-hidden": "true" });
  const at = (bits) => `${50 + 50 * Math.max(-1, Math.min(1, bits / reach))}%`;
  for (const end of ["low", "mean", "high"]) bar.style.setProperty(`--${end}`, at(one.effect[end]));
  return [el("span", { class: "mean" }, thousandths(one.effect.mean)), bar, el("span", { class: "small" }, measuredAs(one))];
}

function measuredAs({ effect, regained }) {
  return `${interval(effect)}, ${effect.profile}${regained ? ", fresh" : ""}`;
}

// What the bars reach to, in bits: nine in ten intervals fit.
function reachOf(experiments) {
  const ends = experiments.filter((one) => one.effect).map((one) => Math.max(Math.abs(one.effect.low), Math.abs(one.effect.high)));
  return ends.sort((a, b) => a - b)[Math.floor(ends.length * 0.9)] || 0.001;
}

function textOf(one) {
  return [one.id, one.description, one.reason, one.detail, one.hypothesis, one.lane, one.idea, ...one.notes.map((note) => note.title)].join(" ").toLowerCase();
}

function filters(morning, changed) {
  const tried = morning.experiments;
  const counts = Object.keys(STATUS).map((status) => [status, tried.filter((one) => statusOf(one) === status).length]);
  const lanes = [...new Set(tried.map((one) => one.lane).filter(Boolean))].sort();
  if (!lanes.includes(view.lane)) view.lane = "";
  const press = (status, button) => {
    if (!view.statuses.delete(status)) view.statuses.add(status);
    button.setAttribute("aria-pressed", String(view.statuses.has(status)));
    changed();
  };
  const sorts = COLUMNS.map((column) => el("option", { value: column.key, selected: column.key === view.sort }, column.name));
  return el("div", { class: "filters" },
    el("div", { class: "statuses", role: "group", "aria-label": "Verdicts shown; none pressed means all" },
      counts.filter(([, count]) => count).map(([status, count]) =>
        el("button", { type: "button", id: `only-${status}`, class: status, "aria-pressed": String(view.statuses.has(status)), onclick: (event) => press(status, event.currentTarget) }, `${STATUS[status]} ${count}`))),
    el("label", {}, el("span", {}, "lane"),
      el("select", { id: "lane", onchange: (event) => { view.lane = event.target.value; changed(); } },
        el("option", { value: "" }, "all"), lanes.map((lane) => el("option", { value: lane, selected: lane === view.lane }, lane)))),
    el("label", { class: "narrow" }, el("span", {}, "sort by"),
      el("select", { id: "sort", onchange: (event) => { sortBy(event.target.value); changed(); } }, sorts)),
    el("label", { class: "text" }, el("span", {}, "containing"),
      el("input", { type: "search", id: "text", value: view.text, autocomplete: "off", spellcheck: "false", oninput: (event) => { view.text = event.target.value; changed(); } })),
    el("p", { id: "shown", role: "status" }));
}

function sortBy(key) {
  view.down = view.sort === key && !view.down;
  view.sort = key;
}

function matches({ one, text }) {
  const sought = view.text.toLowerCase().split(/\s+/).filter(Boolean);
  return (!view.statuses.size || view.statuses.has(statusOf(one))) && (!view.lane || one.lane === view.lane) && sought.every((word) => text.includes(word));
}

function rowFor(entry) {
  entry.row ??= entry.make();
  return entry.row;
}

// Puts the rows that match in order, the last segment first, as numbers of two segments do not compare; what was not
// measured comes last either way.
function arrange(body, heads) {
  const { value } = COLUMNS.find((column) => column.key === view.sort);
  const keyed = [...rows.values()].filter(matches).map((entry) => ({ entry, key: value(entry.one) }));
  const sign = view.down ? -1 : 1;
  keyed.sort((a, b) => {
    if (a.entry.one.segment !== b.entry.one.segment) return b.entry.one.segment - a.entry.one.segment;
    if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
    return sign * (a.key < b.key ? -1 : a.key > b.key ? 1 : 0) || a.entry.one.run - b.entry.one.run;
  });
  clearTimeout(waiting.timer);
  body.replaceChildren();
  waiting = { body, entries: keyed.map(({ entry }) => entry), timer: 0 };
  addRows(FIRST);
  for (const head of heads) {
    const direction = view.down ? "descending" : "ascending";
    if (head.dataset.key === view.sort) head.setAttribute("aria-sort", direction);
    else head.removeAttribute("aria-sort");
  }
  queueMicrotask(() => document.getElementById("shown")?.replaceChildren(`${keyed.length} of ${rows.size} shown`));
}

// The next rows that wait, and the others soon; or all that are left.
function addRows(most = Infinity) {
  const { body, entries } = waiting;
  for (const entry of entries.splice(0, most)) body.append(rowFor(entry), ...(entry.details ? [entry.details] : []));
  clearTimeout(waiting.timer);
  if (entries.length) waiting.timer = setTimeout(addRows, 0, MORE);
}

function toggle(id) {
  if (view.open.delete(id)) close(id);
  else {
    view.open.add(id);
    open(id);
  }
}

function open(id) {
  const entry = rows.get(id);
  const row = rowFor(entry);
  if (!entry.details) {
    const actions = el("div", { class: "actions" });
    const beside = el("button", { type: "button", onclick: () => choose(id, true) }, "Compare with another");
    entry.details = el("tr", { class: "opened" }, el("td", {}, details(entry.one, current, "h3"), beside, actions));
    row.after(entry.details);
    for (const listener of rowListeners) listener(entry.one, actions);
  }
  entry.details.hidden = false;
  row.querySelector(".opener").setAttribute("aria-expanded", "true");
  fit();
}

// Has details span the columns that there are at this width; paper has no wide ones.
function fit() {
  const printing = "printing" in document.documentElement.dataset;
  const there = (head) => (printing ? !head.classList.contains("wide") : getComputedStyle(head).display !== "none");
  const shown = [...document.querySelectorAll(".experiments > thead th")].filter(there);
  for (const { details: opened } of rows.values()) if (opened) opened.cells[0].colSpan = shown.length || 1;
}

addEventListener("resize", fit);

function close(id) {
  const entry = rows.get(id);
  entry.details.hidden = true;
  entry.row.querySelector(".opener").setAttribute("aria-expanded", "false");
}

// Opens an experiment's row and goes there, whatever the filters hid.
function reveal(id) {
  const entry = rows.get(id);
  if (!entry) return;
  if (!matches(entry)) {
    view.statuses.clear();
    view.lane = view.text = "";
    render();
    return reveal(id);
  }
  addRows();
  if (!view.open.has(id)) toggle(id);
  entry.row.scrollIntoView({ block: "start" });
  entry.row.querySelector(".opener").focus({ preventScroll: true });
}
