// Known answers of the standards, so that a browser that computes wrongly says so instead of giving a verdict.

import { encodeUtf8, fromHex, hex } from "./bytes.js";
import { verifies } from "./ed25519.js";
import { sha256 } from "./sha256.js";

const ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; // FIPS 180-4
// RFC 8032, section 7.1, test 2
const PUBLIC_KEY = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
const SIGNATURE =
  "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

/** *hasher*: the way to hash that will be used. */
export async function computesRightly(hasher) {
  const [digest] = await hasher.all([encodeUtf8("abc")]);
  const [key, signature] = [fromHex(PUBLIC_KEY), fromHex(SIGNATURE)];
  return (
    hex(digest) === ABC &&
    hex(sha256(encodeUtf8("abc"))) === ABC &&
    verifies(key, Uint8Array.of(0x72), signature) &&
    !verifies(key, Uint8Array.of(0x73), signature)
  );
}
