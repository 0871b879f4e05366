// What a file is: told by its first bytes, rarely by its name.

import { latin1 } from "./bytes.js";
import { HEADER as RECEIPT } from "./receipt.js";
import { HEADER as SLICE } from "./slice.js";

const LOOK = 4096;
const LONGEST_NOTE = 256 * 1024;
export const NAMES = {
  key: "verifier key",
  log: "log",
  slice: "proof of a slice",
  checkpoint: "checkpoint",
  receipt: "receipt",
  short: "short receipt",
  text: "long text",
  pack: "evidence pack",
  unknown: "not read",
};

/** {kind, name, file} or {kind, name, data} or {kind: "short" or "key", text} of a Blob; {kind: "unknown"} with a sentence. */
export async function recognise(file) {
  const name = file.name ?? "pasted";
  const start = latin1(new Uint8Array(await file.slice(0, LOOK).arrayBuffer()));
  if (start.startsWith("PK\u0003\u0004")) return { kind: "pack", name, file };
  if (/^[0-9a-f]{64}$/.test(name)) return { kind: "text", name, file };
  if (start.startsWith('{"v":') || (/^[0-9a-f]{64}\n/.test(start) && file.size > 65)) return { kind: "log", name, file };
  if (file.size > LONGEST_NOTE) return /\.jsonl$/.test(name) ? { kind: "log", name, file } : unknown(file, name);
  const data = new Uint8Array(await file.arrayBuffer());
  if (start.startsWith(RECEIPT)) return { kind: "receipt", name, data };
  if (start.startsWith(SLICE)) return { kind: "slice", name, data };
  const text = latin1(data).trim();
  if (/^[^\s+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+$/.test(text) || text.startsWith("PRIVATE+KEY+")) return { kind: "key", name, text };
  const short = shortOf(text);
  if (short) return { kind: "short", name: short, text: short };
  if (/\n\n\u00e2\u0080\u0094 /.test(latin1(data))) return { kind: "checkpoint", name, data };
  return /\.jsonl$/.test(name) ? { kind: "log", name, file } : unknown(file, name);
}

/** SEQ:HASH, alone or as the member `receipt` of an answer; null if there is none. */
function shortOf(text) {
  const [alone] = /^[0-9]{1,19}:[0-9a-f]{64}$/.exec(text) ?? [];
  if (alone) return alone;
  const [, seq, hash] = /"receipt"\s*:\s*\{\s*"seq"\s*:\s*([0-9]{1,19})\s*,\s*"hash"\s*:\s*"([0-9a-f]{64})"/.exec(text) ?? [];
  return hash ? `${seq}:${hash}` : null;
}

function unknown({ size }, name) {
  const text = size === 0 ? `${name} is empty.` : `${name} is none of these: a receipt, a short receipt SEQ:HASH, a checkpoint, a log, a verifier key, an evidence pack.`;
  return { kind: "unknown", name, text };
}
