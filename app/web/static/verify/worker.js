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
  return measured.hasher;
}

addEventListener("message", async ({ data: { id, given } }) => {
  const tell = (message) => postMessage({ id, ...message });
  try {
    tell({ type: "done", verdict: await verify(given, tell, await ready) });
  } catch (error) {
    if (!(error instanceof Unproven || error instanceof DOMException)) throw error;
    tell({ type: "cannot", text: error.message }); // a wrong key, or a file that cannot be read
  }
});
