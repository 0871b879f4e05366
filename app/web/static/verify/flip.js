// "Flip a byte": one bit of what was given is turned, in memory only, to show that this is noticed.

import { base64, concat, encodeUtf8, fromBase64, latin1 } from "./bytes.js";

/**
 * Chooses a byte and a bit: {item, at, bit}, or {why} where no change could be seen. Without a key that is every
 * change of a checkpoint: anyone can write another.
 */
export function chooseFlip(items, hasKey, random = Math.random) {
  const log = items.find(({ kind }) => kind === "log");
  const item = log ?? items.find(({ kind }) => kind === "receipt") ?? items.find(({ kind }) => kind === "checkpoint");
  if (!item) return { why: "Add a receipt, a checkpoint or a log first." };
  if (item.kind === "checkpoint" && !hasKey) return { why: "Give the verifier key first: without it, nobody can tell a changed checkpoint." };
  const size = log ? log.file.size : item.kind === "receipt" ? recordIn(item.data).line.length : blankIn(item.data);
  return { item, at: Math.floor(random() * size), bit: Math.floor(random() * 7) };
}

/** *data* with that bit turned: in a receipt, of the record that it holds. */
export function flipped({ kind, data }, { at, bit }) {
  if (kind !== "receipt") return turned(data, at, bit);
  const { line, start, end } = recordIn(data);
  return concat(data.subarray(0, start), encodeUtf8(base64(turned(line, at, bit))), data.subarray(end));
}

/** The record in a receipt, and where its base64 stands. */
export function recordIn(data) {
  const start = data.indexOf(10) + 1 + "extra ".length;
  const end = data.indexOf(10, start);
  return { line: fromBase64(latin1(data.subarray(start, end))), start, end };
}

export function turned(data, at, bit) {
  const copy = data.slice();
  copy[at] ^= 1 << bit;
  return copy;
}

/** Where the text of a note ends: its signature lines may be of others, whom nobody checks. */
function blankIn(data) {
  return data.findIndex((byte, at) => byte === 10 && data[at + 1] === 10);
}
