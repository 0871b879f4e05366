// Chats in Open WebUI as a person would: sign in, ask, read the answer. For each line of input it asks, and prints the answer's text.
// node open_webui.js CHROMIUM URL SCREENSHOT (QUESTION ANSWER)…; EMAIL and PASSWORD are in the environment.
"use strict";

const { createInterface } = require("node:readline");
const { chromium } = require("playwright-core");

const [executablePath, url, screenshot, ...chat] = process.argv.slice(2);
const ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-dev-shm-usage"];

async function main() {
  const browser = await chromium.launch({ executablePath, headless: true, args: ARGUMENTS, timeout: 60_000 });
  try {
    const page = await browser.newPage({ viewport: { width: 1100, height: 800 } });
    page.setDefaultTimeout(60_000);
    await page.goto(`${url}/auth`);
    await page.locator('input[type="email"], input#email').first().fill(process.env.EMAIL);
    await page.locator('input[type="password"]').first().fill(process.env.PASSWORD);
    await page.locator('button[type="submit"]').click();
    const input = page.locator("#chat-input");
    await input.waitFor();
    const news = page.getByRole("button", { name: /Okay, Let's Go/ });
    if (await news.waitFor({ timeout: 5_000 }).then(() => true, () => false)) await news.click();
    for await (const _ of createInterface({ input: process.stdin })) {
      const [question, answer] = chat.splice(0, 2);
      await input.click();
      await page.keyboard.type(question);
      await page.keyboard.press("Enter");
      const shown = page.getByText(answer).first();
      await shown.waitFor();
      await page.waitForTimeout(1_000);
      console.log(await shown.innerText());
    }
  } finally {
    for (const page of browser.contexts().flatMap((one) => one.pages())) await page.screenshot({ path: screenshot });
    await browser.close();
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
