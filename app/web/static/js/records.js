// Lists of records: search, live feed, export.

import { download, find, findAll, make, milliseconds, number, say, setText, show } from "./dom.js";
import { events } from "./events.js";
import { openRecord } from "./record.js";
import { call, whole } from "./session.js";

const MAX_LIVE = 200;
const IN_WORDS = { text: "words", action: "action", model: "model", user: "principal", since: "from", until: "to" };

export function start(root) {
  const form = find("#filter", root);
  let feed = null;

  root.addEventListener("click", ({ target }) => {
    const seq = target.closest("[data-seq]")?.dataset.seq;
    if (seq) openRecord(Number(seq));
    const action = target.closest("[data-action]")?.dataset.action;
    if (action) {
      find("#filter-action").value = action;
      form.dispatchEvent(new Event("change"));
    }
  });
  root.addEventListener("htmx:beforeRequest", ({ target }) => { // the button goes, and the first older record has the focus
    if (!target.closest(".older")) return;
    const shown = findAll("#list .entry", root).length;
    root.addEventListener("htmx:afterSettle", () => findAll("#list .entry", root)[shown]?.focus({ preventScroll: true }), { once: true });
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", () => { if (feed) { stop(); follow(); } });
  find("#live").addEventListener("click", () => (feed ? stop() : follow()));

  function stop() {
    feed?.abort();
    feed = null;
    find("#live").setAttribute("aria-pressed", "false");
    setText("#live-note", "");
  }

  async function follow() {
    const own = new AbortController();
    feed = own;
    find("#live").setAttribute("aria-pressed", "true");
    find("#live-list").replaceChildren();
    setText("#live-note", "New records appear here as they are signed.");
    try {
      const response = await call(`audit/feed?${wanted()}`, { signal: own.signal, accept: "text/event-stream" });
      for await (const { name, data } of events(response)) {
        if (name === "record") add(JSON.parse(data));
        if (name === "skipped") setText("#live-note", `${number(JSON.parse(data).count)} records came too fast and are left out here; the search finds them.`);
        if (name === "end") throw new Error(JSON.parse(data).detail);
      }
      if (feed === own) throw new Error("The feed has ended. Switch it on again to go on.");
    } catch (error) {
      if (error.name === "AbortError" || feed !== own) return;
      stop();
      setText("#live-note", error.status === 0 ? "The feed broke off. Switch it on again to go on; the search finds what came meanwhile." : error.message);
    }
  }

  const wanted = () => new URLSearchParams(filter(form).filter(([name]) => ["user", "action", "model"].includes(name)));

  function add(record) {
    const list = find("#live-list");
    show(list);
    list.prepend(row(record));
    while (list.children.length > MAX_LIVE) list.lastElementChild.remove();
  }

  function row(record) {
    const copy = find("#row-template").content.cloneNode(true);
    find("button", copy).dataset.seq = record.seq;
    setText(".entry-seq", record.seq, copy);
    find(".entry-action", copy).append(make("span", { className: `chip ${record.action.replace(".", "-")}`, text: record.action }));
    if (root.dataset.page === "audit") find(".entry-action", copy).append(make("span", { className: "entry-user", text: record.user_id ?? record.by ?? "nobody" }));
    setText(".entry-text", record.text || "–", copy);
    const facts = [record.model, record.output_tokens == null ? null : `${number(record.input_tokens)} in, ${number(record.output_tokens)} out`, record.elapsed_ms == null ? null : milliseconds(record.elapsed_ms)];
    find(".entry-facts", copy).append(...facts.filter(Boolean).map((text) => make("span", { text })));
    setText(".entry-time", record.timestamp.slice(0, 19).replace("T", " "), copy);
    return copy;
  }

  const stopExport = root.dataset.page === "audit" ? exporting(root, form) : () => {};
  return () => { stop(); stopExport(); };
}

/** What is set, as pairs. */
function filter(form) {
  return [...new FormData(form)].filter(([, value]) => value !== "");
}

function exporting(root, form) {
  const dialog = find("#export-dialog", root);
  const problem = find("#export-problem", root);
  const button = find("[type=submit]", dialog);
  let running = null;
  find("#export-open", root).addEventListener("click", () => {
    const given = filter(form).map(([name, value]) => `${IN_WORDS[name]} ${value}`);
    setText("#export-filter", given.length ? `What the filter finds: ${given.join(", ")}.` : "All records: no filter is set.");
    show(problem, false);
    dialog.showModal();
  });
  find("#export-cancel", root).addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => running?.abort());
  find("#export-form", root).addEventListener("submit", async (event) => {
    event.preventDefault();
    const format = new FormData(event.target).get("format");
    running = new AbortController();
    button.disabled = true;
    show(problem, false);
    try {
      const response = await call(`audit/export?${new URLSearchParams([...filter(form), ["format", format]])}`, { signal: running.signal });
      const records = await whole(response, "blob");
      download(`records.${format === "csv" ? "csv" : "jsonl"}`, [records], records.type);
      dialog.close();
      say(`${number(Number(response.headers.get("x-records")))} records are saved.`);
    } catch (error) {
      if (error.name === "AbortError") return;
      setText(problem, `Nothing was saved. ${error.message}`);
      show(problem);
    } finally {
      running = null;
      button.disabled = false;
    }
  });
  return () => running?.abort();
}
