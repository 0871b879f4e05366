// Long texts: of a text that does not fit into a record, the record holds the digest; the text may be kept beside the log.

import { hex, latin1 } from "./bytes.js";
import { NOBLE, WEBCRYPTO } from "./sha256.js";

const DIGEST = /\{"sha256":"([0-9a-f]{64})","bytes":[0-9]{1,19}\}/g;
const MARK = [..."{\"sha256\":\""].map((character) => character.charCodeAt(0));

/** The SHA-256 of each long text that a line names, in hex. */
export function digestsIn(line) {
  return holdsMark(line) ? Array.from(latin1(line).matchAll(DIGEST), ([, sha256]) => sha256) : [];
}

/** Few lines hold a digest: look for it byte by byte, before a line becomes text. */
function holdsMark(line) {
  for (let at = line.indexOf(MARK[0], 1); at >= 0; at = line.indexOf(MARK[0], at + 1)) {
    if (MARK.every((byte, offset) => line[at + offset] === byte)) return true;
  }
  return false;
}

/** Of *files*, {name, file} with the digest as the name: how many are right, which are not, how many are missing or unknown. */
export async function checkTexts(files, named) {
  const hasher = WEBCRYPTO ?? NOBLE; // these are long: the browser's own is faster
  const result = { kept: 0, damaged: [], missing: 0, unknown: 0 };
  const given = new Map(files.map(({ name, file }) => [name, file]));
  for (const [sha256, seq] of named) {
    const file = given.get(sha256);
    if (!file) {
      result.missing++;
      continue;
    }
    const [digest] = await hasher.all([new Uint8Array(await file.arrayBuffer())]);
    if (hex(digest) === sha256) result.kept++;
    else result.damaged.push({ seq, sha256 });
  }
  result.unknown = [...given.keys()].filter((name) => !named.has(name)).length;
  return result;
}
