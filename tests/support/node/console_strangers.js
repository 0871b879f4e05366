// What strangers try: texts that would like to be scripts, other pages that act in the name of who has signed in.
"use strict";

const { goTo, noted, openPage, settled, signIn } = require("./console_page.js");

const HOSTILE = `<img src=x onerror="globalThis.pwned = 1"><script>globalThis.pwned = 2</script>{{7*7}}'"`;
const MADE = "img:not([src^='console/']), script:not([src]), iframe, object, embed, [onerror], [onload], [onclick], a[href^='javascript']";

async function measure(page, seen, where) {
  const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  if (wide > room) seen.wide.push(`${where}: ${wide} in ${room}`);
}

async function hostileTexts(browser, seen, { url, SECRETS }) {
  const page = await openPage(browser, seen, { viewport: { width: 360, height: 800 } });
  await signIn(page, url, "olga", SECRETS.olga);
  const strange = () => page.locator(MADE).count();
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
  seen.elements = await page.locator("#list .entry-text > *, #live-list .entry-text > *").count() + await strange();
  await measure(page, seen, "hostile texts");
  for (const [action, text] of [["ask.received", "onerror"], ["ask.answered", "onerror"], ["request.refused", "onerror"], ["ask.received", "bidi"], ["key.added", "onerror"]]) {
    await page.locator("#filter-action").selectOption(action);
    await page.locator("#filter-text").fill(text);
    await page.waitForFunction(([kind, word]) => {
      const first = document.querySelector("#list .entry");
      return first?.querySelector(".chip").textContent === kind && document.querySelector("#filter-text").value === word && !document.querySelector(".htmx-request");
    }, [action, text]);
    await page.locator("#list .entry").first().click();
    await page.locator("#record-verdict.good").waitFor();
    seen.elements += await page.locator("#record-said p > *, #record-raw > *").count() + await strange();
    await measure(page, seen, `a record of ${action}`);
    await page.keyboard.press("Escape");
  }
  for (const name of ["usage", "operations", "playground"]) {
    await goTo(page, name);
    if (name === "operations") seen.keyShown = await page.locator("#clients td", { hasText: "onerror" }).count();
    if (name === "operations") seen.serverShown = await page.locator("#state li, #state td", { hasText: "src=x/onerror" }).count();
    if (name === "usage") seen.modelShown = await page.locator("#sums th", { hasText: "onerror" }).count();
    seen.elements += await strange();
    await measure(page, seen, `hostile names in ${name}`);
  }
  seen.pwned = await page.evaluate(() => globalThis.pwned ?? null);
  await page.context().close();
}

async function hostileErrors(browser, seen, { url, SECRETS }) {
  const page = await openPage(browser, noted()); // a failed request is complained of by the browser
  await signIn(page, url, "alice", SECRETS.alice);
  await settled(page, "playground");
  await page.route("**/v1/chat/completions", (route) => route.fulfill({ status: 503, json: { error: { message: HOSTILE } } }));
  await page.locator("#ask-text").fill("x");
  await page.locator("#ask-send").click();
  await page.locator("#answer-problem:not([hidden])").waitFor();
  seen.problem = await page.locator("#answer-problem").textContent() === HOSTILE;
  await page.context().close();
}

/** A page of another site, beside one on which an admin has signed in: by forms and by fetch. */
async function otherSite(browser, seen, { url, SECRETS }) {
  const page = await openPage(browser, noted()); // its requests fail, as they should
  await signIn(page, url, "olga", SECRETS.olga);
  const other = await page.context().newPage();
  await other.route("http://evil.example/**", (route) => route.fulfill({ contentType: "text/html", body: "<h1>Another site</h1>" }));
  await other.goto("http://evil.example/");
  const paths = ["/admin/clients", "/admin/clients/bob/disable", "/admin/keys", "/admin/breakers/close", "/token", "/ask", "/console/sign-out"];
  seen.crossSite = await other.evaluate(async ([base, all]) => {
    const read = [];
    for (const path of all) {
      for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/json"]) {
        const asked = { method: "POST", credentials: "include", headers: { "content-type": type }, body: '{"client_id":"stolen","query":"stolen"}' };
        await fetch(base + path, asked).then(() => read.push(`${path} ${type}`), () => {});
        if (type === "text/plain") await fetch(base + path, { ...asked, mode: "no-cors" }).catch(() => {});
      }
    }
    return read;
  }, [url, paths]);
  for (const path of paths) {
    await other.goto("http://evil.example/");
    await other.evaluate(([action]) => {
      const form = document.createElement("form");
      Object.assign(form, { method: "post", action, enctype: "text/plain" });
      form.innerHTML = `<input name='{"client_id":"stolen","x":"' value='"}'>`;
      document.body.append(form);
      form.submit();
    }, [url + path]);
    await other.waitForURL(url + path);
  }
  seen.clientsAfter = await page.evaluate(async () => (await import("/console/static/js/session.js")).call("admin/clients").then((answer) => answer.json()).then(({ clients }) => clients.map((one) => [one.client_id, one.disabled])));
  seen.stillSignedIn = await page.locator("#console").isVisible();
  await page.context().close();
}

async function framed(browser, seen, { url }) {
  const page = await openPage(browser, noted()); // it complains, as it should
  seen.framed = 0;
  for (const path of ["/console", "/console/verify.html", "/console/parts/records", "/docs"]) {
    await page.setContent(`<iframe src="${url}${path}"></iframe>`);
    await page.waitForFunction(() => frames.length === 1);
    await page.frames()[1].waitForLoadState();
    seen.framed += await page.frames()[1].locator("#sign-in, #v-files, #swagger-ui, .problem").count();
  }
  await page.context().close();
}

module.exports = { parts: [hostileTexts, hostileErrors, otherSite, framed] };
