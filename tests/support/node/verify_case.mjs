// A case as Python writes it, and a verdict as Python reads it. Runs in node and in the browser.

const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const file = ({ name, data }) => ({ name, data: bytes(data) });

export function given({ key, log, slice, checkpoints, receipts, short, texts }) {
  return {
    key,
    log: log === null ? null : new Blob([bytes(log)]),
    slice: slice ? file(slice) : null,
    checkpoints: checkpoints.map(file),
    receipts: receipts.map(file),
    short,
    texts: (texts ?? []).map(({ name, data }) => ({ name, file: new Blob([bytes(data)]) })),
    flip: null,
  };
}

/** Numbers past 2^53 are BigInts, which JSON has not: all become text. */
export function outcome({ word, ok, entries, head, problems, signatures, records, upTo, log }) {
  return {
    ...{ word, ok, entries, signatures },
    head: head && { seq: String(head.seq), hash: head.hash },
    problems: problems.map(({ seq, step, text }) => ({ seq: seq === null ? null : String(seq), step, text })),
    records: records.map(({ seq, line }) => ({ seq: String(seq), line: String.fromCharCode(...line) })),
    upTo: upTo === null ? null : String(upTo),
    withheld: log?.withheld ?? 0,
  };
}
