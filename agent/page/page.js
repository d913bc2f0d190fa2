// Unpacks the night, draws it, and lets whoever embeds the page draw it afresh: `window.nightshift`.

let current = null;
const THEMES = ["auto", "light", "dark"];

function render() {
  const report = document.getElementById("report");
  const [focused, scrolled] = [document.activeElement?.id, scrollY];
  report.replaceChildren(
    headline(current),
    stairs(current),
    section("experiments", "Experiments", experimentsTable(current), el("div", { id: "chosen", class: "chosen", hidden: true })),
    el("section", { id: "compare" }),
    ...[transfers(current), breadthAgainstConfirm(current), spend(current), hitRates(current), notKept(current), simplifications(current), next(current)].filter(Boolean),
  );
  view.chosen = view.chosen.filter((id) => rows.has(id));
  document.getElementById("experiments-title").tabIndex = -1;
  document.getElementById("compare").replaceWith(comparison(current));
  showChosen();
  contents();
  document.getElementById("night").textContent = `night ${current.night.name}`;
  document.getElementById("made").textContent = `${current.night.delta} Journal of night ${current.night.name}, as of ${moment(current.night.last)}.`;
  report.removeAttribute("aria-busy");
  fit();
  if (!scrolled && !focused) return;
  addRows();
  scrollTo({ top: scrolled, behavior: "instant" });
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

function contents() {
  const titles = [...document.querySelectorAll("#report > section[id]:not([hidden]) > h2")];
  const links = titles.map((title) => el("li", {}, el("a", { href: `#${title.parentElement.id}` }, title.textContent)));
  document.getElementById("contents").replaceChildren(el("ul", {}, links));
}

function theme() {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const apply = (name) => {
    root.dataset.theme = name;
    button.textContent = `Colours: ${name}`;
    drawAgain();
  };
  let chosen = "auto";
  try {
    chosen = localStorage.getItem("nightshift-theme") ?? chosen;
  } catch {
    // A page from a file may have no storage: the choice then lasts as long as the page.
  }
  button.addEventListener("click", () => {
    chosen = THEMES[(THEMES.indexOf(chosen) + 1) % THEMES.length];
    apply(chosen);
    try {
      localStorage.setItem("nightshift-theme", chosen);
    } catch {
      // As above.
    }
  });
  apply(THEMES.includes(chosen) ? chosen : "auto");
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAgain);
  addEventListener("beforeprint", () => {
    root.dataset.printing = "";
    addRows();
    fit();
    drawAll();
  });
  addEventListener("afterprint", () => {
    delete root.dataset.printing;
    fit();
    drawAgain();
  });
  document.getElementById("print").addEventListener("click", () => print());
}

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).json();
}

function show(morning) {
  current = morning;
  render();
}

window.nightshift = {
  /** Draws a night afresh; what is filtered, sorted, opened and chosen stays so, and so does the scroll. */
  show,
  get morning() {
    return current;
  },
  /** Calls `callback(experiment, place)` whenever details are opened: `place` is an empty element at their end. */
  onrow(callback) {
    rowListeners.push(callback);
    for (const { one, details: opened } of rows.values()) if (opened) callback(one, opened.querySelector(".actions"));
  },
  /** Resolves once the first night is drawn. */
  ready: unpacked(document.getElementById("data").textContent).then((morning) => {
    theme();
    show(morning);
    if (location.hash) reveal(decodeURIComponent(location.hash.slice(1)));
  }),
};
