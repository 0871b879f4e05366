// Ed25519 signatures, verified as RFC 8032 (section 5.1.7) has it, without the cofactor: s B - k A must be R, byte for byte.

import { hashes, Point } from "../vendor/noble/ed25519-3.2.0/index.js";
import { sha512 } from "../vendor/noble/hashes-2.4.0/sha2.js";
import { concat, equal } from "./bytes.js";

hashes.sha512 = sha512;
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

/** By the curve of @noble/ed25519. Its own `verify` multiplies by the cofactor, which the other verifiers of a log do not. */
export function verifies(publicKey, message, signature) {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  const [r, s] = [signature.subarray(0, 32), number(signature.subarray(32))];
  if (s >= ORDER) return false;
  let key;
  try {
    key = Point.fromBytes(publicKey);
  } catch {
    return false; // not a point of the curve
  }
  const k = number(sha512(concat(r, publicKey, message))) % ORDER;
  return equal(times(Point.BASE, s).add(times(key, k).negate()).toBytes(), r);
}

function times(point, factor) {
  return factor === 0n ? Point.ZERO : point.multiply(factor, false);
}

/** Little-endian. */
function number(bytes) {
  return [...bytes].reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}
