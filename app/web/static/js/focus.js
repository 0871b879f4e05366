// Keyboard focus stays where it was when a part of the page is replaced, and goes back when a dialog closes.

import { find } from "./dom.js";

let last = null; // what had the focus, outside of dialogs

document.addEventListener("focusin", ({ target }) => { if (!target.closest("dialog")) last = target; });
document.addEventListener("close", () => queueMicrotask(keepFocus), true);
document.body.addEventListener("htmx:afterSettle", keepFocus);

/** Where nothing has the focus: that which had it, or what stands in its place by the same id. */
export function keepFocus() {
  const { activeElement } = document;
  if (last === null || (activeElement && activeElement !== document.body) || find("dialog[open]")) return;
  const place = last.isConnected ? last : document.getElementById(last.id) ?? find("#page");
  place.focus({ preventScroll: true });
}

/** From now on nothing that had the focus before counts. */
export function forgetFocus() {
  last = null;
}
