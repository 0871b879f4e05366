// The verdict in words: what it says, and what it does not.

import { next } from "./numbers.js";
import { number } from "./text.js";

const TRUST = "This is worth as much as the key: it must have come to you by another way than from those who run the log.";

/** {word, title, lines} of a verdict. *host*: the server that gave this page, or null for a file from disk. */
export function inWords(verdict, host) {
  const { word } = verdict;
  const made = { broken, genuine, consistent, nothing }[word](verdict);
  const warning = host && word !== "nothing" ? [`This page came from ${host}. Against that server it proves nothing.`] : [];
  const remarks = word === "broken" ? [] : verdict.remarks; // of a broken log, only the place is certain
  return { word, title: made.title, lines: [...made.lines, ...remarks, ...warning] };
}

function broken({ problems, count, log }) {
  const [first] = problems;
  const where = first.seq === null ? "" : `Record ${first.seq}: `;
  const more = log && count > 1 ? [`${number(count - 1)} more ${count === 2 ? "problem follows" : "problems follow"}; the first is the place where it went wrong.`] : [];
  return { title: "Broken", lines: [`${where}${first.text}.`, ...more] };
}

function genuine(verdict) {
  const { log, upTo, newer, signer, records } = verdict;
  if (!log) {
    const what = records.length ? recordsOf(records, signer) : `${signer} signed this checkpoint over ${number(next(upTo))} records.`;
    return { title: "Genuine", lines: [what, TRUST] };
  }
  const covered = log.first ? `Records ${number(log.first)} to ${number(upTo)}` : `All records up to ${number(upTo)}`;
  const lines = [`${covered} are those that ${signer} signed: none was changed, added or taken out.`];
  if (newer) lines.push(`${number(newer)} newer ${newer === 1 ? "record follows" : "records follow"} in the chain, and no checkpoint here covers ${newer === 1 ? "it" : "them"} yet.`);
  return { title: "Genuine", lines: [...lines, TRUST] };
}

function recordsOf(records, signer) {
  if (records.length > 1) return `These ${records.length} records are in the log that ${signer} signed, each at its place and unchanged.`;
  return `Record ${records[0].seq} is in the log that ${signer} signed, at its place and unchanged.`;
}

function consistent({ signer, log, checkpoints }) {
  const why = !signer
    ? "no verifier key was given, and anyone can write something consistent"
    : checkpoints.length
      ? "the signed checkpoint covers none of these records"
      : "nothing that the key signed was given: add a checkpoint or a receipt that you kept";
  const lines = ["Nothing here contradicts itself.", `Who made it is not shown: ${why}.`];
  if (log && !checkpoints.length) lines.push("Without a checkpoint or receipt, a log whose end was cut off, or that was rewritten as a whole, looks the same.");
  return { title: "Consistent", lines };
}

function nothing() {
  return { title: "Nothing to check yet", lines: ["SEQ:HASH names a record. Add the log, or the whole receipt, to hold it against."] };
}
