// Receipts: a whole one is a C2SP tlog-proof that holds its record; a short one is SEQ:HASH.

import { concat, decodeUtf8, equal, fromBase64, Unproven } from "./bytes.js";
import { leafHash, rootFromPath } from "./merkle.js";
import { MAX_NOTE_BYTES, parseCheckpoint } from "./note.js";
import { parseDigits, parseNumber } from "./numbers.js";
import { checkOne, MAX_LINE } from "./record.js";

export const HEADER = "c2sp.org/tlog-proof@v1";
const MAX_HASHES = 64;
const NEWLINE = Uint8Array.of(10);

/** {seq, hash} of SEQ:HASH; null for anything else. */
export function parseShort(text) {
  const [, seq, hash] = /^([0-9]{1,19}):([0-9a-f]{64})$/.exec(text) ?? [];
  return hash === undefined ? null : { seq: parseDigits(seq), hash };
}

/** The parts of a receipt, unverified: {index, line, path, checkpoint}. Throws Unproven. */
export function parseReceipt(bytes) {
  if (bytes.length > MAX_NOTE_BYTES + 2 * MAX_LINE) throw new Unproven("it is too long to be a receipt");
  const blank = bytes.findIndex((byte, at) => byte === 10 && bytes[at + 1] === 10);
  const head = bytes.subarray(0, Math.max(blank, 0));
  if (blank < 0 || head.some((byte) => byte > 127)) throw new Unproven("it is not a proof: there is no blank line after its hashes");
  const [header, extra, index, ...hashes] = decodeUtf8(head).split("\n");
  if (header !== HEADER) throw new Unproven(`it does not begin with ${HEADER}`);
  if (!extra?.startsWith("extra ")) throw new Unproven("it does not hold its record");
  const number = index?.startsWith("index ") ? parseNumber(index.slice(6)) : null;
  if (number === null) throw new Unproven("it has no index, or one that is not a number");
  const path = hashes.map(fromBase64);
  if (path.length > MAX_HASHES || path.some((hash) => hash.length !== 32)) {
    throw new Unproven(`its hashes are not at most ${MAX_HASHES} of 32 bytes`);
  }
  return { index: number, line: fromBase64(extra.slice(6)), path, checkpoint: parseCheckpoint(bytes.subarray(blank + 2)) };
}

/** Throws Unproven unless the line is the record of that number, and its bytes give its hash. Returns what it states. */
export function verifyRecord({ line, index }) {
  if (line.includes(10)) throw new Unproven("what it holds is not one line");
  const { record, problem } = checkOne(concat(line, NEWLINE), index);
  if (problem) throw new Unproven(problem.text);
  return record;
}

/** Throws Unproven unless the line is in the tree of the checkpoint, at its place. */
export function verifyPlace({ line, index, path, checkpoint }) {
  const root = rootFromPath(index, checkpoint.size, leafHash(line), path);
  if (!root || !equal(root, checkpoint.root)) {
    throw new Unproven("the hashes do not lead from the record to the checkpoint's root");
  }
}
