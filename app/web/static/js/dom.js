// Small helpers. Every text reaches the page as text: nothing here, or that uses it, parses HTML.

export const find = (selector, within = document) => within.querySelector(selector);
export const findAll = (selector, within = document) => [...within.querySelectorAll(selector)];

export function show(element, isShown = true) {
  if (element) element.hidden = !isShown;
}

export function setText(selector, text, within = document) {
  const element = typeof selector === "string" ? find(selector, within) : selector;
  if (element) element.textContent = text ?? "–";
}

export function make(name, { text, className, ...attributes } = {}, ...children) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Tell it to people who cannot see it. */
export const say = (text) => setText("#said", text);

export const number = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en-US"));
export const milliseconds = (value) => (value >= 1000 ? `${(value / 1000).toFixed(1)} s` : `${Math.round(value)} ms`);

export function download(name, parts, type = "text/plain") {
  const url = URL.createObjectURL(new Blob(parts, { type }));
  const link = make("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** What did not work, in a dialog that can only be closed. */
export const told = (title, text) => confirmed(title, text, "Close", { isQuestion: false });

/** Ask before something that cannot be taken back. */
export function confirmed(title, text, yes, { isQuestion = true } = {}) {
  const dialog = find("#confirm-dialog");
  show(find("#confirm-no"), isQuestion);
  find("#confirm-yes").className = isQuestion ? "danger" : "primary";
  setText("#confirm-title", title);
  setText("#confirm-text", text);
  setText("#confirm-yes", yes);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

/** Show secrets once: they are gone from the page when the dialog closes. */
export function showSecrets(title, secrets) {
  const dialog = find("#secret-dialog");
  const list = find("#secret-list");
  setText("#secret-title", title);
  list.replaceChildren(...Object.entries(secrets).map(([name, secret]) => {
    const code = make("code", { text: secret });
    const copy = make("button", { type: "button", className: "secondary", text: "Copy", "aria-label": `Copy: ${name}` });
    copy.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(secret);
        copy.textContent = "Copied";
        say(`${name} is copied.`);
      } catch {
        getSelection().selectAllChildren(code);
        say("Copy the selected text.");
      }
    });
    return make("div", {}, make("dt", { text: name }), make("dd", {}, code, copy));
  }));
  dialog.addEventListener("close", () => list.replaceChildren(), { once: true });
  dialog.showModal();
}
