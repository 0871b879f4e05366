// Ask a model, read the answer as it is written, keep its receipt.

import { find, make, milliseconds, number, say, setText, show } from "./dom.js";
import { openRecord, saveReceipt, verifyReceipt } from "./record.js";
import { call } from "./session.js";
import { events } from "./events.js";

export function start(root) {
  const form = find("#ask-form", root);
  if (!form) return undefined;
  let running = null;
  let receipt = null;

  form.addEventListener("submit", (event) => { event.preventDefault(); ask(); });
  find("#ask-text").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  find("#ask-stop").addEventListener("click", () => running?.abort());
  find("#receipt-keep").addEventListener("click", () => guarded(() => saveReceipt(receipt.seq)));
  find("#receipt-verify").addEventListener("click", () => guarded(() => verifyReceipt(receipt.seq)));
  find("#receipt-show").addEventListener("click", () => openRecord(receipt.seq));

  async function guarded(act) {
    show(find("#answer-problem"), false);
    try {
      await act();
    } catch (error) {
      fail(error.message);
    }
  }

  function fail(text) {
    setText("#answer-problem", text);
    show(find("#answer-problem"));
  }

  async function ask() {
    const given = Object.fromEntries(new FormData(form));
    if (!given.text.trim() || running) return;
    const messages = [...(given.system.trim() ? [{ role: "system", content: given.system }] : []), { role: "user", content: given.text }];
    const body = { model: given.model, messages, max_tokens: Number(given.tokens) || 500, stream: true, stream_options: { include_usage: true } };
    running = new AbortController();
    begin();
    try {
      await read(body, running.signal);
    } catch (error) {
      fail(error.name === "AbortError" ? "You stopped the answer. The log says how much of it was sent." : error.message);
    } finally {
      running = null;
      find("#answer-text", root).classList.remove("is-writing");
      show(find("#ask-stop", root), false);
      find("#ask-send", root).disabled = false;
    }
  }

  function begin() {
    receipt = null;
    for (const name of ["#answer-empty", "#answer-problem", "#answer-facts", "#receipt"]) show(find(name), false);
    const text = find("#answer-text");
    text.replaceChildren();
    text.classList.add("is-writing");
    show(text);
    show(find("#ask-stop"));
    find("#ask-send").disabled = true;
    say("The question is asked.");
  }

  async function read(body, signal) {
    const began = performance.now();
    let first = null;
    let usage = null;
    const response = await call("v1/chat/completions", { method: "POST", json: body, signal });
    let isWhole = false;
    for await (const { data } of events(response)) {
      isWhole = data === "[DONE]";
      if (isWhole) break;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Error(chunk.error.message);
      const piece = chunk.choices?.[0]?.delta?.content;
      if (piece) {
        first ??= performance.now() - began;
        find("#answer-text").append(piece);
      }
      usage = chunk.usage ?? usage;
      receipt = chunk.receipt ?? receipt;
    }
    if (!isWhole) throw new Error("The answer broke off before its end. The log says how much of it was sent.");
    setText("#fact-first", first === null ? "–" : milliseconds(first));
    setText("#fact-whole", milliseconds(performance.now() - began));
    setText("#fact-input", number(usage?.prompt_tokens));
    setText("#fact-output", number(usage?.completion_tokens));
    setText("#fact-money", money(usage));
    show(find("#answer-facts"));
    if (!find("#answer-text").textContent) find("#answer-text").append(make("span", { className: "quiet", text: "The model sent no text." }));
    if (receipt) showReceipt();
  }

  /** At the prices of the policy: the record says what was spent of budgets. */
  function money(usage) {
    const { currency, input, output } = find("#ask-model").selectedOptions[0].dataset;
    if (!currency || !usage) return "no price set";
    const amount = (usage.prompt_tokens * input + usage.completion_tokens * output) / 1e6;
    return `${amount.toLocaleString("en-US", { maximumSignificantDigits: 3 })} ${currency}`;
  }

  function showReceipt() {
    setText("#receipt-seq", number(receipt.seq));
    setText("#receipt-name", `${receipt.seq}:${receipt.hash}`);
    show(find("#receipt"));
    say(`The answer is there. Its receipt is record ${receipt.seq}.`);
  }

  find("#ask-text").focus({ preventScroll: true });
  return () => running?.abort();
}

