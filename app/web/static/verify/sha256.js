// SHA-256 of many messages: by @noble/hashes, or by the browser's own WebCrypto where that is there and faster.

import { sha256 } from "../vendor/noble/hashes-2.4.0/sha2.js";

export { sha256 };

/** A way to hash: `all(messages)` gives their digests, at once or as a promise. */
export const NOBLE = { name: "@noble/hashes", all: (messages) => messages.map((message) => sha256(message)) };

/** Browsers have WebCrypto on https and localhost; on a file from disk some have it, and some have not. */
export const WEBCRYPTO = globalThis.crypto?.subtle && {
  name: "WebCrypto",
  all: (messages) => Promise.all(messages.map(async (message) => new Uint8Array(await crypto.subtle.digest("SHA-256", message)))),
};

const SAMPLE = Array.from({ length: 512 }, (_, number) => new Uint8Array(512).fill(number));

/** The faster way for records, measured now: its name, and microseconds a record of either way (null: it is not there). */
export async function fastest() {
  const noble = await microseconds(NOBLE);
  const webcrypto = WEBCRYPTO ? await microseconds(WEBCRYPTO) : null;
  const hasher = webcrypto !== null && webcrypto < noble ? WEBCRYPTO : NOBLE;
  return { hasher, noble, webcrypto };
}

/** The best of four runs, after four to warm up: a browser translates what runs often. */
async function microseconds(hasher) {
  let best = Infinity;
  for (let run = 0; run < 8; run++) {
    const started = performance.now();
    await hasher.all(SAMPLE);
    if (run > 3) best = Math.min(best, performance.now() - started);
  }
  return (best * 1000) / SAMPLE.length;
}
