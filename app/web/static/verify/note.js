// Verifier keys, signed notes and checkpoints: C2SP signed-note and tlog-checkpoint.

import { base64, concat, decodeUtf8, encodeUtf8, equal, fromBase64, hex, Unproven } from "./bytes.js";
import { verifies } from "./ed25519.js";
import { parseNumber } from "./numbers.js";
import { sha256 } from "./sha256.js";

export const MAX_NOTE_BYTES = 64 * 1024;
const MAX_SIGNATURES = 64;
const ED25519 = 1;
const CONTROL = /[\u0000-\u0009\u000b-\u001f]/;
const NOT_IN_A_NAME = /[\u0000-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000+]/;

/** `name+<hex of the key's id>+<base64 of 0x01 and the key>` as {name, id, publicKey}. Throws Unproven. */
export function parseKey(text) {
  const spelled = text.trim();
  if (spelled.startsWith("PRIVATE+KEY+")) {
    throw new Unproven("this is the log's private key: it belongs to the service alone. Use its verifier key, log.vkey");
  }
  const [name, , ...encoded] = spelled.split("+");
  const data = fromBase64(encoded.join("+"));
  if (isName(name) && data.length === 33 && data[0] === ED25519) {
    const key = { name, id: keyId(name, data), publicKey: data.slice(1), text: spelled };
    if (spelled === `${name}+${hex(key.id)}+${base64(data)}`) return key;
  }
  throw new Unproven("this is not an Ed25519 verifier key in the form name+hash+key (C2SP signed-note)");
}

function keyId(name, data) {
  return sha256(concat(encodeUtf8(`${name}\n`), data)).slice(0, 4);
}

function isName(name) {
  return name !== "" && !NOT_IN_A_NAME.test(name);
}

/** {text, signatures} of a note, unverified. Throws Unproven. */
export function parseNote(bytes) {
  if (bytes.length > MAX_NOTE_BYTES) throw new Unproven(`it is longer than ${MAX_NOTE_BYTES} bytes`);
  const whole = decodeUtf8(bytes);
  if (CONTROL.test(whole)) throw new Unproven("it holds a control character");
  const blank = whole.lastIndexOf("\n\n");
  if (blank < 0 || !whole.endsWith("\n") || whole.length < blank + 3) {
    throw new Unproven("it is not a signed note: there is no blank line with signature lines after it");
  }
  const lines = whole.slice(blank + 2, -1).split("\n");
  if (lines.length > MAX_SIGNATURES) throw new Unproven(`it has more than ${MAX_SIGNATURES} signatures`);
  return { text: whole.slice(0, blank + 1), signatures: lines.map(parseSignature) };
}

function parseSignature(line) {
  const [, name, encoded] = /^— ([^ ]*) (.*)$/s.exec(line) ?? [];
  if (name === undefined || !isName(name)) throw new Unproven("a signature line is not: dash, space, key name, space, base64");
  const data = fromBase64(encoded);
  if (data.length < 5) throw new Unproven("a signature is too short");
  return { name, id: data.slice(0, 4), signature: data.slice(4) };
}

/** {origin, size, root} of a checkpoint; who signed it is not checked. Throws Unproven. */
export function parseCheckpoint(bytes) {
  const { text, signatures } = parseNote(bytes);
  const [origin, size, root, ...others] = text.slice(0, -1).split("\n");
  if (root === undefined || !origin) throw new Unproven("it is not a checkpoint: a signed note of at least three lines");
  const checkpoint = { origin, size: parseNumber(size), root: fromBase64(root), text, signatures };
  if (checkpoint.size === null) throw new Unproven("its size is not a number, or it is too large");
  if (checkpoint.root.length !== 32 || others.includes("")) {
    throw new Unproven("its root does not have 32 bytes, or one of its lines is empty");
  }
  return checkpoint;
}

/** Throws Unproven unless *key* signed the checkpoint, for the log of the key's name. Signatures of others are ignored. */
export function verifySignature(checkpoint, key) {
  let signed = false;
  for (const { name, id, signature } of checkpoint.signatures) {
    if (name !== key.name || !equal(id, key.id)) continue;
    if (!verifies(key.publicKey, encodeUtf8(checkpoint.text), signature)) {
      throw new Unproven(`the signature of ${key.name} is wrong: this is not what that key signed`);
    }
    signed = true;
  }
  if (!signed) throw new Unproven("it is not signed by the key that you gave");
  if (checkpoint.origin !== key.name) throw new Unproven("it is of another log: its origin is not the name of the key");
}
