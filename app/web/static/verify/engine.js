// Starts the worker: from its own file where a server gives the page, from the page itself in the single file.

const POLICY = globalThis.trustedTypes?.createPolicy("verifier", { createScriptURL: (url) => url });

/** Returns {run(given, tell), stop(), ready}: *run* gives the verdict; a run that is overtaken by another never ends. */
export function startEngine() {
  let worker, id = 0, current = null, failure = null, announce;
  const ready = new Promise((resolve) => { announce = resolve; });

  function receive({ data }) {
    if (data.type === "ready") announce(data);
    else if (!current || data.id !== current.id) return;
    else if (data.type === "done") current.resolve(data.verdict);
    else if (data.type === "cannot") current.reject(new Error(data.text));
    else current.tell(data);
  }

  function start() {
    worker = openWorker();
    worker.addEventListener("message", receive);
    worker.addEventListener("error", (event) => { // it may come before anything was given
      failure = new Error(event.message ?? "the worker could not start: reload the page");
      current?.reject(failure);
    });
  }

  function run(given, tell) {
    if (current && !current.ended) { // stop a run over a long log
      worker.terminate();
      start();
    }
    return new Promise((resolve, reject) => {
      if (failure) throw failure;
      const end = (how) => (value) => { current.ended = true; how(value); };
      current = { id: ++id, tell, ended: false, resolve: end(resolve), reject: end(reject) };
      worker.postMessage({ id, given });
    });
  }

  function stop() {
    current = null;
    worker.terminate();
  }

  start();
  return { run, stop, ready };
}

function openWorker() {
  const source = document.getElementById("engine")?.textContent;
  if (!source) return new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  return new Worker(trusted(url));
}

/** In the single file nothing but this address may become a script ("trusted types"). */
function trusted(url) {
  return POLICY ? POLICY.createScriptURL(url) : url;
}
