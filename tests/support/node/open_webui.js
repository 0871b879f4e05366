// Signs in to Open WebUI as a person would, asks one question and waits for the answer. Saves a screenshot.
// node open_webui.js CHROMIUM URL EMAIL QUESTION SCREENSHOT; the password is PASSWORD in the environment.
"use strict";

const { chromium } = require("playwright-core");

const [executablePath, url, email, question, screenshot] = process.argv.slice(2);
const ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-dev-shm-usage"];
const PATIENCE = 60_000;

async function main() {
  const browser = await chromium.launch({ executablePath, headless: true, args: ARGUMENTS, timeout: PATIENCE });
  try {
    const page = await browser.newPage({ viewport: { width: 1200, height: 800 } });
    page.setDefaultTimeout(PATIENCE);
    await page.goto(`${url}/auth`);
    await page.locator("input[type=email]").fill(email);
    await page.locator("input[type=password]").fill(process.env.PASSWORD);
    await page.locator("button[type=submit]").click();
    const input = page.locator("#chat-input");
    await input.waitFor();
    await page.addLocatorHandler(page.getByRole("button", { name: /Okay, Let's Go/ }), (button) => button.click());
    await input.click();
    await page.keyboard.type(question);
    await page.keyboard.press("Enter");
    await page.getByText(/^echo: /).first().waitFor();
    await page.screenshot({ path: screenshot });
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
