// Uses /docs as a person would: authorise, try POST /ask out, read the answer. Prints what was seen as one JSON document.
// node docs_page.js CHROMIUM URL SCREENSHOT; the client's id and secret are CLIENT_ID and CLIENT_SECRET in the environment.
"use strict";

const { chromium } = require("playwright-core");

const [executablePath, url, screenshot] = process.argv.slice(2);
const ARGUMENTS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
];
const PATIENCE = 45_000;

async function main() {
  const browser = await chromium.launch({ executablePath, headless: true, args: ARGUMENTS, timeout: PATIENCE });
  const seen = { complaints: [], requests: [], statuses: [] };
  try {
    const page = await browser.newPage({ viewport: { width: 1200, height: 1500 } });
    page.setDefaultTimeout(PATIENCE);
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) seen.complaints.push(message.text());
    });
    page.on("pageerror", (error) => seen.complaints.push(String(error)));
    page.on("request", (request) => seen.requests.push(request.url()));
    page.on("requestfailed", (request) => seen.complaints.push(`failed: ${request.url()}`));
    page.on("response", (response) => seen.statuses.push(response.status()));
    await page.addInitScript(() => {
      globalThis.violations = [];
      document.addEventListener("securitypolicyviolation", (event) => {
        globalThis.violations.push(`${event.violatedDirective}: ${event.blockedURI}`);
      });
    });

    await page.goto(`${url}/docs`);
    await page.locator(".opblock").first().waitFor();
    seen.operations = await page.locator(".opblock-summary-path").evaluateAll((all) => all.map((one) => one.dataset.path));
    seen.title = await page.title();

    await page.locator(".auth-wrapper .authorize").first().click();
    const dialog = page.locator(".modal-ux");
    await dialog.locator("#client_id_clientCredentials, #client_id").first().fill(process.env.CLIENT_ID);
    await dialog.locator("#client_secret_clientCredentials, #client_secret").first().fill(process.env.CLIENT_SECRET);
    await dialog.getByRole("button", { name: "Apply given OAuth2 credentials" }).click(); // beside it is the form of an API key
    await dialog.locator("button", { hasText: "Logout" }).waitFor();
    seen.authorised = await dialog.locator("h6").innerText();
    await page.screenshot({ path: `${screenshot}-authorised.png` });
    await dialog.locator("button.btn-done").first().click();

    const ask = page.locator(".opblock", { has: page.locator('[data-path="/ask"]') });
    await ask.locator(".opblock-summary-control").click();
    await ask.locator(".try-out__btn").click();
    await ask.locator("textarea.body-param__text").fill(JSON.stringify({ query: "What is the capital of France?" }));
    await ask.locator("button.execute").click();
    const answer = ask.locator(".live-responses-table .response");
    await answer.waitFor();
    seen.status = (await answer.locator(".response-col_status").innerText()).trim().split(/\s/)[0];
    seen.body = await answer.locator(".response-col_description .highlight-code").first().innerText();

    // Everything that can be unfolded, in case a part of the page wants what the policy forbids.
    for (const path of ["/token", "/livez", "/readyz"]) {
      await page.locator(".opblock", { has: page.locator(`[data-path="${path}"]`) }).locator(".opblock-summary-control").click();
    }
    for (const button of await page.locator(".models .json-schema-2020-12-expand-deep-button").all()) await button.click();
    seen.violations = await page.evaluate(() => globalThis.violations);
    await page.screenshot({ path: `${screenshot}-answered.png`, fullPage: true });
  } finally {
    await browser.close();
  }
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
