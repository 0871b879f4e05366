// One record: its line as it is stored, its hash computed here, its neighbours, its receipt.

import { download, find, findAll, make, say, setText, show } from "./dom.js";
import { call, session, whole } from "./session.js";
import { handOver } from "./verify.js";

const HASH_TAIL = 75; // ,"hash":"<64 hex>"} are the last bytes of a line

let opened = new AbortController(); // stops what the record that was shown before still waits for

export async function openRecord(seq) {
  opened.abort();
  const { signal } = (opened = new AbortController());
  const dialog = find("#record-dialog");
  dialog.replaceChildren(find("#record-frame").content.cloneNode(true));
  setText('[data-fact="seq"]', seq, dialog);
  if (dialog.open) find("#record-title", dialog).focus();
  else dialog.showModal();
  try {
    await fill(dialog, seq, signal);
  } catch (error) {
    if (!signal.aborted) verdict(dialog, "bad", error.message);
  }
}

export function closeRecord() {
  opened.abort();
  find("#record-dialog").replaceChildren();
}

find("#record-dialog").addEventListener("close", () => opened.abort());

async function fill(dialog, seq, signal) {
  const bytes = trimmed(new Uint8Array(await whole(await signed(`audit/entries/${seq}`, signal), "arrayBuffer")));
  const text = new TextDecoder().decode(bytes);
  setText("#record-raw", text, dialog);
  const record = exact(text);
  for (const one of findAll("[data-fact]", dialog)) setText(one, record[one.dataset.fact] ?? (one.dataset.fact === "user_id" ? "nobody" : "–"));
  find('[data-fact="action"]', dialog).classList.add(record.action.replace(".", "-"));
  find("#record-said", dialog).replaceChildren(...saidIn(record.details));
  find("#record-keep", dialog).addEventListener("click", () => guarded(dialog, () => saveReceipt(seq)));
  find("#record-verify", dialog).addEventListener("click", () => guarded(dialog, () => verifyReceipt(seq)));
  find("#record-copy", dialog).addEventListener("click", () => guarded(dialog, () => navigator.clipboard.writeText(`${record.seq}:${record.hash}`)));
  show(find("#record-actions", dialog));
  await check(dialog, bytes, record, signal);
  await neighbours(dialog, record, signal);
}

/** Numbers keep the digits that they are written with, also above 2^53, in browsers that can (`JSON.rawJSON`). */
function exact(text) {
  return JSON.parse(text, (name, value, context) => (typeof value === "number" && JSON.rawJSON && String(value) !== context.source ? JSON.rawJSON(context.source) : value));
}

function trimmed(bytes) {
  return bytes.at(-1) === 10 ? bytes.subarray(0, -1) : bytes;
}

async function guarded(dialog, act) {
  try {
    await act();
    say("Done.");
  } catch (error) {
    verdict(dialog, "bad", error.message);
  }
}

/** The hash covers all bytes of the line before `,"hash":"`. */
async function check(dialog, bytes, record, signal) {
  if (!globalThis.crypto?.subtle) return verdict(dialog, "", "This browser computes digests only over https, or on this machine.");
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes.subarray(0, -HASH_TAIL)));
  signal.throwIfAborted();
  const computed = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  setText('[data-fact="computed"]', computed, dialog);
  if (computed === record.hash) verdict(dialog, "good", "The bytes of this line have the hash that it states.");
  else verdict(dialog, "bad", "The bytes of this line do not have the hash that it states.");
}

function verdict(dialog, kind, text) {
  const place = find("#record-verdict", dialog);
  if (!place) return;
  place.className = `verdict ${kind}`;
  setText(place, text);
}

async function neighbours(dialog, record, signal) {
  let text;
  try {
    text = await whole(await call(`audit/entries?from=${Math.max(0, record.seq - 1)}&limit=3`, { signal }), "text");
  } catch (error) {
    if (!signal.aborted) find("#record-near", dialog).replaceChildren(make("li", { className: "quiet", text: error.message }));
    return;
  }
  const lines = new Map(text.split("\n").filter(Boolean).map((one) => JSON.parse(one)).map((one) => [one.seq, one]));
  const rows = [];
  for (const [name, seq] of [["Before", record.seq - 1], ["After", record.seq + 1]]) {
    if (seq < 0) continue;
    const line = lines.get(seq);
    if (line) {
      const isLinked = name === "Before" ? line.hash === record.prev_hash : line.prev_hash === record.hash;
      const open = make("button", { type: "button", className: "link", text: `Record ${seq}` });
      open.addEventListener("click", () => openRecord(seq));
      rows.push(make("li", {}, make("b", { text: name }), open, make("span", { text: line.action }), make("span", { className: `state ${isLinked ? "good" : "bad"}`, text: isLinked ? "linked" : "not linked" })));
    } else {
      rows.push(make("li", {}, make("b", { text: name }), make("span", { className: "quiet", text: name === "Before" ? `Record ${seq} is not yours: its hash is the one that this line holds.` : `There is no record ${seq} that you may see.` })));
    }
  }
  find("#record-near", dialog).replaceChildren(...rows);
}

/** The texts of a question or an answer, as people read them. */
function saidIn(details) {
  const parts = [];
  const add = (name, text) => { if (text) parts.push(make("div", {}, make("b", { text: name }), make("p", { text, dir: "auto" }))); };
  add("Question", details.query);
  for (const message of Array.isArray(details.messages) ? details.messages : []) {
    add(String(message.role ?? "Message"), typeof message.content === "string" ? message.content : JSON.stringify(message.content ?? message));
  }
  if (details.answer !== undefined && details.answer !== null) add("Answer", typeof details.answer === "string" ? details.answer : JSON.stringify(details.answer));
  if (details.code) add("Code", details.code);
  return parts;
}

/** A record, or its receipt, is there once a checkpoint covers it, which takes a moment. */
async function signed(path, signal) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await call(path, { signal });
    } catch (error) {
      if (error.status !== 503 || tries === 5) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}

async function receiptOf(seq) {
  return whole(await signed(`audit/receipts/${seq}`), "text");
}

export async function saveReceipt(seq) {
  const receipt = await receiptOf(seq);
  if (!session()) return;
  download(`receipt-${seq}.tlog-proof`, [receipt]);
  say("The receipt is saved.");
}

/** On the page of the verifier, which gets it as a file: it fetches nothing by itself. */
export async function verifyReceipt(seq) {
  const file = new File([await receiptOf(seq)], `receipt-${seq}.tlog-proof`);
  if (!session()) return;
  find("#record-dialog").close();
  handOver(file);
}
