// The console without a mouse: everything is reached by Tab, is seen to have the focus, and works.
"use strict";

const { openPage, settled, signIn } = require("./console_page.js");

const PAGES = ["playground", "records", "verify", "usage", "operations", "audit"];

/** Tab from the top until the focus is at the top again: what cannot be reached, and what is not seen to have it. */
async function tabThrough(page) {
  const count = await page.evaluate(() => {
    const groups = new Set();
    const wanted = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")].filter((one) => {
      if (one.disabled || !one.checkVisibility({ visibilityProperty: true }) || one.tabIndex < 0 || one.closest("[inert], dialog:not([open])")) return false;
      if (one.type !== "radio") return true;
      return !groups.has(one.name) && groups.add(one.name);
    });
    globalThis.tabbed = { wanted, reached: new Set(), unseen: [] };
    addEventListener("focusin", ({ target }) => {
      globalThis.tabbed.reached.add(target.type === "radio" ? target.name : target);
      const { outlineStyle, outlineWidth } = getComputedStyle(target.type === "radio" ? target.nextElementSibling ?? target : target);
      if (outlineStyle === "none" || parseFloat(outlineWidth) < 1) globalThis.tabbed.unseen.push(target.outerHTML.slice(0, 80));
    });
    document.activeElement.blur();
    scrollTo(0, 0);
    return wanted.length + 4 * document.querySelectorAll("[type=date]").length; // each has several stops of its own
  });
  for (let steps = 0; steps < count + 6; steps += 1) await page.keyboard.press("Tab");
  return page.evaluate(() => {
    const { wanted, reached, unseen } = globalThis.tabbed;
    const missed = wanted.filter((one) => one.isConnected && !reached.has(one.type === "radio" ? one.name : one));
    return [...missed.map((one) => `not reached: ${one.outerHTML.slice(0, 80)}`), ...unseen.map((one) => `not seen: ${one}`)];
  });
}

async function everyPage(browser, seen, { url, SECRETS }) {
  const page = await openPage(browser, seen);
  seen.tabs = {};
  await page.goto(`${url}/console`);
  seen.tabs["sign-in"] = await tabThrough(page);
  await signIn(page, url, "olga", SECRETS.olga);
  for (const name of PAGES) {
    await page.locator(`#nav [data-page=${name}]`).focus();
    await page.keyboard.press("Enter");
    await settled(page, name);
    seen.tabs[name] = await tabThrough(page);
  }
  await page.context().close();
}

const tools = (page) => ({
  type: (text) => page.keyboard.type(text),
  press: (key) => page.keyboard.press(key),
  has: (selector) => page.waitForFunction((wanted) => document.activeElement?.matches(wanted), selector),
  reach: async (selector, key = "Tab") => {
    for (let steps = 0; steps < 120; steps += 1) {
      if (await page.evaluate((wanted) => document.activeElement.matches(wanted), selector)) return;
      await page.keyboard.press(key);
    }
    throw new Error(`${selector} is not reached by ${key}`);
  },
});

async function questionToReceipt(browser, seen, { url, SECRETS }) {
  const page = await openPage(browser, seen);
  const { type, press, has, reach } = tools(page);
  await page.goto(`${url}/console`);
  await type("alice");
  await press("Tab");
  await type(SECRETS.alice);
  await press("Enter");
  await settled(page, "playground");
  await has("#ask-text");
  await type("What is a receipt?");
  await press("Control+Enter");
  await page.locator("#receipt").waitFor();
  seen.receipt = await page.locator("#receipt-name").innerText();
  await reach("#receipt-show");
  await press("Enter");
  await page.locator("#record-verdict.good").waitFor();
  await press("Escape");
  await has("#receipt-show");
  await reach("#receipt-verify");
  await press("Enter");
  await settled(page, "verify");
  await page.waitForFunction(() => !/^(Nothing|Checking)/.test(document.querySelector("#v-word").textContent));
  seen.verified = await page.locator("#v-word").innerText();
  await reach("#nav [data-page=records]", "Shift+Tab");
  await press("Enter");
  await settled(page, "records");
  await reach("#list .entry");
  await press("Enter");
  await page.locator("#record-near .link").first().waitFor();
  await reach("#record-near .link");
  await press("Enter");
  await has("#record-title");
  await press("Escape");
  await has("#list .entry");
  seen.dialogLeft = await page.locator("#record-dialog").evaluate((dialog) => !dialog.open);
  await reach("#live", "Shift+Tab");
  await press("Space");
  await page.locator("#live[aria-pressed=true]").waitFor();
  await page.context().close();
}

async function usageByKeys(browser, seen, { url, SECRETS }) {
  const page = await openPage(browser, seen);
  const { type, press, reach } = tools(page);
  await signIn(page, url, "carol", SECRETS.carol);
  await reach("#nav [data-page=usage]", "Shift+Tab");
  await press("Enter");
  await settled(page, "usage");
  await reach("#span-since");
  await type("Today");
  await settled(page, "usage");
  await reach("#span-user");
  await type("alice");
  await page.waitForFunction(() => document.querySelectorAll("#by-principal ~ .scroll tbody tr").length === 1);
  await reach("[data-chart=money]");
  await press("Enter");
  await page.locator("[data-chart=money][aria-pressed=true]").waitFor();
  await page.context().close();
}

async function operationsByKeys(browser, seen, { url, SECRETS }) {
  const page = await openPage(browser, seen);
  const { type, press, has, reach } = tools(page);
  await signIn(page, url, "adam", SECRETS.adam);
  await reach("#nav [data-page=operations]", "Shift+Tab");
  await press("Enter");
  await settled(page, "operations");
  await reach("#client-add");
  await press("Enter");
  await has("#new-client");
  await press("Escape");
  await has("#client-add");
  await press("Enter");
  await type("by-keys");
  await press("Enter");
  await page.locator("#secret-done").waitFor();
  await reach("#secret-done");
  await press("Enter");
  await page.locator("#state-by-keys").waitFor();
  await has("#client-add");
  await reach("#roles-by-keys");
  await press("Enter");
  await reach("#roles-form input[value='ai.audit.reader']");
  await press("Space");
  await press("Enter");
  await page.locator("tr", { has: page.locator("#roles-by-keys") }).locator(".role", { hasText: "ai.audit.reader" }).waitFor();
  await has("#roles-by-keys");
  await reach("#key-by-keys");
  await press("Enter");
  await type("a key");
  await press("Enter");
  await page.locator("#secret-done").waitFor();
  await reach("#secret-done");
  await press("Enter");
  await has("#key-by-keys");
  for (const [button, done] of [["#secrets-by-keys", "#secret-done"], ["#rotate-by-keys", "#confirm-yes"], [null, "#secret-done"], ["#state-by-keys[data-do=disable]", "#confirm-yes"]]) {
    if (button) {
      await reach(button);
      await press("Enter");
    }
    await page.locator(done).waitFor();
    await reach(done);
    await press("Enter");
  }
  await has("#state-by-keys[data-do=enable]");
  await press("Enter");
  await has("#state-by-keys[data-do=disable]");
  await page.context().close();
}

async function auditByKeys(browser, seen, { url, SECRETS }) {
  const page = await openPage(browser, seen);
  const { press, has, reach } = tools(page);
  await signIn(page, url, "carol", SECRETS.carol);
  await reach("#nav [data-page=audit]", "Shift+Tab");
  await press("Enter");
  await settled(page, "audit");
  await reach("#log [data-action='log.opened']");
  await press("Enter");
  await page.waitForFunction(() => document.querySelectorAll("#list .entry").length === 1);
  await reach("#export-open");
  await press("Enter");
  await reach("#export-form [value=jsonl]");
  await press("ArrowDown");
  const [saved] = await Promise.all([page.waitForEvent("download"), press("Enter")]);
  seen.savedByKeys = saved.suggestedFilename();
  await has("#export-open");
  await reach("#filter-action", "Shift+Tab");
  await press("Home");
  await page.locator(".older button").waitFor();
  await reach(".older button");
  await press("Enter");
  await page.waitForFunction(() => document.activeElement === document.querySelectorAll("#list .entry")[50]);
  await page.context().close();
}

module.exports = { parts: [everyPage, questionToReceipt, usageByKeys, operationsByKeys, auditByKeys] };
