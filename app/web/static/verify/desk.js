// The page at work: takes what is dropped, chosen or pasted, has it verified at once, and shows step by step what was found.

import { startEngine } from "./engine.js";
import { EXAMPLE } from "./example.js";
import { chooseFlip, flipped, recordIn, turned } from "./flip.js";
import { recognise } from "./kinds.js";
import { parseKey } from "./note.js";
import { unpack } from "./pack.js";
import { number } from "./text.js";
import { drawItems, drawPlace, drawRecord, drawSteps, drawVerdict, element } from "./view.js";
import { inWords } from "./words.js";

const $ = (id) => document.getElementById(id);
const STEP_MS = matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 110;
const MOST_SHOWN = 1200; // bytes of a line
const host = location.protocol === "file:" ? null : location.host;
let engine;
let state;
let runs = 0; // of all visits: what is still on its way from one of them finds another run, and draws nothing

// A file that is dropped beside the page's own place must not take the place of the page.
for (const type of ["dragover", "drop"]) addEventListener(type, (event) => { if ($("verifier")) event.preventDefault(); });

/** Starts the page, whose elements (body.html) are there, and ends the one before. Returns {take(files), close()}. */
export function openVerifier() {
  if (engine) close();
  engine = startEngine();
  state = { items: [], flip: null, run: ++runs, pasted: 0 };
  listen();
  rest();
  sayWhereFrom(engine);
  return { take, close };
}

function close() {
  state = { items: [], flip: null, run: ++runs, pasted: 0 };
  engine.stop();
}

// --- what is given -------------------------------------------------------------------------------

async function take(files) {
  const visit = state;
  for (const file of files) {
    const found = await recognise(file).catch((error) => unread(file, error));
    const parts = found.kind === "pack" ? await unpack(file).catch((error) => unread(file, error)) : found;
    if (visit !== state) return;
    if (Array.isArray(parts)) await take(parts);
    else keep(parts);
  }
  if (visit === state) change();
}

/** It stays among what was given, so that nobody takes a verdict for one on it. */
const unread = ({ name }, error) => ({ kind: "unknown", name, text: `${name} cannot be read: ${error.message}` });

/** A key goes into its field; of logs and slices there is one. */
function keep(found) {
  if (found.kind === "key") {
    $("v-key").value = found.text;
    return;
  }
  const isSame = (one) => (["log", "slice"].includes(found.kind) ? one.kind === found.kind : one.kind === found.kind && one.name === found.name);
  state.items = [...state.items.filter((one) => !isSame(one)), found];
}

function change() {
  state.flip = null;
  $("v-complaint").textContent = notRead().map(({ text }) => text).join("\n");
  drawItems($("v-items"), state.items, (item) => {
    state.items = state.items.filter((one) => one !== item);
    change();
    $("v-files").focus();
  });
  check();
}

const notRead = () => state.items.filter(({ kind }) => kind === "unknown");

/** The key's text if it is one, else the empty text; null, with what is wrong, for anything else. */
function givenKey() {
  const text = $("v-key").value.trim();
  try {
    $("v-key-state").textContent = text && `Key of ${parseKey(text).name}`;
    $("v-key").removeAttribute("aria-invalid");
    return text;
  } catch (error) {
    $("v-key-state").textContent = `It is no verifier key: ${error.message}.`;
    $("v-key").setAttribute("aria-invalid", "true");
    return null;
  }
}

/** What the engine is given: all items, with the flipped byte in place. */
function given(key) {
  const { items, flip } = state;
  const of = (kind) => items.filter((one) => one.kind === kind);
  const data = (one) => ({ name: one.name, data: flip?.item === one ? flipped(one, flip) : one.data });
  return {
    key,
    log: of("log")[0]?.file ?? null,
    slice: of("slice").map(data)[0] ?? null,
    checkpoints: of("checkpoint").map(data),
    receipts: of("receipt").map(data),
    short: of("short").map(({ text }) => text),
    texts: of("text").map(({ name, file }) => ({ name, file })),
    flip: flip && flip.item.kind === "log" ? { at: flip.at, bit: flip.bit } : null,
  };
}

// --- the run -------------------------------------------------------------------------------------

async function check() {
  const run = (state.run = ++runs);
  const key = givenKey();
  for (const id of ["v-place", "v-records"]) $(id).replaceChildren();
  if (state.items.length === notRead().length || key === null) return rest();
  const steps = new Map();
  const waiting = [];
  drawVerdict($("v-verdict"), { word: "running", title: "Checking …", lines: [] });
  $("v-flip-row").hidden = true;
  const tell = (message) => {
    if (run !== state.run) return;
    if (message.type === "step") waiting.push(message);
    else showProgress(message);
  };
  const drawing = drawInTurn(run, waiting, steps);
  try {
    const verdict = await engine.run(given(key), tell);
    waiting.push(null);
    await drawing;
    if (run === state.run) await show(verdict);
  } catch (error) {
    waiting.push(null);
    if (run === state.run) drawVerdict($("v-verdict"), { word: "broken", title: "Cannot be checked", lines: [`${error.message[0].toUpperCase()}${error.message.slice(1)}.`] });
  }
  if (run === state.run) $("v-progress").hidden = true;
}

function rest() {
  const [isAny, isRead] = [state.items.length > 0, state.items.length > notRead().length];
  const why = isRead ? "First mend the verifier key, or take it away." : isAny ? "Nothing that you gave can be read here." : "Drop something, or try the example.";
  drawVerdict($("v-verdict"), { word: "nothing", title: "Nothing to check yet", lines: [why] });
  drawSteps($("v-steps"), []);
  $("v-flip-row").hidden = $("v-progress").hidden = true;
}

/** One step after the other, so that people can follow; ends with the `null` in *waiting*. */
async function drawInTurn(run, waiting, steps) {
  while (run === state.run) {
    const message = waiting.shift();
    if (message === null) return;
    if (message) {
      steps.set(message.step, message);
      drawSteps($("v-steps"), [...steps]);
    }
    await new Promise((resolve) => setTimeout(resolve, message && message.state !== "running" ? STEP_MS : 15));
  }
}

function showProgress({ read, total, lines }) {
  $("v-progress").hidden = total < 4 << 20;
  $("v-bar").value = read / total;
  $("v-read").textContent = `${number(lines)} records, ${Math.floor((100 * read) / total)} %`;
}

async function show(verdict) {
  const words = inWords(verdict, host);
  if ($("v-key").value.trim() === EXAMPLE.key) words.lines.push("This is the example: its private key is known to everybody.");
  if (notRead().length) words.lines.push(`Not checked, because it cannot be read: ${notRead().map(({ name }) => name).join(", ")}.`);
  drawVerdict($("v-verdict"), words);
  if (matchMedia("(max-width: 59.99rem)").matches) $("v-verdict").scrollIntoView({ block: "nearest" });
  $("v-announce").textContent = `${words.title}. ${words.lines[0] ?? ""}`;
  if (verdict.word === "broken") $("v-place").replaceChildren(...[await placeOf(verdict)].filter(Boolean));
  if (verdict.ok) $("v-records").replaceChildren(...verdict.records.slice(0, 20).map((one) => drawRecord(one, verdict.word === "genuine")));
  const choice = verdict.ok ? chooseFlip(state.items, Boolean(verdict.signer)) : {}; // what is malformed has no byte to choose
  $("v-flip-row").hidden = verdict.word === "nothing";
  $("v-flip").hidden = Boolean(state.flip) || !verdict.ok || Boolean(choice.why);
  $("v-back").hidden = !state.flip;
  $("v-flip-why").textContent = state.flip ? "The file on your disk is as it was." : verdict.ok ? (choice.why ?? "See that a change of one bit is noticed.") : "";
}

/** The bytes around the flipped byte, or around the first problem of the log. */
async function placeOf(verdict) {
  const { flip } = state;
  const [problem] = verdict.problems;
  if (flip && flip.item.kind !== "log") {
    const { kind, data, name } = flip.item;
    const whole = kind === "receipt" ? recordIn(data).line : data;
    const from = Math.max(0, flip.at - MOST_SHOWN / 2);
    const bytes = turned(whole, flip.at, flip.bit).subarray(from, from + MOST_SHOWN);
    return drawPlace("Here", bytes, flip.at - from, `One bit of byte ${number(flip.at)} was turned. ${problem.text.replace(`${name}: `, "It shows: ")}.`);
  }
  const log = state.items.find(({ kind }) => kind === "log");
  if (!verdict.place?.length || !log) return null;
  const { offset, length, seq } = verdict.place;
  const inside = flip && flip.at >= offset && flip.at < offset + length;
  const from = inside ? Math.max(offset, flip.at - MOST_SHOWN / 2) : offset;
  const to = Math.min(offset + length, from + MOST_SHOWN);
  const bytes = new Uint8Array(await log.file.slice(from, to).arrayBuffer());
  if (inside) bytes[flip.at - from] ^= 1 << flip.bit;
  const text = inside ? `One bit of byte ${number(flip.at)} of the log was turned, and it shows at record ${seq}.` : `${problem.text}.`;
  return drawPlace(`Here: line of record ${seq}`, bytes, inside ? flip.at - from : null, text);
}

// --- the controls --------------------------------------------------------------------------------

function listen() {
  const drop = $("verifier");
  for (const type of ["dragenter", "dragover"]) drop.addEventListener(type, (event) => { event.preventDefault(); $("v-drop").dataset.over = ""; });
  for (const type of ["dragleave", "drop"]) drop.addEventListener(type, () => { delete $("v-drop").dataset.over; });
  drop.addEventListener("drop", (event) => { event.preventDefault(); take([...event.dataTransfer.files]); });
  $("v-files").addEventListener("change", () => { take([...$("v-files").files]); $("v-files").value = ""; });
  $("v-paste").addEventListener("submit", (event) => { event.preventDefault(); paste($("v-text")); });
  $("v-key").addEventListener("input", change);
  $("v-example").addEventListener("click", () => { $("v-key").value = EXAMPLE.key; state.items = []; paste({ value: EXAMPLE.receipt }); });
  $("v-flip").addEventListener("click", () => flip(chooseFlip(state.items, Boolean(givenKey())), "v-back"));
  $("v-back").addEventListener("click", () => flip(null, "v-flip"));
}

/** *next*: the button that takes the place of the one that was pressed, and its focus. */
async function flip(choice, next) {
  state.flip = choice;
  await check();
  if (document.activeElement === document.body) $(next)?.focus();
}

/** Text becomes a file, so that pasted and dropped things take one way. A browser may have turned newlines of a note around. */
function paste(field) {
  const text = field.value.replaceAll("\r\n", "\n");
  if (!text.trim()) return;
  const ending = text.includes("\n") && !text.endsWith("\n") ? "\n" : "";
  take([new File([text + ending], `pasted ${++state.pasted}`)]);
  field.value = "";
}

async function sayWhereFrom({ ready }) {
  const origin = $("v-origin");
  origin.hidden = false;
  if (host) {
    origin.dataset.from = "server";
    const link = element("a", { href: origin.closest("[data-file]")?.dataset.file ?? "verify.html", download: "verify.html", textContent: "Save it as one file" });
    origin.append(`${host} gave you this page, so it proves nothing against ${host}: a server that rewrites its log can also change this page. `,
      link, ", compare its SHA-256 with that of the release, and open it from your disk.");
  } else origin.append("This page runs from your disk. Its SHA-256 stands in the notes of the release: compare it once.");
  const { works, name, noble, webcrypto } = await ready;
  if (!$("v-foot")) return; // the page was left meanwhile
  const other = webcrypto === null ? "WebCrypto is not offered here" : `WebCrypto ${webcrypto.toFixed(1)} µs`;
  $("v-foot").textContent = works ? `SHA-256 by ${name}: @noble/hashes takes ${noble.toFixed(1)} µs for a record here, ${other}. Ed25519 by @noble/ed25519.` : "This browser computes wrongly: do not use it for this.";
}
