// One stored line of a log: its form, its hash, and what it states (docs/reference/records.md).

import { decodeUtf8, fromHex, hex, latin1 } from "./bytes.js";
import { parseDigits } from "./numbers.js";
import { sha256 } from "./sha256.js";

export const MAX_LINE = 60 * 1024; // with its newline
export const GENESIS = "0".repeat(64);
const START =
  /^\{"v":1,"seq":([0-9]{1,19}),"timestamp":"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z)","request_id":"[0-9a-f]{32}","user_id":(?:null|"[A-Za-z0-9_-]{3,32}"),"action":"([a-z]+\.[a-z_]+)","details":\{(?:"received":([0-9]{1,19}),)?/;
const USUAL_START = 320;
const TAIL = 155; // ,"prev_hash":"<64 hex>","hash":"<64 hex>"} and the newline

/** What a line, with its newline, states; null if it has not the form of a record. Nothing is verified yet. */
export function parseLine(line) {
  const start = startOf(line);
  if (!start) return null;
  const tail = latin1(line.subarray(-TAIL));
  if (tail.slice(-76, -67) !== ',"hash":"' || !tail.endsWith('"}\n')) return null;
  return {
    seq: parseDigits(start[1]),
    timestamp: start[2],
    action: start[3],
    received: start[4] === undefined ? null : parseDigits(start[4]),
    prevHash: tail.slice(0, 14) === ',"prev_hash":"' && tail[78] === '"' ? tail.slice(14, 78) : null,
    hash: tail.slice(-67, -3),
  };
}

/** Most lines begin in a few bytes. A forged one may have an action of any length. */
function startOf(line) {
  const usual = START.exec(latin1(line.subarray(0, USUAL_START)));
  const isWhole = line.length <= USUAL_START || usual?.[0].length < USUAL_START - 32;
  return isWhole ? usual : START.exec(latin1(line));
}

/** The bytes of a line that its hash covers. */
export function hashedPart(line) {
  return line.subarray(0, -76);
}

/**
 * Why *line* is not record *seq* after the one with *prevHash* (null: any); null if it is.
 * *record*: what it states; *digest*: the SHA-256 of its hashed part.
 */
export function problemOf(line, record, digest, seq, prevHash) {
  if (!record) {
    return { step: "bytes", text: `this line is not a record: ${whyNoRecord(line)}` };
  }
  if (record.seq !== seq) return { step: "links", text: `record ${seq} should stand here, but the line says ${record.seq}` };
  if (line.length > MAX_LINE) return { step: "bytes", text: `the line is longer than ${MAX_LINE} bytes` };
  if (hex(digest) !== record.hash) return { step: "bytes", text: "the record was changed: its bytes do not give its hash" };
  if (prevHash !== null && record.prevHash !== prevHash) {
    return { step: "links", text: "the chain is broken: prev_hash is not the hash of the record before" };
  }
  return null;
}

/** Editors, mail programs and shells change a copy in two of these ways. */
function whyNoRecord(line) {
  if (line.at(-1) !== 10) return "it is unfinished";
  if (line.at(-2) === 13) return "it ends with CR LF, which a program that saved a copy may have made of LF: take it as it was exported";
  if (latin1(line.subarray(0, 3)) === "\u00ef\u00bb\u00bf") return "it begins with a byte order mark, which a program that saved a copy may have added: take it as it was exported";
  return "its form is broken";
}

/** `problemOf` of one line that stands alone, and what it states. */
export function checkOne(line, seq) {
  const record = parseLine(line);
  return { record, problem: problemOf(line, record, sha256(hashedPart(line)), seq, null) };
}

/** A withheld record of a slice: the hash of its leaf, 64 hex digits, instead of the line. Null for any other line. */
export function withheldLeaf(line) {
  const digits = line.length === 65 ? latin1(line) : "";
  return /^[0-9a-f]{64}\n$/.test(digits) ? fromHex(digits.trimEnd()) : null;
}

/** Whether strict JSON (RFC 8259) reads the line in one way: UTF-8, and no member twice. */
export function readsInOneWay(line) {
  let text;
  try {
    text = decodeUtf8(line.at(-1) === 10 ? line.subarray(0, -1) : line);
    const value = JSON.parse(text);
    return JSON.stringify(value) === text || !hasMemberTwice(text);
  } catch {
    return false;
  }
}

/** Of valid JSON. Members are compared as they are after their escapes. */
function hasMemberTwice(text) {
  const objects = []; // of each open object its members, of each open array null
  const token = /"(?:[^"\\]|\\.)*"(\s*:)?|[[\]{}]/gs;
  for (const [found, colon] of text.matchAll(token)) {
    if (found === "{" || found === "[") objects.push(found === "{" ? new Set() : null);
    else if (found === "}" || found === "]") objects.pop();
    else if (colon) {
      const name = JSON.parse(found.slice(0, -colon.length));
      if (objects.at(-1).has(name)) return true;
      objects.at(-1).add(name);
    }
  }
  return false;
}
