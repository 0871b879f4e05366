// The verifier as a page of the console. It runs as it does from a disk: this hands it a file, and nothing else.

import { find } from "./dom.js";

let kept = null;
let handed = null;
let visits = 0;

/** The next visit of the page begins with *file*. */
export function handOver(file) {
  handed = file;
  if (location.hash === "#verify") dispatchEvent(new Event("hashchange"));
  else location.hash = "verify";
}

/** What it was given stays while other pages are shown: it may be in the midst of a long log. */
export async function start(root) {
  if (kept) root.replaceWith(kept);
  else {
    kept = root;
    visits += 1;
    await import(`../verify/page.js?visit=${visits}`); // it looks for its elements when it is loaded
  }
  if (handed) give(handed);
  handed = null;
  return () => find("#kept").append(kept);
}

export function forget() {
  kept = null;
  handed = null;
  find("#kept").replaceChildren();
}

function give(file) {
  const files = new DataTransfer();
  files.items.add(file);
  const input = find("#v-files", kept);
  input.files = files.files;
  input.dispatchEvent(new Event("change"));
}
