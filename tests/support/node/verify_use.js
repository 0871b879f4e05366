// Uses the verifier's page as a person would, and prints what was seen as one JSON document.
// node verify_use.js CHROMIUM URL FOLDER WIDTH SCHEME; FOLDER holds key, checkpoint, log.jsonl, receipt, hostile, and gets screenshots.
"use strict";

const { readFileSync } = require("node:fs");
const path = require("node:path");
const { chromium } = require("playwright-core");

const [executablePath, url, folder, width, colorScheme] = process.argv.slice(2);
const ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
  "--disable-sync", "--disable-dev-shm-usage"];
const PATIENCE = 45_000;
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf-8");
const file = (name) => path.join(folder, name);

async function main() {
  const browser = await chromium.launch({ executablePath, headless: true, args: ARGUMENTS, timeout: PATIENCE });
  const seen = { complaints: [], requests: [], dialogs: 0, violations: [], serious: [], widest: 0, scenes: {} };
  try {
    const page = await browser.newPage({ viewport: { width: Number(width), height: 900 }, colorScheme, reducedMotion: "reduce" });
    page.setDefaultTimeout(PATIENCE);
    page.on("console", (message) => message.text().startsWith("CSP") ? seen.violations.push(message.text()) : ["error", "warning"].includes(message.type()) && seen.complaints.push(message.text()));
    page.on("pageerror", (error) => seen.complaints.push(String(error)));
    page.on("request", (request) => seen.requests.push(request.url()));
    page.on("dialog", (dialog) => { seen.dialogs += 1; dialog.dismiss(); });
    await page.addInitScript(() => document.addEventListener("securitypolicyviolation", (event) => console.log(`CSP ${event.violatedDirective} ${event.blockedURI}`)));
    await page.goto(url);
    await look(page, seen, "empty");
    await byKeyboard(page, seen);
    await withFiles(page, seen, "receipt alone", ["receipt"]);
    await withFiles(page, seen, "receipt and key", ["receipt", "key"]);
    await withFiles(page, seen, "log alone", ["log.jsonl"]);
    await withFiles(page, seen, "log with head", ["log.jsonl", "key", "checkpoint"]);
    await flip(page, seen, "log flipped");
    await withFiles(page, seen, "hostile", ["hostile", "key"]);
    seen.exact = (await page.locator("#v-records pre").first().textContent()).includes('"number": 9007199254740993');
    await withFiles(page, seen, "malformed", ["malformed"]);
    await withFiles(page, seen, "nonsense", ["nonsense"]);
    await withFiles(page, seen, "half a pack", ["half.zip", "empty"]);
    await withFiles(page, seen, "beside nonsense", ["nonsense", "log.jsonl", "key", "checkpoint"]);
    await withFiles(page, seen, "emptied log", ["emptied.jsonl", "key", "checkpoint"]);
  } finally {
    await browser.close();
  }
  console.log(JSON.stringify(seen));
}

/** Tab to the example, start it, flip a byte, put it back: with the keyboard alone. */
async function byKeyboard(page, seen) {
  await tabTo(page, "v-example");
  await page.keyboard.press("Enter");
  await settle(page, "Genuine");
  await look(page, seen, "example");
  await tabTo(page, "v-flip");
  await page.keyboard.press("Enter");
  await settle(page, "Broken");
  await look(page, seen, "example flipped");
  seen.marked = await marks(page);
  seen.focus = await page.evaluate(() => document.activeElement.id);
  await page.keyboard.press("Enter");
  await settle(page, "Genuine");
}

async function tabTo(page, id) {
  for (let tries = 0; tries < 60; tries++) {
    if (await page.evaluate((wanted) => document.activeElement?.id === wanted, id)) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`${id} is not reached by the keyboard`);
}

async function settle(page, word) {
  await page.waitForFunction((wanted) => document.getElementById("v-word").textContent === wanted, word);
}

async function withFiles(page, seen, name, names) {
  await page.reload();
  await page.setInputFiles("#v-files", names.map(file));
  await page.waitForFunction(() => /Genuine|Consistent|Broken|Cannot/.test(document.getElementById("v-word").textContent)
    || document.getElementById("v-meaning").textContent.startsWith("Nothing that you gave"));
  await look(page, seen, name);
}

async function flip(page, seen, name) {
  await page.click("#v-flip");
  await settle(page, "Broken");
  seen.marked += await marks(page);
  await look(page, seen, name);
  await page.click("#v-back");
  await settle(page, "Genuine");
}

/** The place is read from the file, so it is shown after the verdict. */
async function marks(page) {
  await page.locator("#v-place mark").waitFor({ state: "attached" });
  return page.locator("#v-place mark").count();
}

async function look(page, seen, name) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  seen.serious.push(...violations.filter(({ impact }) => ["serious", "critical"].includes(impact)).map(({ id, nodes }) => `${name}: ${id} ${nodes[0].html}`));
  seen.widest = Math.max(seen.widest, await page.evaluate(() => document.documentElement.scrollWidth));
  seen.scenes[name] = await page.evaluate(() => ({
    word: document.getElementById("v-word").textContent,
    meaning: document.getElementById("v-meaning").textContent,
    origin: document.getElementById("v-origin").textContent,
    complaint: document.getElementById("v-complaint").textContent,
    steps: Object.fromEntries([...document.getElementById("v-steps").children].map((row) => [row.dataset.step, row.dataset.state])),
    elements: document.querySelectorAll("#verifier *").length,
  }));
  await page.screenshot({ path: file(`${name.replaceAll(" ", "-")}-${width}-${colorScheme}.png`), fullPage: true });
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
