// The verifier as a worker, so that the page stays quick while it reads a long log. It gets {id, given} and posts what it finds.

import { Unproven } from "./bytes.js";
import { computesRightly } from "./selftest.js";
import { fastest } from "./sha256.js";
import { verify } from "./verify.js";

const ready = prepare();

async function prepare() {
  const measured = await fastest();
  const works = await computesRightly(measured.hasher);
  postMessage({ type: "ready", works, name: measured.hasher.name, noble: measured.noble, webcrypto: measured.webcrypto });
  return works ? measured.hasher : null;
}

addEventListener("message", async ({ data: { id, given } }) => {
  const tell = (message) => postMessage({ id, ...message });
  try {
    const hasher = await ready;
    if (!hasher) throw new Unproven("this browser computes wrongly: use another one");
    tell({ type: "done", verdict: await verify(given, tell, hasher) });
  } catch (error) {
    const isKnown = error instanceof Unproven || error instanceof DOMException; // a wrong key, or a file that cannot be read
    tell({ type: "cannot", text: isKnown ? error.message : `the verifier itself failed, which says nothing of what you gave: ${error}` });
    if (!isKnown) throw error;
  }
});
