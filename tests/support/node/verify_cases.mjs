// Runs the browser verifier's own modules on cases, one JSON document a line on stdin; a verdict a line on stdout.
// node verify_cases.mjs [webcrypto]

import { createInterface } from "node:readline";
import { NOBLE, WEBCRYPTO } from "../../../app/web/static/verify/sha256.js";
import { verify } from "../../../app/web/static/verify/verify.js";
import { given, outcome } from "./verify_case.mjs";

const hasher = process.argv[2] === "webcrypto" ? WEBCRYPTO : NOBLE;
for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(outcome(await verify(given(JSON.parse(line)), () => {}, hasher))));
}
