// The Merkle tree over the lines of a log (RFC 6962): its root, and what an inclusion proof leads to.

import { concat } from "./bytes.js";
import { sha256 } from "./sha256.js";

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

/** What is hashed for the leaf of a line (without its newline). */
export function leafMessage(line) {
  return concat(LEAF, line);
}

export function leafHash(line) {
  return sha256(leafMessage(line));
}

export function nodeHash(left, right) {
  return sha256(concat(NODE, left, right));
}

/** A tree as it grows: the hashes of its whole subtrees, one for each bit of its size that is set. */
export class Tree {
  /** *peaks*: those of a tree of *size* leaves, from left to right. */
  constructor(size = 0, peaks = []) {
    this.size = size;
    this.peaks = []; // by level; undefined where the size has no such bit
    const rest = [...peaks].reverse();
    for (let level = 0, bits = size; bits > 0; level++, bits = Math.floor(bits / 2)) {
      this.peaks.push(bits % 2 ? rest.shift() : undefined);
    }
  }

  /** How many peaks a tree of *size* leaves has. */
  static peaksOf(size) {
    return size.toString(2).replaceAll("0", "").length;
  }

  /** Add *leaves*, level by level, so that each level is hashed at once by *hasher*. */
  async extend(leaves, hasher) {
    let row = [...leaves];
    this.size += row.length;
    for (let level = 0; row.length; level++) {
      const peak = this.peaks[level];
      if (peak) row.unshift(peak);
      this.peaks[level] = row.length % 2 ? row.pop() : undefined;
      const pairs = [];
      for (let at = 0; at < row.length; at += 2) pairs.push(concat(NODE, row[at], row[at + 1]));
      row = await hasher.all(pairs);
    }
  }

  root() {
    const [last, ...others] = this.peaks.filter(Boolean);
    return last ? others.reduce((right, left) => nodeHash(left, right), last) : sha256(new Uint8Array(0));
  }
}

/** The root to which *path* leads from the leaf *node*, number *index* of *size* (RFC 9162, section 2.1.3.2); null: to none. */
export function rootFromPath(index, size, node, path) {
  let [at, last] = [BigInt(index), BigInt(size) - 1n];
  if (at > last) return null;
  for (const sibling of path) {
    if (last === 0n) return null;
    while (!(at & 1n) && at === last) [at, last] = [at >> 1n, last >> 1n]; // no sibling on this level
    node = at & 1n ? nodeHash(sibling, node) : nodeHash(node, sibling);
    [at, last] = [at >> 1n, last >> 1n];
  }
  return last === 0n ? node : null;
}
