// Lists of records: search, live feed, export.

import { download, find, make, milliseconds, number, say, setText, show } from "./dom.js";
import { events } from "./events.js";
import { openRecord } from "./record.js";
import { call } from "./session.js";

const MAX_LIVE = 200;
const PAGE = 1000;

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
      setText("#live-note", error.message);
    }
  }

  function wanted() {
    const given = new FormData(form);
    const pairs = ["user", "action", "model"].filter((name) => given.get(name)).map((name) => [name, given.get(name)]);
    return new URLSearchParams(pairs);
  }

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

  if (root.dataset.page === "audit") exporting(root);
  return stop;
}

function exporting(root) {
  const dialog = find("#export-dialog", root);
  let running = null;
  find("#export-open", root).addEventListener("click", () => dialog.showModal());
  find("#export-cancel", root).addEventListener("click", () => { running?.abort(); dialog.close(); });
  find("#export-form", root).addEventListener("submit", async (event) => {
    event.preventDefault();
    if (running) return;
    running = new AbortController();
    const [from, count] = ["#export-from", "#export-count"].map((name) => Math.max(0, Math.trunc(Number(find(name).value))));
    try {
      const parts = await pages(from, Math.min(count, 50_000), running.signal);
      download(`records-${from}.jsonl`, parts, "application/x-ndjson");
      dialog.close();
      say("The records are saved.");
    } catch (error) {
      setText("#export-progress", error.name === "AbortError" ? "" : error.message);
    } finally {
      running = null;
    }
  });
}

async function pages(from, count, signal) {
  const parts = [];
  let at = from;
  while (at < from + count) {
    setText("#export-progress", `Reading record ${number(at)}`);
    const response = await call(`audit/entries?from=${at}&limit=${Math.min(PAGE, from + count - at)}`, { signal });
    const next = /from=(\d+)/.exec(response.headers.get("link") ?? "");
    parts.push(await response.arrayBuffer());
    if (!next) break;
    at = Number(next[1]);
  }
  setText("#export-progress", "");
  return parts;
}
