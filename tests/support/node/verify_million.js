// Gives a log, its head and its key to the verifier's page, and says how long it took and how often progress was shown.
// node verify_million.js CHROMIUM FILE FOLDER
"use strict";

const path = require("node:path");
const { pathToFileURL } = require("node:url");
const { chromium } = require("playwright-core");

const [executablePath, file, folder] = process.argv.slice(2);
const ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
  "--disable-sync", "--disable-dev-shm-usage"];

async function main() {
  const browser = await chromium.launch({ executablePath, headless: true, args: ARGUMENTS, timeout: 45_000 });
  try {
    const page = await browser.newPage();
    await page.goto(pathToFileURL(file).href);
    await page.waitForFunction(() => document.getElementById("v-foot").textContent);
    await page.evaluate(() => {
      globalThis.shown = new Set();
      new MutationObserver(() => globalThis.shown.add(document.getElementById("v-read").textContent))
        .observe(document.getElementById("v-read"), { childList: true });
    });
    const started = Date.now();
    await page.setInputFiles("#v-files", ["log.jsonl", "checkpoint", "log.vkey"].map((name) => path.join(folder, name)));
    await page.waitForFunction(() => /Genuine|Consistent|Broken|Cannot/.test(document.getElementById("v-word").textContent), null, { timeout: 500_000 });
    const seconds = (Date.now() - started) / 1000;
    const seen = await page.evaluate(() => ({
      word: document.getElementById("v-word").textContent,
      shown: globalThis.shown.size,
      hasher: document.getElementById("v-foot").textContent.split(":")[0].split(" by ")[1],
    }));
    console.log(JSON.stringify({ seconds, ...seen }));
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
