// Charts, by uPlot. Each is a figure whose words say the same; they are drawn when seen, and again in other colours.

const PAPER = 560; // pixels that a printed page has for a chart
const charts = new Set();
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) {
      seen.unobserve(entry.target);
      entry.target.draw();
    }
  }
}, { rootMargin: "200px" });
const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const width = Math.floor(target.clientWidth);
    if (target.plot && width && width !== target.plot.width) target.plot.setSize({ width, height: target.plot.height });
  }
});

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// A figure: the picture for eyes, a caption, and a table that holds what the picture shows.
function figure(caption, height, options, alternative) {
  const place = el("div", { class: "plot", "aria-hidden": "true" });
  place.style.setProperty("--height", `${height}px`);
  place.draw = () => {
    place.plot?.destroy();
    const { data, ...made } = options();
    const most = "printing" in document.documentElement.dataset ? PAPER : Infinity;
    const width = Math.min(Math.floor(place.clientWidth) || PAPER, most);
    place.plot = new uPlot({ width, height, legend: { show: false }, cursor: { show: false }, ...made }, data, place);
  };
  charts.add(place);
  seen.observe(place);
  resized.observe(place);
  return el("figure", {}, el("figcaption", {}, caption), place, alternative);
}

function asTable(label, heads, rows) {
  return el("details", { class: "alternative" }, el("summary", {}, "The same as a table"), table(label, heads, rows));
}

function drawAgain() {
  for (const place of charts) {
    if (!place.isConnected) charts.delete(place);
    else if (place.plot) place.draw();
  }
}

function drawAll() {
  for (const place of charts) if (place.isConnected) place.draw();
}

function axis(label, side, values) {
  return {
    label,
    side,
    stroke: colour("muted"),
    labelFont: "12px system-ui, sans-serif",
    font: "12px system-ui, sans-serif",
    labelSize: 22,
    size: side === 3 ? 52 : 34,
    grid: { stroke: colour("line"), width: 1 },
    ticks: { show: false },
    values: values && ((_, found) => found.map(values)),
  };
}

function signed(value) {
  return value === 0 ? "0" : (value < 0 ? MINUS : "+") + Math.abs(value).toLocaleString("en");
}

// Padded by a tenth, and never without height.
function around(low, high) {
  const room = Math.max((high - low) / 10, 0.1);
  return [low - room, high + room];
}

// Drawn over a chart: a line in the plot's own units.
function stroke(plot, name, width, points) {
  const { ctx } = plot;
  ctx.save();
  ctx.strokeStyle = colour(name);
  ctx.lineWidth = width * devicePixelRatio;
  ctx.beginPath();
  points.forEach(([x, y], at) => {
    ctx[at ? "lineTo" : "moveTo"](plot.valToPos(x, "x", true), plot.valToPos(y, "y", true));
  });
  ctx.stroke();
  ctx.restore();
}

function dot(plot, name, x, y, filled) {
  const { ctx } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.arc(plot.valToPos(x, "x", true), plot.valToPos(y, "y", true), 4.5 * devicePixelRatio, 0, 2 * Math.PI);
  ctx.fillStyle = filled ? colour(name) : colour("paper");
  ctx.strokeStyle = colour(name);
  ctx.lineWidth = 2 * devicePixelRatio;
  ctx.fill();
  ctx.stroke();
  ctx.restore();
}

function staircaseChart(flight) {
  const steps = flight.steps.filter((step) => step.effect && !step.reverted);
  const last = Math.max(flight.last_run, ...steps.map((step) => step.run)) + 0.5;
  const from = (at) => (at ? steps[at - 1].level : 0);
  const ends = steps.flatMap((step, at) => [from(at) + step.effect.low, from(at) + step.effect.high]);
  const xs = [...steps.map((step) => step.run), last];
  const first = Math.max(1, Math.min(...xs) - 1);
  const levels = steps.map((step) => step.level * 1000);
  return () => ({
    scales: { x: { time: false, range: [first - 0.5, last] }, y: { range: around(Math.min(...ends) * 1000, Math.max(...ends, 0) * 1000) } },
    axes: [axis("experiment", 2, (value) => (Number.isInteger(value) ? value : "")), axis("Δ ×10⁻³, the sum of steps", 3, signed)],
    series: [{}, { stroke: colour("accent"), width: 2.5, points: { show: false }, paths: uPlot.paths.stepped({ align: 1 }) }],
    data: [[first - 0.5, ...xs], [0, ...levels, levels.at(-1) ?? 0]],
    hooks: {
      draw: [
        (plot) => {
          stroke(plot, "muted", 1, [[first - 0.5, 0], [last, 0]]);
          steps.forEach((step, at) => {
            stroke(plot, "muted", 1.5, [[step.run, (from(at) + step.effect.low) * 1000], [step.run, (from(at) + step.effect.high) * 1000]]);
            dot(plot, "keep", step.run, step.level * 1000, step.fresh);
          });
        },
      ],
    },
  });
}

function curveChart(mine, theirs) {
  const steps = [...new Set([...mine.steps, ...(theirs?.steps ?? [])])].sort((a, b) => a - b);
  const along = (curve) => steps.map((step) => curve?.losses[curve.steps.indexOf(step)]);
  return () => ({
    scales: { x: { time: false } },
    axes: [axis("step", 2), axis("loss, nats a token", 3)],
    series: [
      {},
      { stroke: colour("muted"), width: 2, dash: [6, 4], spanGaps: true, points: { show: false } },
      { stroke: colour("accent"), width: 2, spanGaps: true, points: { show: false } },
    ],
    data: [steps, along(theirs), along(mine)],
  });
}

function scatterChart(points) {
  const xs = points.map((point) => point.breadth * 1000);
  const ys = points.map((point) => point.confirm * 1000);
  const [left, right] = around(Math.min(...xs, 0), Math.max(...xs, 0));
  const [low, high] = around(Math.min(...ys, 0), Math.max(...ys, 0));
  return () => ({
    scales: { x: { time: false, range: [left, right] }, y: { range: [low, high] } },
    axes: [axis("Δ at breadth, ×10⁻³", 2, signed), axis("Δ at confirm, ×10⁻³", 3, signed)],
    series: [{}, { paths: () => null, points: { show: false } }],
    data: [[left, right], [null, null]],
    hooks: {
      draw: [
        (plot) => {
          stroke(plot, "muted", 1, [[left, 0], [right, 0]]);
          stroke(plot, "muted", 1, [[0, low], [0, high]]);
          points.forEach((point, at) => dot(plot, point.kept ? "keep" : "muted", xs[at], ys[at], point.kept));
        },
      ],
    },
  });
}
