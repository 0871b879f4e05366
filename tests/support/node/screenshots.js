// Pictures of the console: node screenshots.js CHROMIUM URL FOLDER; SECRETS in the environment is JSON by client.
"use strict";

const path = require("path");
const { goTo, noted, openPage, signIn, withBrowser } = require("./console_page.js");

const [executablePath, url, folder] = process.argv.slice(2);
const SECRETS = JSON.parse(process.env.SECRETS);
const SIZES = { desk: { width: 1440, height: 900 }, phone: { width: 360, height: 740 } };
const PAGES = ["playground", "records", "verify", "usage", "operations", "audit"];

const seen = noted();

async function main() {
  await withBrowser(executablePath, async (browser) => {
    for (const colorScheme of ["light", "dark"]) {
      for (const [size, viewport] of Object.entries(SIZES)) {
        const page = await openPage(browser, seen, { viewport, colorScheme, deviceScaleFactor: size === "phone" ? 2 : 1 });
        const shoot = (name, fullPage = true) => page.screenshot({ path: path.join(folder, `${name}-${size}-${colorScheme}.png`), fullPage });
        await page.goto(`${url}/console`);
        await page.locator("#client-id").waitFor();
        await shoot("sign-in");
        await signIn(page, url, "olga", SECRETS.olga);
        for (const name of PAGES) {
          await goTo(page, name);
          if (name === "playground") await ask(page);
          if (name === "usage") await page.locator("#chart canvas").waitFor();
          await shoot(name);
          if (name === "usage") await shoot("usage-top", false); // what a README shows
          if (name === "audit") await record(page, shoot);
        }
        await page.context().close();
      }
    }
  });
  console.log(JSON.stringify(seen));
}

async function ask(page) {
  await page.locator("#ask-text").fill("How does a hash chain show that somebody changed a log?");
  await page.locator("#ask-send").click();
  await page.locator("#receipt").waitFor();
}

async function record(page, shoot) {
  await page.locator("#list .entry", { has: page.locator(".ask-answered") }).first().click();
  await page.locator("#record-verdict.good").waitFor();
  await page.locator("#record-near li").first().waitFor();
  await shoot("record", false);
  await page.keyboard.press("Escape");
}

main().catch((error) => {
  console.error(error, seen.complaints, seen.violations);
  process.exit(1);
});
