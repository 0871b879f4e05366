// One browser, its pages, and what they complain of: for the scripts that use the console.
"use strict";

const { chromium } = require("playwright-core");

const ARGUMENTS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
];
const PATIENCE = 45_000;

async function withBrowser(executablePath, use) {
  const browser = await chromium.launch({ executablePath, headless: true, args: ARGUMENTS, timeout: PATIENCE });
  try {
    return await use(browser);
  } finally {
    await browser.close();
  }
}

/** A page of its own context, whose complaints, requests and policy violations are noted in *seen*. */
async function openPage(browser, seen, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) seen.complaints.push(`${message.text()} ${message.location().url}`);
  });
  page.on("pageerror", (error) => seen.complaints.push(String(error)));
  page.on("request", (request) => seen.requests.push(request.url()));
  page.on("dialog", (dialog) => { seen.complaints.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  await page.exposeBinding("noteViolation", (source, text) => seen.violations.push(text));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      globalThis.noteViolation(`${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}`);
    });
  });
  return page;
}

async function signIn(page, url, name, secret) {
  await page.goto(`${url}/console`);
  await page.locator("#client-id").fill(name);
  await page.locator("#client-secret").fill(secret);
  await page.locator("#sign-in-form button[type=submit]").click();
  await page.locator("#page h1").waitFor();
}

/** Shows a page of the console, and waits until nothing in it is loading. */
async function goTo(page, name) {
  await page.locator(`#nav [data-page=${name}]`).click();
  await settled(page, name);
}

async function settled(page, name) {
  const heading = { playground: "Playground", records: "My records", verify: "Verify", usage: "Usage", operations: "Operations", audit: "Audit" }[name];
  await page.locator("#page h1", { hasText: heading }).waitFor();
  await page.waitForFunction(() => !document.querySelector("#page .loading") && !document.querySelector(".htmx-request"));
}

const noted = () => ({ complaints: [], requests: [], violations: [] });

module.exports = { goTo, noted, openPage, settled, signIn, withBrowser };
