// Uses the console as people do, and tells what was seen as one JSON document: node console.js CHROMIUM URL.
// SECRETS in the environment is JSON: the secret of each client. The log holds texts that would like to be scripts.
"use strict";

const fs = require("fs");
const { goTo, noted, openPage, settled, signIn, withBrowser } = require("./console_page.js");

const [executablePath, url] = process.argv.slice(2);
const SECRETS = JSON.parse(process.env.SECRETS);
const AXE = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const PAGES = ["playground", "records", "verify", "usage", "operations", "audit"];
const HOSTILE = `<img src=x onerror="globalThis.pwned = 1"><script>globalThis.pwned = 2</script>{{7*7}}'"`;
const seen = { ...noted(), axe: {}, wide: [], pages: {}, elements: 0, texts: 0 };

async function main() {
  await withBrowser(executablePath, async (browser) => {
    const ONLY = process.env.ONLY?.split(",");
    for (const part of [lookAround, otherRoles, keyboardOnly, hostileTexts, changes, signOuts, framed, broken]) {
      if (ONLY && !ONLY.includes(part.name)) continue;
      if (ONLY) console.error(part.name, Date.now() % 1e6);
      await part(browser).catch((error) => { throw new Error(`${part.name}: ${error.stack} ${seen.complaints}`); });
    }
  });
  seen.requests = [...new Set(seen.requests)].filter((one) => !one.startsWith(`${url}/`) && !/^(data|blob):/.test(one));
  console.log(JSON.stringify(seen));
}

/** Serious findings of axe, by where they were found. */
async function look(page, where) {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  const serious = found.violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  if (serious.length) seen.axe[where] = serious.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => node.html).join(" ")}`);
  await measure(page, where);
}

/** Whether anything stands out to the right. */
async function measure(page, where) {
  const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  if (wide > room) seen.wide.push(`${where}: ${wide} in ${room}`);
}

async function lookAround(browser) {
  for (const [width, colorScheme] of [[1440, "light"], [1440, "dark"], [360, "dark"], [360, "light"]]) {
    const page = await openPage(browser, seen, { viewport: { width, height: 800 }, colorScheme });
    await page.goto(`${url}/console`);
    await look(page, `sign-in ${width} ${colorScheme}`);
    await signIn(page, url, "olga", SECRETS.olga);
    for (const name of PAGES) {
      await goTo(page, name);
      await look(page, `${name} ${width} ${colorScheme}`);
    }
    await page.locator("#list .entry").first().click();
    await page.locator("#record-verdict.good").waitFor();
    await look(page, `record ${width} ${colorScheme}`);
    await page.context().close();
  }
}

async function otherRoles(browser) {
  for (const name of ["alice", "carol", "adam"]) {
    const page = await openPage(browser, seen);
    await signIn(page, url, name, SECRETS[name]);
    seen.pages[name] = await page.locator("#nav a:visible").evaluateAll((all) => all.map((one) => one.dataset.page));
    for (const one of seen.pages[name]) await goTo(page, one);
    await page.evaluate(() => { location.hash = "operations"; });
    await page.locator("#page h1").waitFor();
    await page.context().close();
  }
}

async function keyboardOnly(browser) {
  const page = await openPage(browser, seen);
  await page.goto(`${url}/console`);
  const type = (text) => page.keyboard.type(text);
  const press = (key) => page.keyboard.press(key);
  const reach = async (selector) => {
    for (let steps = 0; steps < 60; steps += 1) {
      if (await page.evaluate((wanted) => document.activeElement.matches(wanted), selector)) return;
      await press("Tab");
    }
    throw new Error(`${selector} is not reached by Tab`);
  };
  await type("alice");
  await press("Tab");
  await type(SECRETS.alice);
  await press("Enter");
  await settled(page, "playground");
  await page.waitForFunction(() => document.activeElement.id === "ask-text");
  await type("What is a receipt?");
  await press("Control+Enter");
  await page.locator("#receipt").waitFor();
  seen.receipt = await page.locator("#receipt-name").innerText();
  await reach("#receipt-show");
  await press("Enter");
  await page.locator("#record-verdict.good").waitFor();
  await press("Escape");
  await reach("#receipt-verify");
  await press("Enter");
  await settled(page, "verify");
  await page.waitForFunction(() => !/^(Nothing|Checking)/.test(document.querySelector("#v-word").textContent));
  seen.verified = await page.locator("#v-word").innerText();
  await page.evaluate(() => document.body.focus());
  await press("Shift+Tab");
  await page.locator("#nav [data-page=records]").focus();
  await press("Enter");
  await settled(page, "records");
  await reach("#list .entry");
  await press("Enter");
  await page.locator("#record-verdict.good").waitFor();
  await press("Escape");
  seen.dialogLeft = await page.locator("#record-dialog").evaluate((dialog) => !dialog.open);
  await reach("#live");
  await press("Space");
  await page.locator("#live[aria-pressed=true]").waitFor();
  await page.context().close();
}

async function hostileTexts(browser) {
  const page = await openPage(browser, seen, { viewport: { width: 360, height: 800 } });
  await signIn(page, url, "olga", SECRETS.olga);
  await goTo(page, "audit");
  await page.locator("#live").click();
  await page.locator("#live[aria-pressed=true]").waitFor();
  await page.evaluate(async (text) => { // a stranger asks something while the feed is open
    const form = new URLSearchParams({ grant_type: "client_credentials", client_id: text, client_secret: "x" });
    await fetch("token", { method: "POST", body: form, credentials: "omit" }).catch(() => {});
  }, "<svg onload=alert(1)>");
  await page.locator("#live-list .entry").first().waitFor();
  seen.complaints = seen.complaints.filter((one) => !one.includes("401")); // that of the stranger
  for (let rounds = 0; rounds < 40 && await page.locator(".older button").count(); rounds += 1) {
    const before = await page.locator("#list .entry").count();
    await page.locator(".older button").click();
    await page.waitForFunction((count) => document.querySelectorAll("#list .entry").length > count, before);
  }
  seen.texts = await page.locator("#list .entry-text").count();
  seen.elements = await page.locator("#list .entry-text > *, #live-list .entry-text > *").count();
  await measure(page, "hostile texts");
  await page.locator("#filter-action").selectOption("ask.received"); // the searches are recorded, too
  await page.locator("#filter-text").fill("onerror");
  await page.locator("#list .entry").first().waitFor();
  await page.waitForFunction(() => document.querySelector("#list .entry-text")?.textContent.includes("onerror"));
  await page.locator("#list .entry").first().click();
  await page.locator("#record-verdict.good").waitFor();
  seen.elements += await page.locator("#record-said p > *, #record-raw > *").count();
  await page.keyboard.press("Escape");
  await goTo(page, "operations");
  seen.keyShown = await page.locator("#clients td", { hasText: "onerror" }).count();
  seen.pwned = await page.evaluate(() => globalThis.pwned ?? null);
  await page.context().close();
}

async function changes(browser) {
  const page = await openPage(browser, seen);
  await signIn(page, url, "olga", SECRETS.olga);
  await goTo(page, "operations");
  await page.locator("[data-open=client-dialog]").click();
  await look(page, "add a client");
  await page.locator("#new-client").fill("no");
  await page.locator("#client-form [type=submit]").click();
  seen.refusal = await page.locator("#client-form .problem:not([hidden])").innerText();
  seen.complaints = seen.complaints.filter((one) => !one.includes("422")); // the browser tells of the refusal, too
  await page.locator("#new-client").fill("newcomer");
  await page.locator("#client-form [type=submit]").click();
  await page.locator("#secret-dialog[open]").waitFor();
  await look(page, "secret shown once");
  const secret = await page.locator("#secret-list code").nth(1).innerText();
  seen.secretLength = secret.length;
  await page.locator("#secret-done").click();
  await page.waitForFunction(() => !document.querySelector("#secret-list").children.length);
  await page.locator("#clients th", { hasText: "newcomer" }).waitFor();
  seen.secretStays = (await page.content()).includes(secret);
  await page.locator('[data-do=disable][data-client="newcomer"]').click();
  await page.locator("#confirm-yes").click();
  await page.locator('[data-do=enable][data-client="newcomer"]').waitFor();
  await page.context().close();
}

async function signOuts(browser) {
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

async function framed(browser) {
  const page = await openPage(browser, noted()); // it complains, as it should
  await page.setContent(`<iframe src="${url}/console"></iframe>`);
  await page.waitForFunction(() => frames.length === 1);
  await page.frames()[1].waitForLoadState();
  seen.framed = await page.frames()[1].locator("#sign-in").count();
  await page.context().close();
}

async function broken(browser) {
  const page = await openPage(browser, noted()); // a failed request is complained of by the browser
  await signIn(page, url, "olga", SECRETS.olga);
  await page.route("**/console/parts/usage/sums*", (route) => route.abort());
  await page.locator("#nav [data-page=usage]").click();
  seen.broken = await page.locator("#sums .empty h2").innerText();
  await page.unroute("**/console/parts/usage/sums*");
  await page.locator("#sums [data-retry]").click();
  await page.locator("#sums .tiles").waitFor();
  await page.locator("#nav [data-page=playground]").click();
  await settled(page, "playground");
  await page.route("**/v1/chat/completions", (route) => route.fulfill({ status: 503, json: { error: { message: HOSTILE } } }));
  await page.locator("#ask-text").fill("x");
  await page.locator("#ask-send").click();
  seen.problem = await page.locator("#answer-problem:not([hidden])").textContent() === HOSTILE;
  await page.context().close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
