// The night under way: what runs, the queue and what a person may do about both, as the dashboard tells of them.
{
  const TOKEN = document.querySelector('meta[name="nightshift-token"]').content;
  const AGAIN_MS = 3000; // before a stream that was refused is asked for again
  const CHART = 150; // pixels

  const place = document.getElementById("live");
  const cards = new Map();
  let night = null;
  let asked = false;
  let lost = false;
  let lastVerdict;

  const state = el("h2", { id: "live-title", tabindex: "-1" });
  const facts = el("p", { class: "live-facts" });
  const trouble = el("p", { class: "caution", hidden: true });
  const runs = el("div", { class: "runs" });
  const verdicts = el("ul", { class: "plain verdicts" });
  const spoken = el("p", { class: "spoken", role: "status" });
  const stop = el("button", { type: "button", id: "stop", hidden: true, onclick: () => dialog.showModal() }, "Stop…");
  const dialog = el(
    "dialog",
    { "aria-labelledby": "stop-title" },
    el("h2", { id: "stop-title" }, "Stop this night?"),
    el("p", {}, "It ends once the runs under way have ended. All that was measured stays, and running it again goes on from there."),
    el("div", { class: "row" },
      el("button", { type: "button", class: "primary", id: "stop-yes", onclick: stopNight }, "Stop after these runs"),
      el("button", { type: "button", id: "stop-no", onclick: () => dialog.close() }, "Let it run"),
    ),
  );
  const open = el("ol", { class: "plain ideas" });
  const decided = el("ul", { class: "plain ideas" });
  const decidedTitle = el("summary", {});
  const problems = el("ul", { class: "plain caution", hidden: true });
  const queueTitle = el("h2", { id: "queue-title" }, "Queue");
  const lanes = el("datalist", { id: "lanes" });
  const form = ideaForm();

  function say(text) {
    spoken.textContent = visible(text);
  }

  // What the dashboard answers to a wish; throws an Error with its line and the `field` that it is about.
  async function ask(path, wish) {
    let answer;
    try {
      answer = await fetch(path, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-Nightshift-Token": TOKEN },
        body: JSON.stringify(wish),
      });
    } catch {
      throw new Error("the dashboard does not answer; is it still running?");
    }
    const word = await answer.json().catch(() => ({ error: `the dashboard answered ${answer.status}` }));
    if (!answer.ok) throw Object.assign(new Error(word.error), { field: word.field });
    return word;
  }

  async function tried(work) {
    try {
      await work();
    } catch (error) {
      say(`That was not done: ${error.message}`);
    }
  }

  function stopNight() {
    dialog.close();
    tried(async () => {
      await ask("/stop", {});
      asked = true;
      stop.disabled = true;
      stop.textContent = "Stopping…";
      say("The night was asked to stop. It ends once its runs under way have ended.");
    });
  }

  // What runs.

  function left(minutes) {
    return minutes >= 60 ? `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min left` : `${minutes} min left`;
  }

  function ofMost(count, most, done) {
    return most ? `${count} of at most ${most}` : `${count} ${done}`;
  }

  function showNow(now) {
    if (night?.running && !now.running) asked = false;
    night = now;
    state.textContent = now.running ? "Running now" : "Not running";
    place.dataset.state = lost ? "lost" : now.running ? "running" : "idle";
    trouble.hidden = !now.trouble;
    trouble.textContent = visible(now.trouble ?? "");
    const told = [
      now.running && now.minutes_left !== null && left(now.minutes_left),
      now.experiments && ofMost(`${now.experiments.decided}`, now.experiments.most && many(now.experiments.most, "experiment"), "decided"),
      now.usd && (now.usd.at_most || now.usd.most) && ofMost(dollars(now.usd.at_most), now.usd.most && dollars(now.usd.most), "spent"),
      now.running && !now.runs.length && "between two runs",
      !now.running && now.working && `at work here: ${now.working}`,
      !now.running && !now.working && now.night && "it goes on when it is run again",
    ];
    facts.textContent = visible(told.filter(Boolean).join(" · "));
    stop.hidden = !now.running;
    stop.disabled = asked;
    if (!asked) stop.textContent = "Stop…";
    showRuns(now.runs);
    showVerdicts(now.verdicts ?? []);
  }

  function showRuns(told) {
    const names = told.map((run) => `${run.label} ${run.profile} ${run.seed}`);
    for (const [name, card] of cards) {
      if (!names.includes(name)) {
        card.element.remove();
        cards.delete(name);
      }
    }
    told.forEach((run, at) => {
      if (!cards.has(names[at])) cards.set(names[at], newCard(run));
      const card = cards.get(names[at]);
      if (runs.children[at] !== card.element) runs.insertBefore(card.element, runs.children[at] ?? null);
      card.show(run);
    });
  }

  function newCard(run) {
    const step = el("p", { class: "small" });
    const bar = el("progress", { "aria-label": `steps of ${run.label}, ${run.profile}, seed ${run.seed}` });
    const chart = figure(el("span", {}, el("span", { class: "key" }, "this run"), el("span", { class: "key theirs" }, "champion")), CHART, () => lines());
    const plot = chart.querySelector(".plot");
    const element = el("article", {}, el("h3", {}, run.label), step, bar, chart);
    let lines = () => curveChart(run.curve, run.champion)();
    let drawn = "";
    return {
      element,
      show(now) {
        const words = [now.profile, `seed ${now.seed}`, now.phase, now.steps && `step ${now.step} of ${now.steps}`, now.training_loss !== null && `loss ${now.training_loss.toFixed(4)}`];
        const met = now.beside_champion;
        if (met) words.push(`champion ${met.champion.toFixed(4)} at step ${met.step}`);
        step.textContent = visible(words.filter(Boolean).join(" · "));
        bar.max = Math.max(now.steps, 1);
        bar.value = now.phase === "train" || !now.step ? now.step : now.steps;
        chart.hidden = !now.curve.steps.length;
        lines = () => curveChart(now.curve, now.champion)();
        const data = JSON.stringify([now.curve, now.champion]);
        if (data !== drawn && plot.plot) plot.plot.setData(lines().data);
        drawn = data;
      },
    };
  }

  function showVerdicts(last) {
    verdicts.replaceChildren(
      ...last.toReversed().map((one) => el("li", {}, el("span", { class: `status ${one.status}` }, STATUS[one.status] ?? one.status), " ", experimentLink(one.id), " ", one.description, el("span", { class: "quiet" }, `, ${words(one.reason)}`))),
    );
    const newest = last.at(-1);
    if (lastVerdict && newest && newest.id !== lastVerdict) say(`${newest.description}: ${STATUS[newest.status] ?? newest.status}, ${words(newest.reason)}.`);
    lastVerdict = newest?.id ?? "none";
  }

  // The queue.

  function showQueue({ ideas, problems: found }) {
    const focused = document.activeElement;
    const [held, typed] = place.contains(focused) ? [focused.id, focused.value] : ["", null];
    const order = (a, b) => a.retired - b.retired || a.priority - b.priority || a.line - b.line;
    const waiting = ideas.filter((one) => !one.decided).sort(order);
    const done = ideas.filter((one) => one.decided);
    open.replaceChildren(...waiting.map(ideaRow));
    decided.replaceChildren(...done.map((one) => el("li", {}, el("span", { class: "idea" }, one.title, el("span", { class: "small" }, one.state)))));
    decided.parentElement.hidden = !done.length;
    decidedTitle.textContent = `${many(done.length, "idea")} decided`;
    const ready = waiting.filter((one) => one.state === "ready").length;
    queueTitle.textContent = waiting.length ? `Queue: ${ready} of ${many(waiting.length, "idea")} ready` : "Queue: empty";
    problems.hidden = !found.length;
    problems.replaceChildren(...found.map((one) => el("li", {}, one.line ? `kb/ideas.md, line ${one.line}: ${one.text}` : one.text)));
    lanes.replaceChildren(...[...new Set(ideas.map((one) => one.lane))].map((value) => el("option", { value })));
    const again = held && document.getElementById(held);
    if (again && again !== document.activeElement) {
      if (again.matches(".ideas input")) again.value = typed;
      again.focus({ preventScroll: true });
    }
  }

  function ideaRow(one) {
    const priority = el("input", { type: "number", id: `priority-${one.slug}`, value: String(one.priority), step: "1" });
    priority.addEventListener("change", () => {
      const number = priority.valueAsNumber;
      if (!Number.isSafeInteger(number)) {
        priority.value = String(one.priority);
        say("A priority is a whole number; lower runs first.");
        return;
      }
      tried(async () => {
        await ask(`/ideas/${encodeURIComponent(one.slug)}`, { priority: number });
        say(`${one.title}: priority ${number}.`);
      });
    });
    const retire = el("button", { type: "button", id: `retire-${one.slug}`, "aria-label": `${one.retired ? "Take back" : "Retire"} ${one.title}` }, one.retired ? "Take back" : "Retire");
    retire.addEventListener("click", () =>
      tried(async () => {
        await ask(`/ideas/${encodeURIComponent(one.slug)}`, { retired: !one.retired });
        say(`${one.title}: ${one.retired ? "back in the queue" : "retired"}.`);
      }),
    );
    return el(
      "li",
      { class: one.retired ? "retired" : null },
      el("span", { class: "idea" }, one.title, el("span", { class: "small" }, `${one.lane} · ${one.state}`)),
      el("span", { class: "row" }, el("label", { for: priority.id }, "Priority", el("span", { class: "hidden" }, ` of ${one.title}`)), priority, retire),
    );
  }

  function ideaForm() {
    const fields = {
      title: field("title", "Title", "input", { type: "text", maxlength: "200", required: true, "aria-required": "true", autocomplete: "off" }),
      text: field("text", "What and why", "textarea", { rows: "3" }),
      knobs: field("knobs", "Knobs, a line each", "textarea", { rows: "2", class: "mono", placeholder: "BETA2 = 0.99", spellcheck: "false" }),
      diff: field("diff", "Or a unified diff", "textarea", { rows: "2", class: "mono", placeholder: "--- a/trainer/model.py", spellcheck: "false", wrap: "off" }),
      lane: field("lane", "Lane", "input", { type: "text", list: "lanes", maxlength: "200", placeholder: "other" }),
      priority: field("priority", "Priority; lower runs first", "input", { type: "number", value: "100", step: "1" }),
    };
    const wrong = el("p", { class: "wrong", id: "wrong-idea", role: "alert" });
    const add = el("button", { type: "submit", class: "primary" }, "Add to the queue");
    const made = el("form", { novalidate: true, "aria-label": "Add an idea" }, Object.values(fields).map((one) => one.element), lanes, el("div", { class: "row" }, add, wrong));

    function field(name, label, tag, attributes) {
      const id = `new-${name}`;
      const input = el(tag, { id, "aria-describedby": `${id}-wrong`, ...attributes });
      const why = el("span", { class: "wrong", id: `${id}-wrong`, "aria-live": "polite" });
      return { input, element: el("div", { class: "field" }, el("label", { for: id }, label), input, why), tell: (text) => tellField(input, why, text) };
    }

    function tellField(input, why, text) {
      why.textContent = visible(text);
      if (text) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    }

    made.addEventListener("submit", async (event) => {
      event.preventDefault();
      for (const one of Object.values(fields)) one.tell("");
      wrong.textContent = "";
      const idea = Object.fromEntries(Object.entries(fields).map(([name, { input }]) => [name, input.value]));
      add.disabled = true;
      try {
        await ask("/ideas", { ...idea, diff: idea.diff.trim() ? idea.diff : null, lane: idea.lane || "other", priority: Number(idea.priority || "100") });
        say(`${idea.title.trim()} is in the queue.`);
        made.reset();
        fields.title.input.focus();
      } catch (error) {
        const about = fields[error.field];
        (about ?? { tell: (text) => (wrong.textContent = visible(text)) }).tell(error.message);
        about?.input.focus();
      } finally {
        add.disabled = false;
      }
    });
    return made;
  }

  // What the dashboard tells.

  let fetching = false;
  async function showMorning({ version }) {
    await window.nightshift.ready;
    if (fetching || window.nightshift.morning.version === version) return;
    fetching = true;
    try {
      const answer = await fetch("/morning.json");
      if (answer.ok) window.nightshift.show(await answer.json());
    } catch {
      // The stream says so too, and tells the version again once it is back.
    } finally {
      fetching = false;
    }
  }

  function listen() {
    const stream = new EventSource("/events");
    const hear = (name, show) => stream.addEventListener(name, (event) => show(JSON.parse(event.data)));
    hear("now", showNow);
    hear("queue", showQueue);
    hear("morning", showMorning);
    stream.addEventListener("open", () => {
      if (lost) say("Connected to the dashboard again.");
      lost = false;
    });
    stream.addEventListener("error", () => {
      if (!lost) say("The connection to the dashboard is lost; it is tried again. A night goes on without it.");
      lost = true;
      place.dataset.state = "lost";
      if (stream.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN_MS);
    });
  }

  place.append(
    el("div", { class: "live-head" }, state, stop),
    facts,
    trouble,
    spoken,
    el("div", { class: "live-body" },
      el("div", {}, runs, verdicts),
      el("section", { "aria-labelledby": "queue-title" },
        queueTitle,
        open,
        problems,
        el("details", {}, decidedTitle, decided),
        el("details", { class: "adding" }, el("summary", { id: "adding" }, "Add an idea"), form),
      ),
    ),
    dialog,
  );
  place.hidden = false;
  listen();
}
