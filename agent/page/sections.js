// The report's sections but for the table, in the order of the page. Each gives nothing where there is nothing to tell.

function section(id, title, ...children) {
  return el("section", { id, "aria-labelledby": `${id}-title` }, el("h2", { id: `${id}-title` }, title), children);
}

function headline({ headline: told, audit, night, note, summary, false_keeps: falseKeeps }) {
  const decided = summary.find((line) => line.startsWith("night ")) ?? "";
  return el(
    "section",
    { id: "headline", class: `headline ${told.state}`, "aria-labelledby": "headline-title" },
    el("p", { class: "eyebrow" }, `Night ${night.name} · ${moment(night.began)} to ${moment(night.last)}`),
    el("h1", { id: "headline-title" }, told.title),
    audit ? auditFigure(audit) : "",
    el("p", { class: "lead" }, audit ? auditedOn(audit) : told.words),
    told.command ? el("p", {}, "Type ", el("code", {}, told.command)) : "",
    note ? el("p", { class: "caution" }, note) : "",
    el("dl", { class: "numbers" }, numbers({ night, decided, falseKeeps })),
  );
}

function numbers({ night, decided, falseKeeps }) {
  const facts = [
    ["decided", decided.replace(/^night \S+: /, "")],
    ["false keeps to expect", `at most ${falseKeeps.at_most.toFixed(2)}, of ${falseKeeps.weighed} weighed at ${night.profiles}confirm`],
    ["machine", `${night.machine}, ${many(night.slots, "slot")}, sandbox ${night.sandbox}`],
    ["data", night.data],
    ["branch", `${night.branch}, from ${night.base.slice(0, 7)}`],
  ];
  return facts.filter(([, value]) => value).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)));
}

function auditedOn({ pairs, profile, first, last, champion_bpb: before, candidate_bpb: after }) {
  return `Audited on ${many(pairs.length, "fresh seed")} and the sealed split (${profile}): from champion ${first.slice(0, 7)} at ${before.toFixed(4)} to ${last.slice(0, 7)} at ${after.toFixed(4)} val_bpb.`;
}

// The audited difference on a line of its own: the interval, the mean, and nought.
function auditFigure(audit) {
  const reach = Math.max(Math.abs(audit.low), Math.abs(audit.high), 1e-6) * 1.15;
  const line = el("div", { class: "forest", "aria-hidden": "true" }, el("span", { class: "better" }, "better"), el("span", { class: "worse" }, "worse"));
  for (const end of ["low", "mean", "high"]) line.style.setProperty(`--${end}`, `${50 + (50 * audit[end]) / reach}%`);
  return el(
    "div",
    { class: "audited" },
    el("p", { class: "big" }, el("strong", {}, thousandths(audit.mean)), el("span", {}, `thousandths of a bit per byte, 95 % interval ${interval(audit)}`)),
    line,
  );
}

function stairs({ staircase }) {
  const flights = staircase.filter((flight) => flight.steps.length);
  if (!flights.length) return section("staircase", "The staircase", el("p", {}, "No change was kept, so there are no steps."));
  return section(
    "staircase",
    "The staircase",
    el("p", { class: "quiet" }, "Each keep, with what it gained on fresh pairs measured after it was kept, and its 95 % interval. The steps were measured one at a time: their sum is no measurement of the whole."),
    flights.map((flight) => {
      const name = staircase.length > 1 ? `Segment ${flight.segment}: its numbers compare with no other segment’s` : "";
      return [
        name ? el("h3", {}, name) : "",
        flight.steps.some((step) => step.effect && !step.reverted)
          ? figure([el("span", { class: "key keep" }, "on fresh pairs"), " ", el("span", { class: "key picked" }, "on the pairs it was picked by")], 260, staircaseChart(flight), "")
          : "",
        stepsTable(flight),
      ];
    }),
  );
}

function stepsTable(flight) {
  const measured = (step) => (step.reverted ? "taken out again" : step.fresh ? `${many(step.effect.pairs, "fresh pair")}` : "the pairs it was picked by");
  return table(
    "Steps of the staircase",
    ["keep", "change", number("Δ ×10⁻³"), "95 % interval", "measured on"],
    flight.steps.map((step) => [
      experimentLink(step.id),
      step.description,
      step.effect ? thousandths(step.effect.mean) : "–",
      step.effect ? interval(step.effect) : "–",
      measured(step),
    ]),
  );
}

function transfers({ transfers: found }) {
  if (!found.length) return "";
  return section(
    "transfers",
    "A size up",
    table("Keeps measured one size class up", ["keep", "change", "there it", number("Δ ×10⁻³"), "95 % interval"],
      found.map((one) => [experimentLink(one.id), one.description, one.verdict, one.mean === null ? "–" : thousandths(one.mean), one.mean === null ? words(one.reason) : interval(one)])),
  );
}

function breadthAgainstConfirm({ proxy, experiments }) {
  if (!proxy.points.length) return "";
  const status = new Map(experiments.map((one) => [one.id, one.status]));
  const points = proxy.points.map((point) => ({ ...point, kept: status.get(point.id) === "keep" }));
  const found = proxy.correlation;
  const told = found
    ? `They rank alike with ρ = ${found.rho.toFixed(2)} (95 % interval ${found.low.toFixed(2)} to ${found.high.toFixed(2)}) over ${found.changes} changes.`
    : `${many(points.length, "change")} came to confirm: too few to say how alike the two rank.`;
  return section(
    "breadth",
    "Breadth against confirm",
    el("p", { class: "quiet" }, `${told} Only what breadth let through, or a spot check drew, is here, so breadth looks better than it is.`),
    figure([el("span", { class: "key keep" }, "kept"), " ", el("span", { class: "key other" }, "not kept")], 320, scatterChart(points),
      asTable("Breadth against confirm", ["experiment", number("Δ at breadth"), number("Δ at confirm")],
        points.map((point) => [experimentLink(point.id), thousandths(point.breadth), thousandths(point.confirm)]))),
  );
}

function spend({ time, money, claude, experiments }) {
  if (!time.length && !money.length) return "";
  const cpu = time.reduce((sum, one) => sum + one.cpu_s, 0) || 1;
  const keeps = experiments.filter((one) => one.status === "keep" && one.source !== "baseline" && !one.reverted).length;
  return section(
    "spend",
    "Time and money",
    time.length
      ? table("Device time by kind", ["runs for", number("runs"), number("failed"), number("wall"), number("CPU"), number("share of CPU")],
          time.map((one) => [one.kind, String(one.runs), String(one.failed), duration(one.wall_s), duration(one.cpu_s), share(one.cpu_s / cpu)]))
      : "",
    time.some((one) => one.failed) ? el("p", { class: "quiet" }, "How long a failed run took is not known, and not counted.") : "",
    money.length
      ? [
          table("Dollars by strategy", ["asked for", number("calls"), number("dollars"), number("at the most")],
            money.map((one) => [one.purpose, String(one.calls), dollars(one.usd), dollars(one.at_most)])),
          claude ? el("p", { class: "quiet" }, `${many(claude.calls, "call")} for ${dollars(claude.usd)}${keeps ? `, ${dollars(claude.usd / keeps)} for each keep that stands` : ""}; ${percent(claude.from_cache)} of what was read came from the cache.`) : "",
        ]
      : el("p", { class: "quiet" }, "No language model was asked."),
  );
}

function share(part) {
  const bar = el("span", { class: "share", "aria-hidden": "true" });
  bar.style.setProperty("--share", `${100 * part}%`);
  return [bar, percent(part)];
}

function hitRates({ lanes, papers }) {
  if (!lanes.length) return "";
  const row = (name, { kept }) => [name, `${kept.count} of ${kept.of}`, share(kept.share), `${percent(kept.low)} to ${percent(kept.high)}`];
  const heads = (first) => [first, number("kept"), number("share"), number("95 % interval")];
  return section(
    "rates",
    "What lanes and papers brought",
    table("Hit rates by lane", heads("lane"), lanes.map((lane) => row(lane.name, lane))),
    papers.length ? table("Hit rates by paper", heads("paper"), papers.map((paper) => row(link(paper.title, paper.url), paper))) : "",
  );
}

function notKept({ not_kept: groups }) {
  if (!groups.length) return "";
  const ids = (all) => {
    const links = (some) => some.flatMap((id, at) => [at ? " " : "", experimentLink(id)]);
    if (all.length <= 6) return links(all);
    const more = el("details", {}, el("summary", {}, many(all.length, "experiment")));
    more.addEventListener("toggle", () => more.append(...links(all)), { once: true });
    return more;
  };
  return section(
    "failures",
    "What was not kept, and why",
    table("What was not kept, and why", ["reason", "verdict", number("count"), "experiments"],
      groups.map((group) => [words(group.reason), STATUS[group.status], String(group.count), ids(group.ids)])),
  );
}

function simplifications({ simplifications: found }) {
  if (!found.length) return "";
  return section(
    "simplifications",
    "Simplifications to consider",
    el("p", { class: "quiet" }, "Less code, and not worse as far as could be told: yours to judge."),
    table("Simplifications to consider", ["experiment", "change", number("lines fewer"), number("Δ ×10⁻³"), "95 % interval"],
      found.map((one) => [experimentLink(one.id), one.description, String(one.fewer), thousandths(one.effect.mean), interval(one.effect)])),
  );
}

function next({ next: leads }) {
  if (!leads.length) return "";
  const what = { ready: "its edits fit the champion", words: "its edits have to be written", partly: "part of it is there" };
  return section(
    "next",
    "What to try next",
    el("p", { class: "quiet" }, "By expected gain over cost, from what lanes and papers have brought so far: thousandths of a bit per byte an average experiment."),
    table("What to try next", ["paper", "lane", "state", number("score"), "into the queue"],
      leads.map((lead) => [link(lead.title, lead.url), lead.lane, what[lead.state] ?? lead.detail, lead.score.toFixed(2), el("code", {}, `nightshift kb ideas --paper ${lead.paper} >> kb/ideas.md`)])),
  );
}

function comparison(morning) {
  const place = el("section", { id: "compare", "aria-labelledby": "compare-title" });
  if (view.chosen.length < 2) {
    place.hidden = true;
    return place;
  }
  const chosen = view.chosen.map((id) => rows.get(id).one);
  const facts = [
    ["verdict", (one) => `${STATUS[statusOf(one)]} (${words(one.reason)})`],
    ["Δ ×10⁻³", (one) => (one.effect ? `${thousandths(one.effect.mean)} (${measuredAs(one)})` : "–")],
    [morning.night.metric, (one) => one.val_bpb?.toFixed(6) ?? "–"],
    ["cost", cost],
  ];
  place.append(
    el("h2", { id: "compare-title", tabindex: "-1" }, `${chosen[0].id} beside ${chosen[1].id}`),
    el("p", {}, el("button", { type: "button", onclick: () => { view.chosen = []; render(); document.getElementById("experiments-title").focus(); } }, "Compare others")),
    table("The two in short", ["", ...chosen.map((one) => one.id)], facts.map(([name, value]) => [name, ...chosen.map(value)])),
    el("div", { class: "beside" }, chosen.map((one) => el("div", {}, el("h3", {}, one.description), details(one, morning, "h4")))),
  );
  return place;
}

// Two at a time: a third takes the place of the first.
function choose(id, wanted) {
  view.chosen = wanted ? [...view.chosen, id].slice(-2) : view.chosen.filter((other) => other !== id);
  for (const [other, { row }] of rows) if (row) row.querySelector(".choose input").checked = view.chosen.includes(other);
  document.getElementById("compare").replaceWith(comparison(current));
  showChosen();
}

function showChosen() {
  const [first, second] = view.chosen;
  const bar = document.getElementById("chosen");
  bar.hidden = !first;
  bar.replaceChildren(
    el("span", { role: "status" }, second ? `${first} and ${second} are chosen` : `${first} is chosen; choose another to compare it with`),
    second ? el("button", { type: "button", class: "primary", onclick: goToComparison }, "Compare") : "",
    el("button", { type: "button", onclick: () => { for (const id of [...view.chosen]) choose(id, false); } }, "Clear"),
  );
}

function goToComparison() {
  const title = document.getElementById("compare-title");
  title.scrollIntoView({ block: "start" });
  title.focus({ preventScroll: true });
}
