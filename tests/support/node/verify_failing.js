// The verifier of the console where a part of it fails: node verify_failing.js CHROMIUM URL NAME FOLDER. SECRET in the environment.
// FOLDER holds a receipt. Prints what the page says for each part, as one JSON document.
"use strict";

const path = require("node:path");
const { goTo, noted, openPage, signIn, withBrowser } = require("./console_page.js");

const [executablePath, url, name, folder] = process.argv.slice(2);
const CHANGES = {
  "computes wrongly": ["selftest.js", (source) => source.replace('const ABC = "ba', 'const ABC = "00')],
  "fails inside": ["receipt.js", (source) => source.replace("bytes.length > MAX_NOTE_BYTES", "bytes.absent.length > MAX_NOTE_BYTES")],
  "does not start": ["worker.js", () => "this is no script"],
};

async function main() {
  const seen = {};
  await withBrowser(executablePath, async (browser) => {
    for (const [change, [file, edit]] of Object.entries(CHANGES)) {
      const page = await openPage(browser, noted()); // a worker that fails is complained of
      await page.context().route(`**/static/verify/${file}`, async (route) => {
        const answer = await route.fetch();
        const [before, after] = [await answer.text(), edit(await answer.text())];
        if (before === after) throw new Error(`${file} is not what it was`);
        await route.fulfill({ response: answer, body: after });
      });
      await signIn(page, url, name, process.env.SECRET);
      await goTo(page, "verify");
      if (change === "does not start") await page.waitForTimeout(500); // it fails before anything is given
      await page.setInputFiles("#v-files", path.join(folder, "receipt"));
      await page.waitForFunction(() => /Cannot|Genuine|Consistent|Broken/.test(document.getElementById("v-word").textContent));
      seen[change] = await page.locator("#v-verdict").innerText();
      await page.context().close();
    }
  });
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
