// Gives cases to the worker of the single file app/web/verify.html, opened from disk in a real browser.
// node verify_page.js CHROMIUM FILE; cases on stdin, verdicts on stdout, one a line, as verify_cases.mjs has it.
"use strict";

const { readFileSync } = require("node:fs");
const path = require("node:path");
const { pathToFileURL } = require("node:url");
const { createInterface } = require("node:readline");
const { chromium } = require("playwright-core");

const [executablePath, file] = process.argv.slice(2);
const ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
  "--disable-sync", "--disable-dev-shm-usage"];
const MANY = 250;
const helpers = readFileSync(path.join(__dirname, "verify_case.mjs"), "utf-8").replaceAll("export ", "");

async function main() {
  const browser = await chromium.launch({ executablePath, headless: true, args: ARGUMENTS, timeout: 45_000 });
  try {
    const page = await browser.newPage();
    page.on("console", (message) => process.stderr.write(`${message.text()}\n`));
    page.on("pageerror", (error) => process.stderr.write(`${error}\n`));
    await page.addInitScript(() => {
      const Original = Worker;
      globalThis.Worker = class extends Original {
        constructor(...words) {
          super(...words);
          globalThis.verifierWorker = this;
        }
      };
    });
    await page.goto(pathToFileURL(file).href);
    await page.evaluate(`globalThis.helpers = (() => { ${helpers}; return { given, outcome }; })()`);
    let cases = [];
    for await (const line of createInterface({ input: process.stdin })) {
      cases.push(JSON.parse(line));
      if (cases.length === MANY) await flush(page, cases.splice(0));
    }
    await flush(page, cases);
  } finally {
    await browser.close();
  }
}

async function flush(page, cases) {
  const outcomes = await page.evaluate(async (all) => {
    const { given, outcome } = globalThis.helpers;
    const verdictOn = (one, number) => new Promise((resolve, reject) => {
      const id = `case ${number}`;
      function listen({ data }) {
        if (data.id !== id || !["done", "cannot"].includes(data.type)) return;
        globalThis.verifierWorker.removeEventListener("message", listen);
        if (data.type === "done") resolve(outcome(data.verdict));
        else reject(new Error(data.text));
      }
      globalThis.verifierWorker.addEventListener("message", listen);
      globalThis.verifierWorker.postMessage({ id, given: given(one) });
    });
    return Promise.all(all.map(verdictOn));
  }, cases);
  for (const one of outcomes) console.log(JSON.stringify(one));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
