// Draws what the page shows. Text from outside only ever becomes text: no HTML is made of strings.

import { NAMES } from "./kinds.js";
import { readsInOneWay } from "./record.js";
import { laidOut, number, readable, visible } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  ok: "M4 10.5 8.2 15 16 5.5",
  failed: "M5 5l10 10M15 5 5 15",
  noted: "M10 4.5v7M10 15v.5",
  skipped: "M5 10h10",
  waiting: "",
  running: "",
};
const STATES = { ok: "right", failed: "wrong", noted: "note", skipped: "not checked", waiting: "open", running: "at work" };
export const STEPS = {
  form: ["Form", "A receipt and a checkpoint are files of public standards (C2SP), byte for byte."],
  bytes: ["Bytes", "The SHA-256 of each record's bytes is the hash that it states."],
  links: ["Links", "Each record names the hash of the one before, and no number is missing."],
  tree: ["Tree", "All records together give one root, and a checkpoint or receipt names it."],
  signature: ["Signature", "The key that you kept signed that root (Ed25519)."],
  given: ["What you kept", "The records of your receipts are there."],
  texts: ["Long texts", "Texts that are kept beside the log have the digest that their record names."],
  json: ["One reading", "No two programs can read a record differently."],
};
const FIRST_SHOWN = ["form", "bytes", "links", "tree", "signature"];

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function icon(state) {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", ICONS[state]);
  svg.append(path);
  return svg;
}

/** *steps*: [[id, {state, text}]]. Before anything was given, what each step will check. */
export function drawSteps(list, steps) {
  const shown = steps.length ? steps : FIRST_SHOWN.map((id) => [id, { state: "waiting", text: "" }]);
  const old = new Map([...list.children].map((row) => [row.dataset.step, row]));
  list.replaceChildren(...shown.map(([id, one]) => stepRow(id, one, old.get(id))));
}

function stepRow(id, { state, text }, old) {
  const [title, about] = STEPS[id];
  const same = old && old.dataset.state === state && old.dataset.text === text;
  if (same) return old;
  const row = element("li", { className: "v-step" });
  Object.assign(row.dataset, { step: id, state, text });
  const mark = element("span", { className: "v-mark" }, icon(state));
  const name = element("strong", {}, title, element("span", { className: "v-hidden", textContent: `: ${STATES[state]}.` }));
  row.append(mark, element("div", {}, name, element("p", { textContent: visible(text || about) })));
  return row;
}

export function drawItems(list, items, remove) {
  const rows = items.map((item, at) => {
    const button = element("button", { type: "button", className: "v-remove", onclick: () => remove(item) }, icon("failed"));
    button.setAttribute("aria-label", `Take away ${item.name}`);
    const size = item.file ?? item.data;
    const bytes = size ? ` · ${sizeOf(size.size ?? size.length)}` : "";
    return element("li", { className: "v-item" },
      element("span", { className: "v-kind", textContent: NAMES[item.kind] + bytes }),
      element("span", { className: "v-name", textContent: visible(item.name) }), button);
  });
  list.replaceChildren(...rows);
}

function sizeOf(bytes) {
  if (bytes < 10_000) return `${number(bytes)} bytes`;
  return bytes < 1e6 ? `${Math.round(bytes / 1000)} KB` : `${number(Math.round(bytes / 1e5) / 10)} MB`;
}

/** *words*: {word, title, lines}. */
export function drawVerdict(card, { word, title, lines }) {
  card.dataset.word = word;
  card.querySelector("#v-word").textContent = title;
  card.querySelector("#v-meaning").replaceChildren(...lines.map((line) => element("p", { textContent: visible(line) })));
}

/** A proven or stated record, for reading. */
export function drawRecord({ name, seq, line }, isProven) {
  const heading = isProven ? `Record ${seq}` : `Record ${seq}, as it stands`;
  const box = element("section", { className: "v-card v-record" }, element("h2", { textContent: heading }));
  try {
    const text = new TextDecoder().decode(line);
    const record = JSON.parse(text);
    const facts = [["When", record.timestamp], ["Who", record.user_id ?? "nobody proven"], ["What", record.action], ["Request", record.request_id]];
    const list = element("dl", {});
    for (const [term, value] of facts) list.append(element("dt", { textContent: term }), element("dd", { textContent: visible(String(value)) }));
    box.append(list, element("pre", { textContent: visible(laidOut(detailsIn(text))), tabIndex: 0 }));
    if (!readsInOneWay(line)) box.append(element("p", { className: "v-complaint", textContent: "Two programs may read this record differently (a member twice, or no UTF-8): trust the stored line alone." }));
  } catch {
    box.append(element("p", { textContent: "It cannot be read as JSON." }));
  }
  const raw = element("details", {}, element("summary", { textContent: "The stored line, byte for byte" }));
  raw.append(element("pre", { className: "v-raw", textContent: readable(line), tabIndex: 0 }));
  box.append(raw, element("p", { className: "v-help", textContent: `from ${visible(name)}` }));
  return box;
}

/** Between what stands before and after them in every record (docs/reference/records.md). */
function detailsIn(line) {
  const start = line.indexOf('"details":') + '"details":'.length;
  return line.slice(start, line.lastIndexOf(',"prev_hash":"'));
}

/** *bytes* around the place of a problem; *marked*: the offset in them of the byte that was flipped, or null. */
export function drawPlace(title, bytes, marked, text) {
  const pre = element("pre", { className: "v-raw", tabIndex: 0 });
  if (marked === null) pre.textContent = readable(bytes);
  else {
    const mark = element("mark", { textContent: readable(bytes.subarray(marked, marked + 1)) || " " });
    pre.append(readable(bytes.subarray(0, marked)), mark, readable(bytes.subarray(marked + 1)));
  }
  return element("section", { className: "v-card v-record v-wrong" },
    element("h2", { textContent: title }), element("p", { textContent: visible(text) }), pre);
}
