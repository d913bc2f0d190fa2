// All that is known of one experiment, made when it is opened.

function details(one, morning, heading) {
  const facts = [
    ["hypothesis", one.hypothesis],
    ["expected", one.expected && `${one.expected} (a claim, and no evidence)`],
    ["cites", one.notes.length ? el("ul", { class: "plain" }, one.notes.map((note) => el("li", {}, link(note.title, note.url)))) : ""],
    ["from", [one.source, one.idea].filter(Boolean).join(": ")],
    ["written", one.authored && drafted(one.authored)],
    ["lane", one.lane],
    ["knobs", Object.entries(one.knobs).map(([name, value]) => `${name} = ${value}`).join(", ")],
    ["commit", one.commit && `${one.commit}, tried on ${one.parent.slice(0, 7)}`],
    ["decided", moment(one.timestamp)],
    ["cost", cost(one)],
  ];
  return el(
    "div",
    { class: "details" },
    el("p", { class: "verdict" }, one.words),
    one.note ? el("p", { class: "caution" }, one.note) : "",
    el("dl", { class: "facts" }, facts.filter(([, value]) => value).map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
    evidence("On fresh pairs after it was kept", one.pairs.regained, one.regained, heading),
    evidence("Confirm", one.pairs.confirm, one.confirm, heading),
    evidence("Breadth", one.pairs.breadth, one.breadth, heading),
    lossCurves(one, morning, heading),
    diff(one, heading),
    runs(one, heading),
  );
}

function drafted({ model, draft, arm, repairs, usd }) {
  return `by ${model} in ${draft}, asked to follow ${arm}${repairs ? `, mended ${repairs === 1 ? "once" : `${repairs} times`}` : ""}, ${dollars(usd)}`;
}

function cost(one) {
  return [`${duration(one.wall_s)} of the night`, one.cpu_s ? `${duration(one.cpu_s)} of CPU in fresh runs` : "", one.usd === null ? "" : dollars(one.usd)]
    .filter(Boolean)
    .join(", ");
}

function evidence(title, pairs, found, heading) {
  if (!pairs.length) return "";
  const told = `${thousandths(found.difference)} ±${(found.standard_error * 1000).toFixed(1)} thousandths over ${many(pairs.length, "pair")} at ${found.profile}, p = ${found.p_value.toPrecision(2)}`;
  return el(
    "section",
    { class: "evidence" },
    el(heading, {}, title),
    el("p", {}, `${told}; ± one standard error.`),
    table(
      `${title}, pair by pair`,
      ["seed", number("champion"), number("candidate"), number("Δ ×10⁻³")],
      pairs.map((pair) => [String(pair.seed), pair.champion.toFixed(6), pair.candidate.toFixed(6), thousandths(pair.difference)]),
    ),
  );
}

function lossCurves(one, morning, heading) {
  const role = one.source === "baseline" ? "champion" : "candidate";
  const mine = one.runs.filter((run) => run.role === role && run.curve);
  if (!mine.length) return "";
  return el(
    "section",
    {},
    el(heading, {}, "Loss curves"),
    el("p", { class: "quiet" }, "What each trainer said of its own steps; no verdict rests on it. ", el("span", { class: "key mine" }, role), one.source === "baseline" ? "" : [" ", el("span", { class: "key theirs" }, "champion under the same seed")]),
    el("div", { class: "multiples" }, mine.map((run) => curveFigure(run, one, morning))),
  );
}

function curveFigure(run, one, morning) {
  const beside = one.source === "baseline" ? null : one.runs.find((other) => other.role === "champion" && other.profile === run.profile && other.seed === run.seed);
  const [own, theirs] = [morning.curves[run.curve], beside?.curve ? morning.curves[beside.curve] : null];
  const ends = `ends at ${own.losses.at(-1).toFixed(3)}${theirs ? `, the champion at ${theirs.losses.at(-1).toFixed(3)}` : ""}`;
  return figure(
    [el("strong", {}, `${run.profile}, seed ${run.seed}`), ` ${ends}`],
    180,
    curveChart(own, theirs),
    asTable(`Losses of ${run.profile}, seed ${run.seed}`, ["step", number("loss"), ...(theirs ? [number("champion")] : [])],
      own.steps.map((step, at) => [String(step), own.losses[at].toFixed(4), ...(theirs ? [theirs.losses[theirs.steps.indexOf(step)]?.toFixed(4) ?? "–"] : [])])),
  );
}

function diff(one, heading) {
  if (!one.patch) return "";
  const kinds = { "+": "added", "-": "removed", "@": "place" };
  const lines = one.patch.replace(/\n$/, "").split("\n");
  const kind = (line) => (/^(\+\+\+|---|diff )/.test(line) ? "file" : kinds[line[0]]);
  return el(
    "section",
    {},
    el(heading, {}, "Diff"),
    el("pre", { class: "diff", role: "region", tabindex: "0", "aria-label": `Diff of ${one.id}` }, lines.map((line) => el("span", { class: kind(line) }, `${line}\n`))),
  );
}

function runs(one, heading) {
  if (!one.runs.length) return "";
  const log = one.runs.find((run) => run.log)?.log;
  return el(
    "section",
    {},
    el(heading, {}, "Runs"),
    table(
      "Runs",
      ["profile", "of", "result", number("seed"), number("wall s"), number("CPU s"), number("bytes"), number("MB")],
      one.runs.map((run) => [
        run.profile,
        run.fresh ? run.role : `${run.role}, measured before`,
        run.val_bpb === null ? run.reason ?? "no score" : run.val_bpb.toFixed(6),
        String(run.seed),
        run.wall_s.toFixed(1),
        run.cpu_s.toFixed(1),
        run.total_bytes.toLocaleString("en"),
        (run.peak_memory_bytes / 1e6).toFixed(0),
      ]),
    ),
    log ? el("pre", { class: "log", role: "region", tabindex: "0", "aria-label": "The end of what it wrote to standard error" }, log) : "",
  );
}
