// The verdict: "genuine" needs a key from elsewhere and something that it signed; all else that is right is only "consistent".

import { before, count } from "./numbers.js";

/**
 * {word, ok, entries, head, problems, count, signatures, upTo, newer, remarks, place, log, records}. *word*: "broken", "genuine",
 * "consistent", or "nothing" where nothing could be checked. *upTo*: the last record that is signed.
 */
export function verdictOf(found, given, slice) {
  const { key, log, failed, signed, roots, lines, remarks } = found;
  const problems = [...found.problems, ...failed].slice(0, 100);
  const size = signed.reduce((largest, one) => (one.size > largest ? one.size : largest), 0);
  const end = log?.end ?? size;
  return {
    word: wordOf(problems, key && size > 0 && (!log || size > log.first), Boolean(log) || roots.length > 0),
    ok: problems.length === 0,
    entries: log?.entries ?? 0,
    head: log?.head ?? null,
    problems: problems.map(({ seq, step, text, name }) => ({ seq, step, text, name: name ?? null })),
    count: (log?.count ?? found.problems.length) + failed.length,
    signatures: failed.length ? "failed" : key && roots.length ? "ok" : "not_checked",
    signer: key?.name ?? null,
    upTo: size > 0 ? before(size) : null,
    newer: log && end > size ? end - Number(size) : 0,
    remarks: [...remarks, ...remarksOn(log, slice)],
    place: found.place,
    log: log && summaryOf(log),
    records: lines.map(({ name, seq, line }) => ({ name, seq, line })),
    checkpoints: roots.map(({ name, origin, size: covers }) => ({ name, origin, size: covers })),
    flipped: given.flip,
  };
}

function wordOf(problems, isSigned, isChecked) {
  if (problems.length) return "broken";
  if (isSigned) return "genuine";
  return isChecked ? "consistent" : "nothing";
}

function remarksOn(log, slice) {
  if (!log) return [];
  const remarks = [];
  if (slice?.first) remarks.push(`This is a slice: what records 0 to ${slice.first - 1} say was not given, only what they come to.`);
  if (log.withheld) remarks.push(`${count(log.withheld, "record")} withheld: their number, order and completeness are checked. What they say, who asked and when are not.`);
  const partly = slice?.first || log.withheld ? ", or because a part is not here" : "";
  if (log.open.length) remarks.push(`${count(log.open.length, "question")} without an end, as a crash or a full disk leaves one${partly}: record ${some(log.open)}.`);
  if (log.recovered.length) remarks.push(`${count(log.recovered.length, "torn end")} set aside after a crash: record ${some(log.recovered)}.`);
  return remarks;
}

function some(numbers) {
  return numbers.slice(0, 5).join(", ") + (numbers.length > 5 ? ", …" : "");
}

function summaryOf({ entries, first, withheld, firstTime, lastTime, actions, root, texts }) {
  return { entries, first, withheld, firstTime, lastTime, actions: [...actions].sort((one, other) => other[1] - one[1]), root, longTexts: texts.size };
}
