// A slice: the records of a log from one of them on. Its proof holds what the records before it come to.

import { decodeUtf8, equal, fromBase64, Unproven } from "./bytes.js";
import { Tree } from "./merkle.js";
import { parseCheckpoint } from "./note.js";
import { parseNumber } from "./numbers.js";
import { GENESIS } from "./record.js";

export const HEADER = "secure-ai-assistant/slice@v1";
export const WHOLE = { first: 0, prevHash: GENESIS, peaks: [], checkpoint: null };

/**
 * {first, prevHash, peaks, checkpoint} of a slice's proof: the number of its first record, the hash of the record
 * before, the hashes of the whole subtrees over all records before, and the checkpoint. Throws Unproven.
 */
export function parseSlice(bytes) {
  const blank = bytes.findIndex((byte, at) => byte === 10 && bytes[at + 1] === 10);
  const [header, first, prev, ...peaks] = decodeUtf8(bytes.subarray(0, Math.max(blank, 0))).split("\n");
  const number = first?.startsWith("first ") ? parseNumber(first.slice(6)) : null;
  const [, prevHash] = /^prev_hash ([0-9a-f]{64})$/.exec(prev ?? "") ?? [];
  if (header !== HEADER || typeof number !== "number" || !prevHash) {
    throw new Unproven(`it is not ${HEADER}, the first record, and the hash of the record before`);
  }
  const hashes = peaks.map(fromBase64);
  if (hashes.length !== Tree.peaksOf(number) || hashes.some((hash) => hash.length !== 32)) {
    throw new Unproven("it does not have the hashes of all records before the first");
  }
  if (number === 0 && prevHash !== GENESIS) throw new Unproven("nothing comes before record 0");
  const checkpoint = parseCheckpoint(bytes.subarray(blank + 2));
  if (checkpoint.size < number) throw new Unproven("its checkpoint covers none of its records");
  return { first: number, prevHash, peaks: hashes, checkpoint };
}

export function sameRoot(one, other) {
  return one.size === other.size && equal(one.root, other.root);
}
