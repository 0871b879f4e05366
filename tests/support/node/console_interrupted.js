// What is cut, overtaken or left midway: node console_interrupted.js CHROMIUM URL LOG. LOG is the service's own, and long.
"use strict";

const fs = require("fs");
const { goTo, noted, openPage, settled, signIn, withBrowser } = require("./console_page.js");

const [executablePath, url, log] = process.argv.slice(2);
const SECRETS = JSON.parse(process.env.SECRETS);
const BROWSERS_OWN = /^(Failed to load resource|Response Status Error Code|htmx:)/; // said of every request that fails or is cut off

/** A part of the work in a page of its own. Errors of our scripts count, those of the network are the matter. */
async function inPage(browser, seen, work) {
  const own = noted();
  const page = await openPage(browser, own, { viewport: { width: 360, height: 800 } });
  await signIn(page, url, "olga", SECRETS.olga);
  await work(page);
  await page.context().close();
  seen.complaints.push(...own.complaints.filter((one) => !BROWSERS_OWN.test(one)));
}

/** Holds requests of *pattern*; the result lets them go. */
async function held(page, pattern) {
  let release;
  const gate = new Promise((resolve) => { release = resolve; });
  await page.route(pattern, async (route) => { await gate; await route.continue().catch(() => {}); });
  return release;
}

const soon = (page) => page.waitForTimeout(400);

/** The log is taken away while an export runs, and the browser has not read all of it. */
async function exportWithoutItsLog(page, seen) {
  await page.evaluate(() => { // the real answer, read later
    const { blob } = Response.prototype;
    globalThis.hasBegun = new Promise((begun) => {
      Response.prototype.blob = async function late() {
        begun();
        await new Promise((resolve) => { globalThis.readOn = resolve; });
        return blob.call(this);
      };
    });
  });
  await goTo(page, "audit");
  await page.locator("#export-open").click();
  await page.locator("[name=format][value=ocsf]").check();
  let saved = 0;
  page.on("download", () => { saved += 1; });
  await page.locator("#export-form [type=submit]").click();
  await page.evaluate(() => globalThis.hasBegun);
  fs.renameSync(log, `${log}.away`);
  try {
    await page.evaluate(() => globalThis.readOn());
    seen.cutExport = await page.locator("#export-problem:not([hidden])").innerText();
  } finally {
    fs.renameSync(`${log}.away`, log);
  }
  seen.savedOfCut = saved;
}

async function answerThatEndsEarly(page, seen) {
  const piece = { choices: [{ index: 0, delta: { content: "Half an" } }] };
  await page.route("**/v1/chat/completions", (route) => route.fulfill({ contentType: "text/event-stream", body: `data: ${JSON.stringify(piece)}\n\n` }));
  await goTo(page, "playground");
  await page.locator("#ask-text").fill("x");
  await page.locator("#ask-send").click();
  seen.cutAnswer = await page.locator("#answer-problem:not([hidden])").innerText();
  seen.factsOfCut = await page.locator("#answer-facts").isVisible();
}

async function signOutWhileAnswering(page, seen) {
  await held(page, "**/v1/chat/completions");
  await goTo(page, "playground");
  await page.locator("#ask-text").fill("x");
  await page.locator("#ask-send").click();
  await page.locator("#ask-stop:not([hidden])").waitFor();
  await page.locator("#sign-out").click();
  await soon(page);
  seen.leftOfAnswer = (await page.locator("#page").innerHTML()).length;
}

async function signOutWhileAPageComes(page, seen) {
  const release = await held(page, "**/console/parts/usage");
  await page.locator("#nav [data-page=usage]").click();
  await page.locator("#sign-out").click();
  release();
  await soon(page);
  seen.leftOfPage = (await page.locator("#page").innerHTML()).length;
}

async function signOutWhileASecretIsMade(page, seen) {
  await goTo(page, "operations");
  const release = await held(page, "**/admin/clients/bob/secrets");
  await page.locator("[id='secrets-bob']").click();
  await page.locator("#sign-out").click();
  release();
  await soon(page);
  seen.dialogsAfter = await page.locator("dialog[open]").count() + await page.locator("#secret-list > *").count();
}

async function asleep(browser, seen) {
  const page = await openPage(browser, seen);
  await page.clock.install();
  await signIn(page, url, "olga", SECRETS.olga);
  await page.clock.setSystemTime(Date.now() + 16 * 60_000); // no timer runs while a computer sleeps
  await page.keyboard.press("Shift");
  await page.locator("#sign-in-notice:not([hidden])").waitFor();
  seen.afterSleep = await page.locator("#sign-in-notice").innerText();
  await page.context().close();
}

async function recordThatDoesNotCome(page, seen) {
  await goTo(page, "audit");
  await page.route("**/audit/entries/*", (route) => route.abort());
  await page.locator("#list .entry").first().click();
  seen.noRecord = await page.locator("#record-verdict.bad").innerText();
  seen.actionsOfNone = await page.locator("#record-actions").isVisible();
}

async function recordThatIsOvertaken(page, seen) {
  await goTo(page, "audit");
  const release = await held(page, "**/audit/entries/3");
  await page.evaluate(async () => {
    const { openRecord } = await import("/console/static/js/record.js");
    openRecord(3);
    openRecord(4);
  });
  await page.locator("#record-near li").first().waitFor();
  release();
  await soon(page);
  seen.overtaken = JSON.parse(await page.locator("#record-raw").textContent()).seq;
}

async function longNumbers(page, seen) {
  await goTo(page, "audit");
  await page.route("**/audit/entries/5", (route) => route.fulfill({ body: '{"seq":5,"action":"ask.received","details":{"messages":[{"role":"user","content":[{"n":9007199254740993}]}]},"hash":""}\n' }));
  await page.evaluate(async () => (await import("/console/static/js/record.js")).openRecord(5));
  seen.longNumber = await page.locator("#record-said p").innerText();
}

/** A choice while the answer to the one before is on its way: nothing is cut off, and the last one is shown. */
async function choosesTwice(browser, seen) {
  const own = noted();
  const page = await openPage(browser, own);
  await signIn(page, url, "olga", SECRETS.olga);
  await goTo(page, "audit");
  const release = await held(page, "**/console/parts/records/list?*");
  for (const action of ["ask.received", "ask.answered", "log.opened"]) {
    await page.locator("#filter-action").selectOption(action);
    await soon(page);
  }
  release();
  await page.locator("#list .chip", { hasText: "log.opened" }).waitFor();
  await settled(page, "audit");
  seen.chosen = await page.locator("#list .chip").allInnerTexts();
  await page.context().close();
  seen.ofChoices = own.complaints;
}

async function noAnswerAtAll(page, seen) {
  await goTo(page, "operations");
  await page.evaluate(() => { htmx.config.timeout = 200; });
  const release = await held(page, "**/console/parts/operations/state");
  seen.silent = await page.locator("#state .empty p").first().innerText();
  release();
}

async function feedThatBreaksOff(page, seen) {
  await goTo(page, "audit");
  await page.route("**/audit/feed?*", (route) => route.abort());
  await page.locator("#live").click();
  seen.feed = await page.locator("#live-note", { hasText: "broke off" }).innerText();
  seen.feedIsOn = await page.locator("#live").getAttribute("aria-pressed");
}

/** An admin disables the client that looks at the console, in another window. */
async function disabledMeanwhile(page, seen) {
  const change = (path, json) => page.evaluate(async ([address, body]) => {
    const { call } = await import("/console/static/js/session.js");
    return (await call(address, { method: "POST", json: body })).text();
  }, [path, json]);
  const { client_secret: secret } = JSON.parse(await change("admin/clients", { client_id: "leaver", roles: ["ai.playground.user"] }));
  const other = await page.context().newPage();
  await signIn(other, url, "leaver", secret);
  await change("admin/clients/leaver/disable");
  const notice = other.locator("#sign-in-notice");
  for (let tries = 0; tries < 60 && !(await notice.isVisible()); tries += 1) { // it holds within a second
    await other.evaluate((page) => { location.hash = page; }, ["records", "usage"][tries % 2]);
    await soon(other);
  }
  seen.disabled = await notice.innerText();
}

/** A role that the policy no longer has, and a form that is sent twice. */
async function changes(page, seen) {
  await page.evaluate(async () => {
    const { call } = await import("/console/static/js/session.js");
    await call("admin/clients", { method: "POST", json: { client_id: "veteran", roles: ["ai.playground.user", "of.old"], allow_unknown_role: true } });
  });
  await goTo(page, "operations");
  await page.locator("[id='roles-veteran']").click();
  await page.locator("#roles-form input[value='ai.token.introspect']").check();
  await page.locator("#roles-form [type=submit]").click();
  await page.waitForFunction(() => document.querySelector("[id='roles-veteran']")?.dataset.roles.includes("introspect"));
  seen.roles = await page.locator("[id='roles-veteran']").getAttribute("data-roles");
  await page.locator("[id='key-veteran']").click();
  await page.evaluate(() => {
    const form = document.querySelector("#key-form");
    form.requestSubmit();
    form.requestSubmit();
  });
  await page.locator("#secret-dialog[open]").waitFor();
  await soon(page);
  await page.locator("#secret-done").click();
  seen.keys = await page.locator("#keys-table tbody tr", { hasText: "veteran" }).count();
  await page.route("**/admin/clients/veteran/secrets", (route) => route.abort());
  await page.locator("[id='secrets-veteran']").click();
  await page.locator("#confirm-dialog[open]").waitFor();
  seen.buttonsOfProblem = await page.locator("#confirm-dialog button:visible").allInnerTexts();
}

async function main() {
  const seen = noted();
  await withBrowser(executablePath, async (browser) => {
    for (const part of [exportWithoutItsLog, answerThatEndsEarly, signOutWhileAnswering, signOutWhileAPageComes,
      signOutWhileASecretIsMade, recordThatDoesNotCome, recordThatIsOvertaken, longNumbers, noAnswerAtAll,
      feedThatBreaksOff, disabledMeanwhile, changes]) {
      await inPage(browser, seen, (page) => part(page, seen)).catch((error) => { throw new Error(`${part.name}: ${error.stack}`); });
    }
    await asleep(browser, seen);
    await choosesTwice(browser, seen);
  });
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
