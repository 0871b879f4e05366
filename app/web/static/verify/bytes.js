// Bytes as text, hex and base64, each strict: what has a second spelling is refused.

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** Why a key, checkpoint, proof or record proves nothing: a sentence for people. */
export class Unproven extends Error {}

export function encodeUtf8(text) {
  return new TextEncoder().encode(text);
}

/** Throws Unproven for anything but UTF-8. */
export function decodeUtf8(bytes) {
  try {
    return UTF8.decode(bytes);
  } catch {
    throw new Unproven("it is not text in UTF-8");
  }
}

/** Each byte as the character of its number, so that patterns and positions are those of the bytes. */
export function latin1(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) {
    text += String.fromCharCode.apply(null, bytes.subarray(at, at + 8192));
  }
  return text;
}

export function hex(bytes) {
  let text = "";
  for (const byte of bytes) text += HEX[byte];
  return text;
}

/** *digits* must be an even number of hex digits. */
export function fromHex(digits) {
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

export function base64(bytes) {
  return btoa(latin1(bytes));
}

/** Standard alphabet, with padding (RFC 4648, section 4). Throws Unproven for any other spelling. */
export function fromBase64(text) {
  let decoded;
  try {
    decoded = atob(text);
  } catch {
    throw new Unproven("a part of it is not base64");
  }
  if (btoa(decoded) !== text) throw new Unproven("a part of it is not canonical base64");
  return Uint8Array.from(decoded, (character) => character.charCodeAt(0));
}

export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function equal(one, other) {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}
