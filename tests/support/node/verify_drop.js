// Types a key into the verifier's page, drops files, and prints what it says as one JSON document.
// node verify_drop.js CHROMIUM PAGE KEY FILE...; KEY is a file, or - for none.
"use strict";

const { readFileSync } = require("node:fs");
const { pathToFileURL } = require("node:url");
const { chromium } = require("playwright-core");

const [executablePath, file, key, ...files] = process.argv.slice(2);
const ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
  "--disable-sync", "--disable-dev-shm-usage"];

async function main() {
  const browser = await chromium.launch({ executablePath, headless: true, args: ARGUMENTS, timeout: 45_000 });
  const complaints = [];
  try {
    const page = await browser.newPage({ reducedMotion: "reduce" });
    page.on("console", (message) => complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(String(error)));
    await page.goto(pathToFileURL(file).href);
    if (key !== "-") await page.fill("#v-key", readFileSync(key, "utf-8"));
    await page.setInputFiles("#v-files", files);
    await page.waitForFunction(() => /Genuine|Consistent|Broken|Cannot/.test(document.getElementById("v-word").textContent)
      || document.getElementById("v-complaint").textContent, null, { timeout: 45_000 });
    const seen = await page.evaluate(() => ({
      word: document.getElementById("v-word").textContent,
      meaning: document.getElementById("v-meaning").textContent,
      complaint: document.getElementById("v-complaint").textContent,
      key: document.getElementById("v-key").value,
      steps: Object.fromEntries([...document.getElementById("v-steps").children].map((row) => [row.dataset.step, row.dataset.state])),
    }));
    console.log(JSON.stringify({ ...seen, complaints }));
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
