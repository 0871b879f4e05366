// The verifier as a page of the console. It runs as it does from a disk: this hands it a file, and nothing else.

import { openVerifier } from "../verify/desk.js";
import { find } from "./dom.js";

let kept = null;
let desk = null;
let handed = null;

/** The next visit of the page begins with *file*. */
export function handOver(file) {
  handed = file;
  if (location.hash === "#verify") dispatchEvent(new Event("hashchange"));
  else location.hash = "verify";
}

/** What it was given stays while other pages are shown: it may be in the midst of a long log. */
export function start(root) {
  if (kept) root.replaceWith(kept);
  else {
    kept = root;
    desk = openVerifier();
  }
  if (handed) desk.take([handed]);
  handed = null;
  return () => find("#kept").append(kept);
}

export function forget() {
  desk?.close();
  kept = null;
  desk = null;
  handed = null;
  find("#kept").replaceChildren();
}
