// The frame of the console: sign in, choose a page, sign out.

import { find, findAll, say, setText, show } from "./dom.js";
import { forgetFocus } from "./focus.js";
import { authorization, end, endRefused, session, signIn, signOut, whenEnded } from "./session.js";
import { closeRecord } from "./record.js";
import { forget } from "./verify.js";

const MODULES = { playground: "./playground.js", records: "./records.js", usage: "./usage.js", operations: "./operations.js", verify: "./verify.js" };
let leave = () => {};
let visits = 0;

// --- sign in and out -------------------------------------------------------------------------------

const form = find("#sign-in-form");

form.addEventListener("change", () => {
  const how = new FormData(form).get("how");
  for (const fields of findAll("[data-how]", form)) show(fields, fields.dataset.how === how);
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const given = Object.fromEntries(new FormData(form));
  const button = find("button[type=submit]", form);
  const problem = find("#sign-in-problem");
  show(problem, false);
  button.disabled = true;
  try {
    const isKey = given.how === "key";
    if (isKey ? !given["api-key"] : !given["client-id"] || !given["client-secret"]) throw new Error(isKey ? "Enter your API key." : "Enter your client id and your secret.");
    if (isKey && !/^[\x21-\x7e]+$/.test(given["api-key"].trim())) throw new Error("This is no API key: a space or a letter is in it that keys do not have. Copy it again.");
    await signIn(isKey ? { key: given["api-key"].trim() } : { clientId: given["client-id"].trim(), secret: given["client-secret"].trim() });
    form.reset();
    form.dispatchEvent(new Event("change"));
    enter();
  } catch (error) {
    problem.textContent = error.message;
    show(problem);
    for (const secret of findAll("input[type=password]", form)) secret.value = "";
  } finally {
    button.disabled = false;
  }
});

find("#sign-out").addEventListener("click", signOut);

function enter() {
  const { user_id: name, pages } = session();
  setText("#who", name);
  for (const link of findAll("#nav a")) show(link, pages.includes(link.dataset.page));
  show(find("#sign-in"), false);
  show(find("#sign-in-notice"), false);
  show(find("#console"));
  go();
}

whenEnded((why) => {
  leave();
  leave = () => {};
  visits += 1;
  forget();
  forgetFocus();
  for (const dialog of findAll("dialog[open]")) dialog.close();
  closeRecord();
  find("#secret-list").replaceChildren();
  find("#page").replaceChildren();
  setText("#who", "");
  show(find("#console"), false);
  setText("#sign-in-notice", why);
  show(find("#sign-in-notice"));
  show(find("#sign-in"));
  find("#client-id").focus();
});

addEventListener("pageshow", (event) => { if (event.persisted) end("You are signed out."); });

// --- pages -------------------------------------------------------------------------------------------

function go() {
  if (!session()) return;
  const { pages } = session();
  const wanted = location.hash.slice(1);
  const page = pages.includes(wanted) ? wanted : pages[0];
  for (const link of findAll("#nav a")) {
    if (link.dataset.page === page) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  find('#nav [aria-current="page"]')?.scrollIntoView({ block: "nearest", inline: "nearest" });
  leave();
  leave = () => {};
  visits += 1;
  htmx.ajax("GET", `console/parts/${page}`, { target: "#page", swap: "innerHTML" }).catch(() => {}); // the events below tell
}

addEventListener("hashchange", () => { go(); find("#page").focus({ preventScroll: true }); scrollTo(0, 0); });

document.body.addEventListener("htmx:configRequest", ({ detail }) => {
  Object.assign(detail.headers, authorization());
  for (const [name, value] of [...detail.formData.entries()]) if (value === "") detail.formData.delete(name);
});

/** What was asked for in the name of somebody who has signed out meanwhile is not shown to anyone. */
document.body.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (!session() || detail.requestConfig.headers.Authorization !== authorization().Authorization) detail.shouldSwap = false;
});

document.body.addEventListener("htmx:afterSwap", async ({ detail }) => {
  if (detail.target.id !== "page") return;
  const root = find("[data-module]", detail.target);
  setText(document.querySelector("title"), `${find("h1", detail.target)?.textContent ?? "Console"} · Secure AI Assistant`);
  say(`${find("h1", detail.target)?.textContent ?? "The page"} is shown.`);
  if (!root) return;
  const visit = visits;
  let page;
  try {
    page = await import(MODULES[root.dataset.module]);
  } catch {
    return failed({ target: detail.target, elt: document.body }, 0, { detail: "A part of this page did not come. Reload it, and sign in again." });
  }
  if (visit !== visits) return; // another page was chosen meanwhile
  const left = (await page.start(root)) ?? (() => {});
  if (visit === visits) leave = left;
  else left();
});

// --- what goes wrong ---------------------------------------------------------------------------------

const TITLES = { 0: "The service cannot be reached", 403: "Not for your roles", 429: "Too many requests", 503: "Not now" };

document.body.addEventListener("htmx:responseError", ({ detail }) => failed(detail, detail.xhr.status, parsed(detail.xhr.responseText)));
document.body.addEventListener("htmx:sendError", ({ detail }) => failed(detail, 0, { detail: "Is it running, and is the network there?" }));
document.body.addEventListener("htmx:timeout", ({ detail }) => failed(detail, 0, { detail: "It has not answered in time. Is it running, and is the network there?" }));

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

function failed(detail, status, body) {
  if (!session()) return undefined;
  if (status === 401) return endRefused();
  const copy = find("#problem-template").content.cloneNode(true);
  setText("h2", TITLES[status] ?? "That did not work", copy);
  setText("p", body.detail ?? "The service did not answer as expected.", copy);
  setText(".fine", body.request_id ? `Request ${body.request_id}` : "", copy);
  const source = detail.elt;
  find("[data-retry]", copy).addEventListener("click", () => (source === document.body ? go() : htmx.trigger(source, "again")));
  detail.target.replaceChildren(copy);
  say(TITLES[status] ?? "That did not work.");
}

// --- dark and light ----------------------------------------------------------------------------------

const root = document.documentElement;
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const setTheme = (isDark) => { root.dataset.theme = isDark ? "dark" : "light"; dispatchEvent(new Event("themechange")); };
setTheme(prefersDark.matches);
prefersDark.addEventListener("change", ({ matches }) => setTheme(matches));
find("#theme").addEventListener("click", () => setTheme(root.dataset.theme !== "dark"));

form.dispatchEvent(new Event("change"));
find("#client-id").focus();
