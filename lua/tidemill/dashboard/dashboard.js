// SPDX-License-Identifier: MIT
// The dashboard and the page of the tuning steps: asks for /status once a second and shows it. While the pipeline
// does not answer, the pages say so, and what they showed last is marked as old. dom.js makes elements, charts.js the
// charts.

import { bar, by_id, bytes, clock, duration, element, fill, number, percent, seconds, table } from "./dom.js";
import * as charts from "./charts.js";

const INTERVAL = 1000; // milliseconds
const PATIENCE = 3000; // milliseconds for an answer
const STALE = 4000; // milliseconds without a new snapshot that are worth a word

const on_dashboard = by_id("charts") !== null;
let list = []; // of metrics, with what to do
let answered_at = Date.now(), last_time = 0, renewed_at = Date.now();

async function get(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  if (!answer.ok) throw new Error(`${path}: status ${answer.status}`);
  return answer.json();
}

// ---- the verdict ----

const limit_name = (limit) => limit.replaceAll("_", " ");

function show_verdict({ verdict = {} }) {
  const bound = verdict.limit && verdict.limit !== "none";
  const step = verdict.step ? ` of step ${verdict.step}` : "";
  const since = bound && verdict.since > 0 ? `, for ${seconds(Math.round(verdict.since))}` : "";
  const said = bound ? `Limit: ${limit_name(verdict.limit)}${step}` : "No limit";
  by_id("verdict").classList.toggle("bound", Boolean(bound));
  fill("verdict-text", element("p", { className: "limit" }, bound ? "▲ " : "✓ ", said, element("small", {}, since)),
    verdict.text ? element("p", {}, verdict.text) : null,
    verdict.advice ? element("p", {}, element("strong", {}, "What to do: "), verdict.advice) : null);
  if (!on_dashboard) return;
  const evidence = Object.entries(verdict.evidence ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  fill("evidence", table("Numbers behind the verdict", [{ title: "name", text: ([name]) => name.replaceAll("_", " ") },
    { title: "value", right: true, text: ([, value]) => number(value) }], evidence));
}

// ---- messages ----

const lag_text = (totals) => (totals.lag === undefined || totals.lag === null ? "not known"
  : `${number(totals.lag)}${typeof totals.lag_seconds === "number" ? ` (${seconds(totals.lag_seconds)})` : ""}`);

function show_tiles({ totals = {}, rates = {} }) {
  const tile = (name, value, more) => element("div", { className: "card" }, element("dt", {}, name),
    element("dd", {}, value, more ? element("small", {}, more) : null));
  const rated = (name, field) => tile(name, `${number(rates[field])}/s`, `${number(totals[field])} in all`);
  fill("tiles", rated("Read", "read"), rated("Produced", "produced"), rated("Filtered", "filtered"),
    rated("Dead letters", "dead_lettered"), tile("Lag", lag_text(totals)), tile("In flight", number(totals.in_flight)));
}

// ---- several engines ----

function show_engines({ engines = [] }) {
  by_id("engines-section").hidden = engines.length === 0;
  if (engines.length === 0) return;
  fill("engines", table("Engines of this pipeline", [
    { title: "engine", right: true, text: (one) => number(one.number) },
    { title: "state", text: (one) => one.state.toLowerCase() },
    { title: "read/s", right: true, text: (one) => number(one.rates?.read ?? 0) },
    { title: "lag", right: true, text: (one) => lag_text(one.totals ?? {}) },
    { title: "limit", text: (one) => limit_name(one.verdict?.limit ?? "-") },
    { title: "pid", right: true, text: (one) => one.pid ?? "-" },
    { title: "lost", right: true, text: (one) => number(one.losses) }], engines));
}

// ---- steps ----

const SIZES = [["max_batch_size", number], ["max_batch_time", seconds], ["input_block_size", bytes],
  ["output_block_size", bytes]];

const CLOSES = ["size", "time", "block", "idle", "run_time", "retry", "flush"];

function rates_text(rates, names, always) {
  const said = names.filter((name) => always || rates?.[name] > 0)
    .map((name) => `${name.replace("_", " ")} ${number(rates?.[name])}/s`);
  return said.length > 0 ? said.join(", ") : "none";
}

function facts_of(step) {
  const sizes = step.sizes ?? {};
  const facts = [
    ["Batches in progress", bar(step.batches_in_progress / step.processes,
      `${number(step.batches_in_progress)} of ${number(step.processes)} processes`)],
    ["Batches closed by", rates_text(step.closes, CLOSES)],
    ["Overflow", rates_text(step.overflow, ["input", "output"], true)],
    ["Backpressure", `${number(step.backpressure)}/s`]];
  if (step.event_time) {
    facts.push(["Watermark", `${seconds(step.event_time.watermark_lag)} behind the clock`],
      ["Timers that wait", number(step.event_time.waiting_timers)]);
  }
  for (const [name, show] of SIZES) {
    const auto = sizes.auto?.[name] ? " (auto)" : "";
    if (typeof sizes[name] === "number") facts.push([name, show(sizes[name]) + auto]);
  }
  return element("dl", { className: "facts" }, ...facts.map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

function worker_table(step) {
  return table(`Workers of step ${step.number}`, [
    { title: "worker", right: true, text: (worker) => (worker.engine ? `${worker.engine}.${worker.slot}`
      : number(worker.slot)) },
    { title: "busy", node: (worker) => bar(worker.busy, percent(worker.busy)) },
    { title: "messages/s", right: true, text: (worker) => number(worker.messages) },
    { title: "state", text: (worker) => worker.state },
    { title: "pid", right: true, text: (worker) => worker.pid ?? "-" },
    { title: "lost", right: true, text: (worker) => number(worker.lost) }], step.workers ?? [], { most: 256,
    none: "Nothing is known of the workers yet." });
}

function show_steps({ steps = [] }) {
  fill("steps", ...steps.map((step) => element("article", { className: "card" },
    element("h3", {}, `Step ${step.number}: ${step.stage ?? step.kind}`), facts_of(step), worker_table(step))),
    steps.length === 0 ? element("p", { className: "none" }, "No step has workers.") : null);
}

// ---- lists ----

const place = (entry) => `${entry.topic}/${entry.partition}`;

function show_partitions({ partitions = [] }) {
  const worst_first = [...partitions].sort((a, b) => (b.lag ?? -1) - (a.lag ?? -1) || a.partition - b.partition);
  fill("partitions", table("Lag by partition, the worst first", [
    { title: "partition", wide: true, text: place },
    { title: "lag", right: true, text: (entry) => number(entry.lag) },
    { title: "behind", right: true, text: (entry) => seconds(entry.lag_seconds) }], worst_first, { most: 50 }));
}

function show_slow({ slow_messages = [] }) {
  fill("slow", table("Slowest messages of the last minute", [
    { title: "message", wide: true, text: (entry) => `${place(entry)}/${entry.offset}` },
    { title: "step", right: true, text: (entry) => entry.step },
    { title: "took", right: true, text: (entry) => seconds(entry.seconds) },
    { title: "ago", right: true, text: (entry) => seconds(entry.age) }], slow_messages, { most: 20 }));
}

function show_dead_letters({ dead_letters = {} }) {
  const reasons = Object.entries(dead_letters.reasons ?? {}).sort(([, a], [, b]) => b - a);
  if (reasons.length === 0) return fill("dead", element("p", { className: "none" }, "None."));
  fill("dead", table(`${number(dead_letters.total)} dead letters by reason`, [
    { title: "reason", text: ([reason]) => reason },
    { title: "messages", right: true, text: ([, count]) => number(count) }], reasons),
  table("The last ten, the newest first", [
    { title: "time", text: (letter) => clock(letter.time) },
    { title: "reason", text: (letter) => letter.reason },
    { title: "error", wide: true, text: (letter) => letter.error },
    { title: "message", text: (letter) => `${place(letter)}/${letter.offset}` },
    { title: "step", text: (letter) => letter.stage }], dead_letters.last ?? [], { stacked: true }));
}

// ---- metrics ----

const SHOW = { bytes, seconds, microseconds: (value) => seconds(value / 1e6) };
const TASK = /^strategies\.run_task_with_multiprocessing\./;

function value_text(metric, value) {
  const show = SHOW[metric.unit] ?? number, unit = show === number && metric.unit ? ` ${metric.unit}` : "";
  if (typeof value !== "object") return show(value) + unit;
  if (metric.kind === "gauge") return show(value.last) + unit;
  if (!value.count) return "none yet";
  if (value.p50 === undefined) return `mean ${show(value.sum / value.count)}, ${show(value.min)} to ${show(value.max)}`;
  return `p50 ${show(value.p50)}, p99 ${show(value.p99)}, ${show(value.min)} to ${show(value.max)}${unit}`;
}

// The name of a metric of one step: "a{reason=size}" -> "a{reason=size,step=2}".
const name_of_step = (name, step) => (name.endsWith("}") ? `${name.slice(0, -1)},step=${step}}`
  : `${name}{step=${step}}`);

// With several steps, also the value of each.
function value_node(metric, { metrics, steps = [] }) {
  const lines = [value_text(metric, metrics[metric.full_name])];
  for (const { number: step } of steps) {
    const value = metrics[name_of_step(metric.full_name, step)];
    if (value !== undefined) lines.push(`step ${step}: ${value_text(metric, value)}`);
  }
  return element("span", {}, ...lines.map((line) => element("span", { className: "line" }, line)));
}

// What scripts count by tide.metric, as entries like those of the list.
function script_metrics(metrics) {
  return Object.keys(metrics).filter((name) => name.startsWith("script.")).sort().map((name) => ({ full_name: name,
    kind: metrics[name].last === undefined ? "" : "gauge", help: "Counted by a function." }));
}

function show_metrics(status) {
  const metrics = status.metrics ?? {};
  const known = list.filter((metric) => metrics[metric.full_name] !== undefined);
  const columns = [
    { title: "metric", node: (metric) => element("code", {}, metric.full_name.replace(TASK, "")) },
    { title: "value", values: true, node: (metric) => value_node(metric, status) },
    { title: "what it is", wide: true, text: (metric) => metric.help },
    { title: "what to do", wide: true, text: (metric) => metric.advice ?? "" }];
  fill("tuning-metrics", table("Metrics of the tuning page", columns, known.filter((metric) => metric.tuning),
    { stacked: true }));
  fill("other-metrics", table("All other metrics", columns, [...script_metrics(metrics),
    ...known.filter((metric) => !metric.tuning)], { most: 1000, stacked: true }));
}

// ---- the tuning steps ----

const TITLES = { input_block: "Input block: end input overflow", batch: "Batch: its size and time",
  output_block: "Output block: end output overflow",
  next_step: "Next step, or processes" };
const GUIDES = {
  input_block: "Raise input_block_size until there is no input overflow, or leave it automatic.",
  batch: "Raise max_batch_size and max_batch_time in large steps (twice as much) while the throughput on a backlog "
    + "grows, then in small ones.",
  output_block: "Raise output_block_size until there is no output overflow, which costs a further round each time.",
  next_step: "With backpressure all the time, make the next step or the output faster; processes can be fewer. Without "
    + "it, raise processes or the batch size." };
const STATES = { done: "✓ done", now: "▶ do this now", later: "○ later" };

function show_procedure({ verdict = {} }) {
  const rows = verdict.procedure ?? [];
  fill("procedure", ...rows.map((row) => element("li", { className: `card ${row.state}` },
    element("h3", {}, TITLES[row.name] ?? limit_name(row.name), element("span", { className: "badge" },
      STATES[row.state] ?? row.state)), element("p", {}, row.text),
    element("p", { className: "guide" }, GUIDES[row.name] ?? ""))));
  if (rows.length > 0) return;
  fill("procedure", element("li", { className: "card" }, "Nothing was read yet, so nothing can be judged."));
}

// ---- the loop ----

const PARTS = [show_tiles, show_engines, show_steps, show_partitions, show_slow, show_dead_letters, show_metrics];

// Nothing before the first reload.
function revision(status) {
  const { state, canary, last } = status.reload ?? {};
  if (!last && !canary) return "";
  const failed = last?.outcome === "failed" || last?.outcome === "rolled_back";
  const tried = canary ? `: ${percent(canary.share)} of the batches, ${number(canary.compared)} messages compared, `
    + `${number(canary.differing)} differ` : "";
  return `, revision ${status.revision} of the transforms` + (state === "none" ? "" : ` (${state}${tried})`)
    + (failed ? `, last reload ${last.outcome.replace("_", " ")}` : "");
}

function show(status) {
  const ready = status.ready ? "ready" : "not ready";
  document.title = `${status.name} - tidemill`;
  by_id("name").textContent = status.name;
  by_id("state").textContent = `${status.state}, ${ready}, up ${duration(status.uptime)}, process ${status.pid}, `
    + status.program + revision(status);
  show_verdict(status);
  if (!on_dashboard) return show_procedure(status);
  for (const part of PARTS) part(status);
  charts.add(status);
  charts.draw(status.time);
}

function mark_old(text) {
  by_id("gone").hidden = text === "";
  if (by_id("gone").textContent !== text) by_id("gone").textContent = text;
  by_id("live").classList.toggle("old", text !== "");
  if (text !== "" && !document.title.startsWith("! ")) document.title = `! ${document.title}`;
}

const ago = (since) => seconds(Math.round((Date.now() - since) / 1000));

// An answer that failed is asked for again: the list stays empty only for a second.
async function learn_metrics() {
  if (on_dashboard && list.length === 0) ({ list } = await get("/metrics.json").catch(() => ({ list: [] })));
}

async function turn() {
  try {
    const status = await get("/status");
    answered_at = Date.now();
    if (status.time !== last_time) [last_time, renewed_at] = [status.time, answered_at];
    show(status);
    await learn_metrics();
    const still = answered_at - renewed_at > STALE;
    mark_old(still ? `The pipeline has not renewed its numbers for ${ago(renewed_at)}.` : "");
  } catch (error) {
    mark_old(`The pipeline has not answered for ${ago(answered_at)} (${error.message}). What is below is old. `
      + "This page tries again each second.");
  }
  setTimeout(turn, INTERVAL);
}

async function start() {
  if (on_dashboard && charts.start()) {
    const kept = await get("/history").catch(() => ({ list: [] }));
    for (const status of kept.list) charts.add(status);
  }
  await learn_metrics();
  turn();
}

start();
