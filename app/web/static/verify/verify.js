// The whole verification, step by step: what was given is opened, the log is read, each part is held against the others.

import { Unproven } from "./bytes.js";
import { checkLog } from "./log.js";
import { parseCheckpoint, parseKey, verifySignature } from "./note.js";
import { before, count } from "./numbers.js";
import { parseReceipt, parseShort, verifyPlace, verifyRecord } from "./receipt.js";
import { parseSlice, sameRoot } from "./slice.js";
import { checkTexts } from "./texts.js";
import { verdictOf } from "./verdict.js";

/**
 * *given*: {key, log, slice, checkpoints, receipts, short, texts, flip}: the verifier key (text), the log (a Blob), files as
 * {name, data}, SEQ:HASH as texts, long texts as {name, file}, and the bit of the log to turn.
 * *tell* gets {type: "step", step, state, text} as each step ends, and {type: "progress", …}. Returns the verdict.
 */
export async function verify(given, tell, hasher) {
  const found = { key: null, problems: [], failed: [], roots: [], lines: [], signed: [], signatures: 0, remarks: [], place: null };
  const step = (name, state, text) => tell({ type: "step", step: name, state, text });
  found.key = given.key ? parseKey(given.key) : null;
  const receipts = given.short.map(readShort);
  const slice = openAll(given, found, step);
  const inside = wantedOf(found, receipts, slice);
  if (given.log) await readLog(given, found, inside, slice, step, tell, hasher);
  else compareWithoutLog(found, receipts, step);
  return verdictOf(found, given, slice);
}

function readShort(text) {
  const receipt = parseShort(text);
  if (!receipt) throw new Unproven("a short receipt is SEQ:HASH: the number of the record, a colon, and 64 hex digits");
  return receipt;
}

/** Open the slice's proof, the checkpoints and the receipts; one that proves nothing is a problem. Returns the slice. */
function openAll(given, found, step) {
  const { slice, checkpoints, receipts } = given;
  const notes = checkpoints.length + receipts.length + (slice ? 1 : 0);
  const opened = slice && attempt(found, slice.name, "form", () => parseSlice(slice.data));
  if (opened) keepRoot(found, slice.name, opened.checkpoint);
  for (const { name, data } of checkpoints) {
    const checkpoint = attempt(found, name, "form", () => parseCheckpoint(data));
    if (checkpoint) keepRoot(found, name, checkpoint);
  }
  for (const one of receipts) openReceipt(one, found);
  const wrong = (id) => found.failed.filter((problem) => problem.step === id);
  if (notes) tellForm(wrong("form"), notes, step);
  if (!given.log && receipts.length) tellReceipts(wrong, step);
  tellSignatures(wrong("signature"), found, notes, step);
  return opened || null;
}

function attempt(found, name, stepId, work) {
  try {
    return work() ?? true;
  } catch (error) {
    if (!(error instanceof Unproven)) throw error;
    found.failed.push({ seq: null, step: stepId, name, text: `${name}: ${error.message}` });
    return null;
  }
}

/** A checkpoint counts if there is no key, or if the key signed it. */
function keepRoot(found, name, checkpoint) {
  if (!isSigned(found, name, checkpoint)) return;
  found.roots.push({ name, ...checkpoint });
  if (found.key) found.signed.push(checkpoint);
}

/** Without a key, what it says is taken as it is. */
function isSigned(found, name, checkpoint) {
  if (!found.key) return true;
  found.signatures += attempt(found, name, "signature", () => verifySignature(checkpoint, found.key)) ? 1 : 0;
  return !found.failed.some((problem) => problem.name === name && problem.step === "signature");
}

function openReceipt({ name, data }, found) {
  const receipt = attempt(found, name, "form", () => parseReceipt(data));
  if (!receipt) return;
  const record = attempt(found, name, "bytes", () => verifyRecord(receipt));
  const place = attempt(found, name, "tree", () => verifyPlace(receipt));
  const signed = isSigned(found, name, receipt.checkpoint);
  if (!record || !place || !signed) return;
  found.roots.push({ name, ...receipt.checkpoint });
  if (found.key) found.signed.push(receipt.checkpoint);
  found.lines.push({ name, seq: receipt.index, line: receipt.line, record });
}

function tellForm(wrong, notes, step) {
  if (wrong.length) step("form", "failed", wrong[0].text);
  else step("form", "ok", notes === 1 ? "It has the form that the standard gives it." : `All ${notes} files have the form that the standards give them.`);
}

function tellReceipts(wrong, step) {
  const [bytes, tree] = [wrong("bytes"), wrong("tree")];
  if (wrong("form").length) return;
  step("bytes", bytes.length ? "failed" : "ok", bytes[0]?.text ?? "The record's bytes give the hash that it states.");
  step("tree", tree.length ? "failed" : "ok", tree[0]?.text ?? "The hashes lead from the record, at its place, to the root of the checkpoint.");
}

function tellSignatures(wrong, { key, signatures }, notes, step) {
  if (wrong.length) step("signature", "failed", wrong[0].text);
  else if (!key) step("signature", "skipped", "Not checked: there is no verifier key. Without one nobody knows who made this.");
  else if (!notes) step("signature", "skipped", "Not checked: there is no checkpoint or receipt, and only these are signed.");
  else if (signatures) step("signature", "ok", `Signed by ${key.name}, the key that you gave.`);
  else step("signature", "skipped", "Not checked: there is nothing whose form is right.");
}

/** What the log is held against. What lies before a slice cannot be: that is said, and proves nothing either way. */
function wantedOf(found, receipts, slice) {
  const first = slice?.first ?? 0;
  const outside = [
    ...receipts.filter(({ seq }) => seq < first).map(({ seq }) => `the receipt of record ${seq}`),
    ...found.lines.filter(({ seq }) => seq < first).map(({ name }) => name),
    ...found.roots.filter(({ size }) => size < first).map(({ name }) => name),
  ];
  for (const what of new Set(outside)) found.remarks.push(`Not compared: ${what} is about records before this slice, which begins with record ${first}.`);
  return {
    slice,
    receipts: receipts.filter(({ seq }) => seq >= first),
    lines: found.lines.filter(({ seq }) => seq >= first),
    roots: found.roots.filter(({ size }) => size >= first),
  };
}

async function readLog(given, found, wanted, slice, step, tell, hasher) {
  for (const id of ["bytes", "links", ...(wanted.roots.length ? ["tree"] : [])]) step(id, "running", "");
  const progress = ({ read, lines }) => tell({ type: "progress", read, total: given.log.size, lines });
  const log = await checkLog(given.log, wanted, hasher, { flip: given.flip, progress });
  Object.assign(found, { log, place: log.place });
  found.problems.push(...log.problems);
  const first = (id) => log.problems.find((problem) => problem.step === id);
  const of = (problem) => `Record ${problem.seq}: ${problem.text}.`;
  const whole = log.entries - log.withheld;
  const shown = whole ? `Each of ${count(whole, "record")} gives the hash that it states.` : "";
  const hidden = log.withheld ? `${count(log.withheld, "record")} withheld: only the digest is here, so what they say cannot be checked.` : "";
  const bytes = first("bytes");
  if (bytes) step("bytes", "failed", of(bytes));
  else step("bytes", whole ? "ok" : "skipped", [shown, hidden].filter(Boolean).join(" "));
  const links = first("links") ?? bytes;
  if (links) step("links", first("links") ? "failed" : "skipped", first("links") ? of(links) : "Not judged past the record that is wrong.");
  else step("links", whole ? "ok" : "skipped", whole ? "The numbers have no gap, and each record names the hash of the one before." : "There is no whole record to follow.");
  tellTree(found, wanted, log, slice, step);
  tellKept(wanted, first("given"), of, step);
  if (given.texts.length) await tellTexts(given.texts, found, log, step);
  else if (log.texts.size) found.remarks.push(`${count(log.texts.size, "long text")} named by digest, and not here: drop the files of audit_log.texts to check them too.`);
  tellReading(log, step);
}

function tellTree(found, { roots }, log, slice, step) {
  const wrong = log.problems.find((problem) => problem.step === "tree");
  const most = roots.reduce((largest, { size }) => (size > largest ? size : largest), 0);
  if (wrong) step("tree", "failed", `${sentence(wrong.text)}.`);
  else if (!roots.length) step("tree", "skipped", "Not checked: there is no checkpoint or receipt to compare with. A cut end or a rewritten log would not show.");
  else if (log.unmet.length) step("tree", "failed", "A checkpoint does not agree.");
  else step("tree", "ok", `${slice?.first ? `With what comes before record ${slice.first}, the` : "The"} first ${count(most, "record")} give${most === 1 ? "s" : ""} the root that the checkpoint names.`);
}

function tellKept({ receipts, lines }, wrong, of, step) {
  const kept = receipts.length + lines.length;
  if (wrong) step("given", "failed", of(wrong));
  else if (kept) step("given", "ok", kept === 1 ? "The record of your receipt is there, unchanged." : `The records of your ${kept} receipts are there, unchanged.`);
}

async function tellTexts(files, found, log, step) {
  const texts = await checkTexts(files, log.texts);
  for (const { seq, sha256 } of texts.damaged) {
    found.problems.push({ seq, step: "texts", text: `the long text ${sha256} was changed: its bytes have another digest` });
  }
  const others = [texts.missing && `${texts.missing} that records name are not here`, texts.unknown && `${texts.unknown} files are named by no record`];
  const rest = others.filter(Boolean).join("; ");
  if (texts.damaged.length) step("texts", "failed", `${count(texts.damaged.length, "long text")} changed, first that of record ${texts.damaged[0].seq}.`);
  else step("texts", "ok", `${count(texts.kept, "long text")} with the digest that the record names${rest ? `; ${rest}` : ""}.`);
}

function tellReading({ ambiguous, entries, withheld }, step) {
  if (entries === withheld) return;
  if (!ambiguous.length) step("json", "ok", "Every record can be read in one way only: strict JSON, no member twice.");
  else step("json", "noted", `Records that two programs may read differently (a member twice, or no valid JSON): ${ambiguous.slice(0, 10).join(", ")}. Their bytes are as they were written.`);
}

/** Without a log, what was given can only be held against itself. */
function compareWithoutLog(found, receipts, step) {
  for (const [at, one] of found.roots.entries()) {
    const other = found.roots.slice(0, at).find(({ size, origin, root }) => size === one.size && origin === one.origin && !sameRoot({ size, root }, one));
    if (other) found.problems.push({ seq: one.size ? before(one.size) : 0, step: "tree", text: `${other.name} and ${one.name} name different roots for the same ${one.size} records: there are two logs under one name` });
  }
  const fork = found.problems[0];
  if (fork) step("tree", "failed", `${sentence(fork.text)}.`);
  const met = receipts.filter(({ seq }) => found.lines.some((line) => line.seq === seq));
  const changed = met.find(({ seq, hash }) => found.lines.some((line) => line.seq === seq && line.record.hash !== hash));
  if (changed) {
    found.problems.push({ seq: changed.seq, step: "given", text: "the short receipt names another hash than the whole receipt has" });
    step("given", "failed", `Record ${changed.seq}: the short receipt names another hash than the whole receipt has.`);
  } else if (met.length) step("given", "ok", "The short receipt names the very record that the whole receipt holds.");
  if (met.length < receipts.length) step("given", "waiting", "SEQ:HASH only names a record. Add the log, or the whole receipt, to hold it against.");
  found.compared = met.length;
}

function sentence(text) {
  return text[0].toUpperCase() + text.slice(1);
}
