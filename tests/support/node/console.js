// Uses the console as people do, and tells what was seen as one JSON document: node console.js CHROMIUM URL.
// SECRETS in the environment is JSON: the secret of each client. The log holds texts that would like to be scripts.
"use strict";

const fs = require("fs");
const keyboard = require("./console_keyboard.js");
const strangers = require("./console_strangers.js");
const { goTo, noted, openPage, settled, signIn, withBrowser } = require("./console_page.js");

const [executablePath, url] = process.argv.slice(2);
const SECRETS = JSON.parse(process.env.SECRETS);
const AXE = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const PAGES = ["playground", "records", "verify", "usage", "operations", "audit"];
const AT_ONCE = 2;

async function main() {
  const seen = { axe: {}, wide: [], pages: {} };
  const only = process.env.ONLY?.split(",");
  const parts = [lookAround, ...["alice", "carol", "adam", "nadia"].map((name) => named(`role ${name}`, (browser, seen) => otherRole(browser, seen, name))), changes, signOuts, broken, ...keyboard.parts, ...strangers.parts];
  const waiting = only ? parts.filter((part) => only.includes(part.name)) : parts;
  await withBrowser(executablePath, async (browser) => {
    const work = async () => {
      for (let part = waiting.shift(); part; part = waiting.shift()) {
        const own = { ...noted(), axe: seen.axe, wide: seen.wide, pages: seen.pages };
        const began = Date.now();
        await part(browser, own, { url, SECRETS }).catch((error) => { throw new Error(`${part.name}: ${error.stack} ${own.complaints}`); });
        merge(seen, own);
        if (process.env.TIMES) console.error(part.name, Date.now() - began);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  });
  seen.requests = [...new Set(seen.requests)].filter((one) => !one.startsWith(`${url}/`) && !/^(data|blob):/.test(one));
  console.log(JSON.stringify(seen));
}

function merge(all, own) {
  for (const [name, value] of Object.entries(own)) {
    if (["axe", "wide", "pages"].includes(name)) continue;
    all[name] = Array.isArray(value) && Array.isArray(all[name]) ? [...all[name], ...value] : value;
  }
}

const named = (name, part) => Object.defineProperty(part, "name", { value: name });

/** Serious findings of axe, by where they were found. *rules*: those that can change with the colours alone. */
async function look(page, seen, where, rules) {
  await measure(page, seen, where);
  if (!(await page.evaluate(() => Boolean(globalThis.axe)))) await page.evaluate(AXE);
  const found = await page.evaluate((only) => axe.run(document, { resultTypes: ["violations"], ...(only ? { runOnly: only } : {}) }), rules);
  const serious = found.violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  if (serious.length) seen.axe[where] = serious.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => node.html).join(" ")}`);
}

/** Whether anything stands out to the right, or something to press is found by scrolling only. */
async function measure(page, seen, where) {
  const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  if (wide > room) seen.wide.push(`${where}: ${wide} in ${room}`);
  const hidden = await page.locator("#page button:visible").evaluateAll((all) => all.filter((one) => one.getBoundingClientRect().right > innerWidth).map((one) => one.innerText));
  if (hidden.length) seen.wide.push(`${where}: ${hidden} out of sight`);
}

/** One page as it is: wide and narrow, light and dark. */
async function lookAtAll(page, seen, where) {
  const contrast = ["color-contrast"]; // the other rules have been tried, and are for each role at 360 pixels
  for (const [width, colorScheme, rules] of [[1440, "light"], [1440, "dark", contrast], [360, "dark", contrast], [360, "light", contrast]]) {
    await page.setViewportSize({ width, height: 800 });
    await page.emulateMedia({ colorScheme });
    await page.waitForFunction((theme) => document.documentElement.dataset.theme === theme && !document.getAnimations().length, colorScheme);
    await look(page, seen, `${where} ${width} ${colorScheme}`, rules);
  }
}

async function lookAround(browser, seen) {
  const page = await openPage(browser, seen, { colorScheme: "light" });
  await page.goto(`${url}/console`);
  await lookAtAll(page, seen, "sign-in");
  await signIn(page, url, "olga", SECRETS.olga);
  for (const name of PAGES) {
    await goTo(page, name);
    await lookAtAll(page, seen, name);
  }
  await page.locator("#export-open").click();
  await look(page, seen, "export");
  await page.keyboard.press("Escape");
  await page.locator("#list .entry").first().click();
  await page.locator("#record-verdict.good").waitFor();
  await lookAtAll(page, seen, "record");
  await page.context().close();
}

async function otherRole(browser, seen, name) {
  const page = await openPage(browser, seen, { viewport: { width: 360, height: 800 }, colorScheme: "dark" });
  await signIn(page, url, name, SECRETS[name]);
  seen.pages[name] = await page.locator("#nav a:visible").evaluateAll((all) => all.map((one) => one.dataset.page));
  for (const one of seen.pages[name]) {
    await goTo(page, one);
    await look(page, seen, `${one} as ${name}`);
  }
  await page.evaluate(() => { location.hash = "operations"; });
  await settled(page, seen.pages[name].includes("operations") ? "operations" : seen.pages[name][0]);
  await page.context().close();
}

async function changes(browser, seen) {
  const page = await openPage(browser, seen);
  await signIn(page, url, "olga", SECRETS.olga);
  await goTo(page, "operations");
  await page.locator("[data-open=client-dialog]").click();
  await look(page, seen, "add a client");
  await page.locator("#new-client").fill("no");
  await page.locator("#client-form [type=submit]").click();
  seen.refusal = await page.locator("#client-form .problem:not([hidden])").innerText();
  seen.complaints = seen.complaints.filter((one) => !one.includes("422")); // the browser tells of the refusal, too
  await page.locator("#new-client").fill("newcomer");
  await page.locator("#client-form [type=submit]").click();
  await page.locator("#secret-dialog[open]").waitFor();
  await look(page, seen, "secret shown once");
  const secret = await page.locator("#secret-list code").nth(1).innerText();
  seen.secretLength = secret.length;
  await page.locator("#secret-done").click();
  await page.waitForFunction(() => !document.querySelector("#secret-list").children.length);
  await page.locator("#clients th", { hasText: "newcomer" }).waitFor();
  seen.secretStays = (await page.content()).includes(secret);
  await goTo(page, "audit");
  await page.locator("#filter-action").selectOption("ask.received");
  await page.locator("#list .entry").first().waitFor();
  await page.locator("#export-open").click();
  seen.exportOf = await page.locator("#export-filter").innerText();
  const [saved] = await Promise.all([page.waitForEvent("download"), page.locator("#export-form [type=submit]").click()]);
  seen.exported = fs.readFileSync(await saved.path(), "utf8").trim().split("\n").map((line) => JSON.parse(line).action);
  await page.context().close();
}

async function signOuts(browser, seen) {
  const page = await openPage(browser, seen);
  await page.clock.install();
  await page.goto(`${url}/console?access_token=${SECRETS.alice}#access_token=${SECRETS.alice}`);
  seen.fixated = await page.locator("#console").isVisible();
  await signIn(page, url, "alice", SECRETS.alice);
  seen.stored = await page.evaluate(() => [document.cookie, Object.keys(localStorage), Object.keys(sessionStorage)]);
  await page.clock.fastForward(14 * 60_000);
  await page.keyboard.press("Shift");
  await page.clock.fastForward(14 * 60_000);
  seen.staysWhileUsed = await page.locator("#console").isVisible();
  await page.clock.fastForward(2 * 60_000);
  await page.locator("#sign-in-notice", { hasText: "nothing was done" }).waitFor();
  seen.leftOnPage = (await page.locator("#page").innerHTML()).length;
  await signIn(page, url, "alice", SECRETS.alice);
  await page.locator("#sign-out").click();
  await page.locator("#sign-in-notice", { hasText: "signed out" }).waitFor();
  await signIn(page, url, "alice", SECRETS.alice);
  await page.reload();
  seen.afterReload = await page.locator("#sign-in").isVisible();
  await page.context().close();
}

async function broken(browser, seen) {
  const page = await openPage(browser, noted()); // a failed request is complained of by the browser
  await signIn(page, url, "olga", SECRETS.olga);
  await page.route("**/console/parts/usage/sums*", (route) => route.abort());
  await page.locator("#nav [data-page=usage]").click();
  seen.broken = await page.locator("#sums .empty h2").innerText();
  await look(page, seen, "broken");
  await page.unroute("**/console/parts/usage/sums*");
  await page.locator("#sums [data-retry]").click();
  await page.locator("#sums .tiles").waitFor();
  await page.context().close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
