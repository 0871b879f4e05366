// Judges test vectors of others by the browser verifier's modules. One JSON document on stdin, one on stdout.

import { readFileSync } from "node:fs";
import { encodeUtf8, fromBase64, hex } from "../../../app/web/static/verify/bytes.js";
import { rootFromPath, Tree } from "../../../app/web/static/verify/merkle.js";
import { parseKey, parseNote, verifySignature } from "../../../app/web/static/verify/note.js";
import { readsInOneWay } from "../../../app/web/static/verify/record.js";
import { NOBLE } from "../../../app/web/static/verify/sha256.js";

const { notes, inclusion, texts, leaves } = JSON.parse(readFileSync(0, "utf-8"));

function isRight(work) {
  try {
    return Boolean(work() ?? true);
  } catch {
    return false;
  }
}

function leads({ leafIdx, treeSize, leafHash, root, proof }) {
  const path = (proof ?? []).map(fromBase64);
  if ([...path, fromBase64(leafHash)].some(({ length }) => length !== 32)) return false;
  const found = rootFromPath(leafIdx, treeSize, fromBase64(leafHash), path);
  return found !== null && hex(found) === hex(fromBase64(root));
}

function isSigned({ vkey, text }) {
  const key = parseKey(vkey);
  verifySignature({ ...parseNote(encodeUtf8(text)), origin: key.name }, key);
}

const tree = new Tree();
const roots = [hex(tree.root())];
for (const leaf of leaves) {
  await tree.extend([fromBase64(leaf)], NOBLE);
  roots.push(hex(tree.root()));
}
console.log(JSON.stringify({
  notes: notes.map((one) => isRight(() => isSigned(one))),
  inclusion: inclusion.map((one) => isRight(() => leads(one))),
  texts: texts.map((text) => readsInOneWay(fromBase64(text))),
  roots,
}));
