// What the programs of both SDKs share: everything is asked once, and what came is printed as one JSON document.
"use strict";

async function all(stream) {
  const seen = [];
  for await (const one of await stream) seen.push(one);
  return seen;
}

/** *answers*: calls by name. *failures*: by name the fake's mode, the call, and more for the mode. *members*: of an error. */
async function main(fakeURL, answers, failures, members) {
  /** The fake's mode; its counts begin anew. */
  async function upstream(mode, more = {}) {
    await fetch(`${fakeURL}/control/reset`, { method: "POST" });
    await fetch(`${fakeURL}/control/mode`, { method: "POST", body: JSON.stringify({ mode, ...more }) });
  }

  /** The error that *call* rejects with, and how often the model was asked for it. */
  async function failure(call) {
    try {
      await call();
    } catch (error) {
      const { calls } = await (await fetch(`${fakeURL}/control/calls`)).json();
      return { name: error.constructor.name, ...members(error), calls };
    }
    throw new Error("it did not fail");
  }

  const seen = { answers: {}, failures: {} };
  await upstream("ok");
  for (const [name, ask] of Object.entries(answers)) seen.answers[name] = await ask();
  for (const [name, [mode, call, more]] of Object.entries(failures)) {
    await upstream(mode, more);
    seen.failures[name] = await failure(call);
  }
  await upstream("ok");
  process.stdout.write(JSON.stringify(seen));
}

function run(...given) {
  main(...given).catch((error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exitCode = 1;
  });
}

module.exports = { all, run };
