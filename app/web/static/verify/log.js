// A log, or a slice of one, read once: bytes, links, the tree at the size of each checkpoint, and the records that are looked for.

import { equal, hex } from "./bytes.js";
import { batches } from "./lines.js";
import { leafMessage, Tree } from "./merkle.js";
import { before, next } from "./numbers.js";
import { hashedPart, parseLine, problemOf, readsInOneWay, withheldLeaf } from "./record.js";
import { WHOLE } from "./slice.js";
import { digestsIn } from "./texts.js";

export const MAX_PROBLEMS = 100;
const ENDS = new Set(["ask.answered", "ask.failed", "ask.refused"]);

/** Checks lines in their order; then `finish` says what was found. */
class LogCheck {
  /** *wanted*: {receipts: [{seq, hash}], roots: [{size, root, name}], lines: [{seq, line, name}]}. */
  constructor({ slice = null, receipts = [], roots = [], lines = [] }, hasher) {
    const { first, prevHash, peaks } = slice ?? WHOLE;
    Object.assign(this, { hasher, first, prevHash, isSlice: slice !== null, seq: before(first), wantedLines: lines });
    this.tree = new Tree(first, peaks);
    this.missing = new Map(receipts.map((receipt) => [`${receipt.seq}:${receipt.hash}`, receipt]));
    this.sizes = new Set(roots.map(({ size }) => size));
    this.unmet = roots;
    Object.assign(this, { entries: 0, problems: [], count: 0, head: null, place: null, withheld: 0 });
    Object.assign(this, { open: new Set(), recovered: [], actions: new Map(), ambiguous: [], firstTime: null, lastTime: null });
    this.texts = new Map(); // the SHA-256 of each long text, and the first record that names it
    this.compareRoots();
  }

  /** The next *lines*, the first of which stands at the offset *start*. */
  async feed(lines, start) {
    const withheld = this.isSlice ? lines.map(withheldLeaf) : [];
    const records = lines.map((line, at) => (withheld[at] ? null : parseLine(line)));
    const hashed = lines.filter((_, at) => records[at]);
    const digests = await this.hasher.all(hashed.map(hashedPart));
    let digest = 0;
    for (let at = 0; at < lines.length; at++) {
      if (withheld[at]) this.skip();
      else this.take(lines[at], records[at], records[at] && digests[digest++], start);
      start += lines[at].length;
    }
    const shown = lines.filter((_, at) => !withheld[at]);
    const leaves = await this.hasher.all(shown.map((line) => leafMessage(line.at(-1) === 10 ? line.subarray(0, -1) : line)));
    const all = this.isSlice ? lines.map((_, at) => withheld[at] ?? leaves.shift()) : leaves;
    await this.grow(all);
  }

  skip() {
    [this.seq, this.prevHash] = [next(this.seq), null];
    this.withheld++;
    this.entries++;
  }

  take(line, record, digest, offset) {
    const expected = next(this.seq);
    const problem = problemOf(line, record, digest, expected, this.prevHash);
    if (problem) this.report({ seq: expected, ...problem }, { offset, length: line.length });
    this.lookFor(line);
    this.entries++;
    [this.seq, this.prevHash] = record ? [record.seq, record.hash] : [expected, null];
    if (record) this.note(line, record);
  }

  lookFor(line) {
    if (!this.wantedLines.length) return;
    const seq = this.first + this.entries;
    this.wantedLines = this.wantedLines.filter((one) => one.seq !== seq || !equal(one.line, line.subarray(0, -1)));
  }

  /** What a record says of others, and of the log as a whole. */
  note(line, record) {
    this.head = { seq: record.seq, hash: record.hash };
    this.missing.delete(`${record.seq}:${record.hash}`);
    if (record.action === "ask.received") this.open.add(record.seq);
    else if (record.received !== null && ENDS.has(record.action)) this.open.delete(record.received);
    else if (record.action === "log.recovered") this.recovered.push(record.seq);
    this.actions.set(record.action, (this.actions.get(record.action) ?? 0) + 1);
    this.firstTime ??= record.timestamp;
    this.lastTime = record.timestamp;
    if (!readsInOneWay(line) && this.ambiguous.push(record.seq) > MAX_PROBLEMS) this.ambiguous.pop();
    for (const sha256 of digestsIn(line)) if (!this.texts.has(sha256)) this.texts.set(sha256, record.seq);
  }

  report(problem, place) {
    this.count++;
    if (this.problems.length < MAX_PROBLEMS) this.problems.push(problem);
    this.place ??= { ...place, seq: problem.seq };
  }

  /** Add leaves to the tree, with a stop at the size of each checkpoint. */
  async grow(leaves) {
    while (leaves.length) {
      let count = leaves.length;
      for (const size of this.sizes) if (size > this.tree.size) count = Math.min(count, Number(size) - this.tree.size); // beyond 2^53 a BigInt, and far away
      await this.tree.extend(leaves.slice(0, count), this.hasher);
      leaves = leaves.slice(count);
      this.compareRoots();
    }
  }

  compareRoots() {
    if (!this.sizes.has(this.tree.size)) return;
    const root = this.tree.root();
    this.unmet = this.unmet.filter((one) => one.size !== this.tree.size || !equal(one.root, root));
  }

  finish() {
    if (!this.entries && !this.isSlice) {
      this.report({ seq: 0, step: "bytes", text: "the log is empty: not even its first record, log.opened, is there" }, null);
    }
    const end = this.first + this.entries;
    const others = [
      ...[...this.missing.values()].sort((one, other) => Number(one.seq) - Number(other.seq)).map(missingReceipt),
      ...this.wantedLines.map(({ seq, name }) => ({ seq, step: "given", text: `the log does not have the record of ${name}` })),
      ...this.unmet.map((one) => unmetRoot(one, end)),
    ];
    const { entries, first, head, place, withheld, recovered, actions, ambiguous, firstTime, lastTime, texts } = this;
    return {
      ...{ entries, first, end, head, place, withheld, recovered, actions, ambiguous, firstTime, lastTime, texts },
      open: [...this.open],
      root: hex(this.tree.root()),
      problems: [...this.problems, ...others].slice(0, MAX_PROBLEMS),
      count: this.count + others.length,
      unmet: this.unmet,
    };
  }
}

function missingReceipt({ seq }) {
  return { seq, step: "given", text: "the log does not have the record that a receipt names" };
}

function unmetRoot({ size, name }, end) {
  const text =
    size > end
      ? `the log ends before record ${end}, and ${name} covers ${size} records: the end was cut off, or this copy is older`
      : `the first ${size} records are not those that ${name} covers: they were rewritten`;
  return { seq: size > 0 ? before(size) : 0, step: "tree", text };
}

/** Read *file* (a Blob) and check it. *progress* is called with the bytes and lines read so far. */
export async function checkLog(file, wanted, hasher, { flip = null, progress = () => {} } = {}) {
  const check = new LogCheck(wanted, hasher);
  for await (const { lines, start, read } of batches(file, flip)) {
    await check.feed(lines, start);
    progress({ read, lines: check.entries, problems: check.problems });
  }
  return check.finish();
}
