// SPDX-License-Identifier: MIT
// The charts, by Chart.js. They hold the last ten minutes: what the pipeline has kept (/history), then one point for
// each status. Lines differ by dashes as well as by colour, and each chart says its newest values as text.

import { bytes, by_id, clock, element, number, seconds } from "./dom.js";

const SPAN = 600000; // milliseconds
const HOLE = 15000; // milliseconds without a point, after which a line is interrupted
const DASHES = [[], [6, 3], [2, 2], [8, 3, 2, 3], [12, 4], [1, 4], [4, 1]];

const sum_of = (steps, value) => (steps ?? []).reduce((sum, step) => sum + (value(step) ?? 0), 0);

const CLOSES = ["size", "time", "block", "idle", "run_time", "retry", "flush"];

// Each chart: title, unit as a function of a value, and its lines: [name, value of a status].
const CHARTS = [
  { title: "Messages a second", unit: number, lines: [
    ["read", (status) => status.rates?.read], ["produced", (status) => status.rates?.produced],
    ["filtered", (status) => status.rates?.filtered], ["dead letters", (status) => status.rates?.dead_lettered]] },
  { title: "Lag in messages", unit: number, lines: [["lag", (status) => status.totals?.lag]] },
  { title: "Lag in seconds", unit: seconds, lines: [["lag", (status) => status.totals?.lag_seconds]] },
  { title: "Batches in progress against processes", unit: number, whole: true, lines: [
    ["batches in progress", (status) => sum_of(status.steps, (step) => step.batches_in_progress)],
    ["processes", (status) => sum_of(status.steps, (step) => step.processes)]] },
  { title: "Batches closed a second, by reason", unit: number, lines: CLOSES.map((reason) =>
    [reason.replace("_", " "), (status) => sum_of(status.steps, (step) => step.closes?.[reason])]) },
  { title: "Block sizes", unit: bytes, lines: [
    ["input", (status) => largest(status.steps, "input_block_size")],
    ["output", (status) => largest(status.steps, "output_block_size")]] },
];

function largest(steps, name) {
  const sizes = (steps ?? []).map((step) => step.sizes?.[name]).filter((size) => typeof size === "number");
  return sizes.length > 0 ? Math.max(...sizes) : undefined;
}

const style_of = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function datasets_of(chart) {
  return chart.lines.map(([label], i) => ({ label, data: [], borderDash: DASHES[i % DASHES.length], borderWidth: 2,
    pointRadius: 0, pointStyle: "line", tension: 0, colour: `--line-${(i % 7) + 1}` }));
}

// Bytes are marked at multiples of a power of two.
function mark_bytes(axis) {
  const step = 2 ** Math.ceil(Math.log2(Math.max(axis.max, 1) / 5));
  axis.ticks = Array.from({ length: Math.floor(axis.max / step) + 1 }, (_, i) => ({ value: i * step }));
}

// The legend shows lines with their dashes.
function dashed_labels(drawing) {
  const labels = globalThis.Chart.defaults.plugins.legend.labels.generateLabels(drawing);
  for (const label of labels) label.lineDash = drawing.data.datasets[label.datasetIndex].borderDash;
  return labels;
}

function options_of(chart) {
  const x = { type: "linear", grid: {}, ticks: { maxTicksLimit: 6, maxRotation: 0, callback: clock } };
  const y = { beginAtZero: true, grid: {}, ticks: { maxTicksLimit: 6, precision: chart.whole ? 0 : undefined,
    callback: (value) => chart.unit(value) } };
  if (chart.unit === bytes) y.afterBuildTicks = mark_bytes;
  const tooltip = { callbacks: { title: (items) => clock(items[0].parsed.x),
    label: (item) => `${item.dataset.label}: ${chart.unit(item.parsed.y)}` } };
  const labels = { usePointStyle: true, pointStyleWidth: 32, generateLabels: dashed_labels };
  return { animation: false, parsing: false, normalized: true, responsive: true, maintainAspectRatio: false,
    interaction: { mode: "index", intersect: false }, scales: { x, y },
    plugins: { legend: { display: chart.lines.length > 1, labels }, tooltip } };
}

// Colours are those of the style sheet, which has them for light and for dark.
function paint(drawing) {
  const text = style_of("--text"), grid = style_of("--line");
  for (const dataset of drawing.data.datasets) {
    dataset.borderColor = dataset.backgroundColor = style_of(dataset.colour);
  }
  for (const scale of Object.values(drawing.options.scales)) {
    scale.ticks.color = text;
    scale.grid.color = grid;
  }
  drawing.options.plugins.legend.labels.color = text;
}

const drawings = [];

/** Makes the charts. False without Chart.js; then the page says so. */
export function start() {
  const Chart = globalThis.Chart;
  if (!Chart) {
    by_id("charts-missing").textContent =
      "There are no charts: install the package libjs-chart.js where the pipeline runs, and start it again.";
    by_id("charts-missing").hidden = false;
    return false;
  }
  Chart.defaults.font.family = "inherit";
  for (const chart of CHARTS) {
    const canvas = element("canvas", { role: "img" });
    const latest = element("p", { className: "latest" });
    by_id("charts").append(element("figure", { className: "card" }, element("figcaption", {}, chart.title),
      element("div", { className: "canvas" }, canvas), latest));
    const drawing = new Chart(canvas, { type: "line", data: { datasets: datasets_of(chart) },
      options: options_of(chart) });
    paint(drawing);
    drawings.push({ chart, drawing, canvas, latest });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const { drawing } of drawings) {
      paint(drawing);
      drawing.update("none");
    }
  });
  return true;
}

/** Adds the values of a status, at its time. */
export function add(status) {
  for (const { chart, drawing } of drawings) {
    chart.lines.forEach(([, value_of], i) => {
      const data = drawing.data.datasets[i].data, value = value_of(status), last = data[data.length - 1];
      if (last && status.time <= last.x) return;
      if (last && status.time - last.x > HOLE) data.push({ x: last.x + 1, y: NaN });
      data.push({ x: status.time, y: typeof value === "number" ? value : NaN });
      while (data.length > 0 && data[0].x < status.time - SPAN) data.shift();
    });
  }
}

/** Draws what was added, up to a time in milliseconds. */
export function draw(time) {
  for (const { chart, drawing, canvas, latest } of drawings) {
    const first = Math.min(...drawing.data.datasets.map((set) => set.data[0]?.x ?? time));
    drawing.options.scales.x.max = time;
    drawing.options.scales.x.min = Math.max(time - SPAN, Math.min(first, time - 60000));
    drawing.update("none");
    const values = drawing.data.datasets.map((set) => {
      const value = set.data[set.data.length - 1]?.y;
      const text = Number.isNaN(value) ? "not known" : chart.unit(value);
      return chart.lines.length > 1 ? `${set.label} ${text}` : text;
    });
    latest.textContent = `Now: ${values.join(", ")}`;
    canvas.setAttribute("aria-label", `${chart.title}. ${latest.textContent}`);
  }
}
