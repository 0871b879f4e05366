// Page 3 of the console: what it was given stays while other pages are shown, and is gone after signing out.
// node verify_console.js CHROMIUM URL NAME WIDTH FOLDER; SECRET in the environment; FOLDER holds key and receipt.
"use strict";

const path = require("node:path");
const { goTo, noted, openPage, signIn, withBrowser } = require("./console_page.js");

const [executablePath, url, name, width, folder] = process.argv.slice(2);
const seen = { ...noted(), words: [], widest: 0 };

async function main() {
  await withBrowser(executablePath, async (browser) => {
    const page = await openPage(browser, seen, { viewport: { width: Number(width), height: 800 }, colorScheme: "dark" });
    await signIn(page, url, name, process.env.SECRET);
    await goTo(page, "verify");
    await page.setInputFiles("#v-files", ["key", "receipt"].map((one) => path.join(folder, one)));
    await settle(page, "Genuine");
    seen.meaning = await page.textContent("#v-meaning");
    seen.origin = await page.textContent("#v-origin");
    seen.saves = await page.evaluate(() => document.querySelector("#v-origin a").href);
    seen.widest = await page.evaluate(() => document.documentElement.scrollWidth);
    await page.screenshot({ path: path.join(folder, `console-${width}-dark.png`), fullPage: true });
    await page.click("#v-example"); // nothing lies over it
    await settle(page, "Genuine");
    await page.click("#v-flip");
    await settle(page, "Broken");
    await page.click("#v-back");
    await settle(page, "Genuine");
    await goTo(page, name === "auditor" ? "audit" : "records");
    await goTo(page, "verify");
    seen.words.push(await page.textContent("#v-word"));
    await page.locator("#sign-out").click();
    await page.locator("#client-id").waitFor();
    await signIn(page, url, name, process.env.SECRET);
    await goTo(page, "verify");
    seen.words.push(await page.textContent("#v-word"));
  });
  console.log(JSON.stringify(seen));
}

async function settle(page, word) {
  await page.waitForFunction((wanted) => document.getElementById("v-word")?.textContent === wanted, word);
}

main().catch((error) => {
  console.error(error, seen.complaints, seen.violations);
  process.exit(1);
});
