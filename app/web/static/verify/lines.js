// The lines of a file, a batch at a time, so that a log of any length fits into memory.

import { concat } from "./bytes.js";
import { MAX_LINE } from "./record.js";

const PIECE = 4 << 20;
const MOST = 64 * MAX_LINE; // of a longer line only the beginning is given, without a newline
const NOTHING = new Uint8Array(0);

/**
 * Yields {lines, start, read}: lines with their newlines (the last of a file may lack it), the offset of the first, and
 * the bytes read so far. *flip*, {at, bit}: the bit to turn as the byte at that offset is read; the file stays as it is.
 */
export async function* batches(file, flip = null) {
  let [rest, start, givenUp] = [NOTHING, 0, false];
  for (let at = 0; at < file.size; at += PIECE) {
    const piece = await readPiece(file, at, Math.min(at + PIECE, file.size), flip);
    let data = piece;
    if (givenUp) {
      const newline = data.indexOf(10);
      givenUp = newline < 0;
      data = givenUp ? NOTHING : data.subarray(newline + 1);
      start = at + (givenUp ? piece.length : newline + 1);
    }
    if (rest.length) data = concat(rest, data);
    const { lines, end } = split(data);
    yield { lines, start, read: at + piece.length };
    [rest, start] = [data.subarray(end), start + end];
    if (rest.length > MOST) {
      yield { lines: [rest], start, read: at + piece.length };
      [rest, start, givenUp] = [NOTHING, start + rest.length, true];
    }
  }
  if (rest.length) yield { lines: [rest], start, read: file.size };
}

async function readPiece(file, from, to, flip) {
  const piece = new Uint8Array(await file.slice(from, to).arrayBuffer());
  if (flip && from <= flip.at && flip.at < to) piece[flip.at - from] ^= 1 << flip.bit;
  return piece;
}

function split(data) {
  const lines = [];
  let end = 0;
  for (let newline = data.indexOf(10); newline >= 0; newline = data.indexOf(10, end)) {
    lines.push(data.subarray(end, newline + 1));
    end = newline + 1;
  }
  return { lines, end };
}
