// SPDX-License-Identifier: MIT
// Makes elements, tables and texts of numbers. A text from the pipeline is only ever set as text, never as HTML.

const number_format = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const small_format = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 3 });

// Control characters, and those that turn the direction of what follows, are shown as escapes.
const MISLEADING = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const shown = (text) => String(text).replace(MISLEADING, (character) => `\\u{${character.charCodeAt(0).toString(16)}}`);

/** element("td", { className: "x" }, "text", other): properties, then children (texts or elements). */
export function element(tag, properties, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (name.includes("-") || name === "role" || name === "scope") made.setAttribute(name, value);
    else made[name] = value;
  }
  const given = children.filter((child) => child !== null && child !== undefined);
  made.append(...given.map((child) => (child instanceof Node ? child : shown(child))));
  return made;
}

export const by_id = (id) => document.getElementById(id);

/** Puts children in the place of those that the element with this id has. */
export function fill(id, ...children) {
  by_id(id).replaceChildren(...children.filter((child) => child !== null && child !== undefined));
}

export function number(value) {
  if (typeof value !== "number") return "?";
  return Math.abs(value) >= 100 || Number.isInteger(value) ? number_format.format(value) : small_format.format(value);
}

export function bytes(value) {
  if (typeof value !== "number") return "?";
  if (value >= 2 ** 20) return `${small_format.format(value / 2 ** 20)} MiB`;
  return value >= 1024 ? `${small_format.format(value / 1024)} KiB` : `${number(value)} B`;
}

export function seconds(value) {
  if (typeof value !== "number") return "?";
  if (value >= 600) return duration(value);
  if (value > 0 && value < 0.001) return `${small_format.format(value * 1e6)} µs`;
  return value > 0 && value < 1 ? `${small_format.format(value * 1000)} ms` : `${small_format.format(value)} s`;
}

/** "3 d 04:05:06" */
export function duration(value) {
  const two = (part) => String(Math.floor(part)).padStart(2, "0");
  const days = Math.floor(value / 86400);
  return `${days > 0 ? `${days} d ` : ""}${two((value / 3600) % 24)}:${two((value / 60) % 60)}:${two(value % 60)}`;
}

export const percent = (share) => (typeof share === "number" ? `${Math.round(share * 100)} %` : "?");

export const clock = (milliseconds) => new Date(milliseconds).toLocaleTimeString("en-GB");

/** A bar for a share from 0 to 1, with its value as text beside it. */
export function bar(share, text) {
  const meter = element("progress", { max: 1, value: Math.min(Math.max(share || 0, 0), 1), "aria-label": text });
  return element("span", { className: "bar" }, meter, " ", text);
}

/** columns: { title, right, wide, values, text(row) or node(row) }. Shows at most `most` rows and says how many are
 * left out; without any it says `none`. One that is `stacked` is a list of small tables on a phone: then its roles are
 * named, since browsers forget them together with the form of a table. */
export function table(caption, columns, rows, { most = 100, none = "None.", stacked = false } = {}) {
  if (rows.length === 0) return element("p", { className: "none" }, none);
  const role = (name) => (stacked ? { role: name } : {});
  const class_of = (column) => ["right", "wide", "values"].filter((name) => column[name]).join(" ");
  const head = columns.map((column) =>
    element("th", { scope: "col", className: class_of(column), ...role("columnheader") }, column.title));
  const cell = (column, row) => element("td", { className: class_of(column), "data-title": column.title,
    ...role("cell") }, column.node ? column.node(row) : column.text(row));
  const line = (cells) => element("tr", role("row"), ...cells);
  const body = rows.slice(0, most).map((row) => line(columns.map((column) => cell(column, row))));
  const made = element("table", { className: stacked ? "stacked" : "", ...role("table") },
    element("caption", {}, caption), element("thead", role("rowgroup"), line(head)),
    element("tbody", role("rowgroup"), ...body));
  const left = rows.length - most;
  return element("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": caption }, made,
    left > 0 ? element("p", { className: "none" }, `${number(left)} more are not shown.`) : null);
}
