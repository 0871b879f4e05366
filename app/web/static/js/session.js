// Who has signed in. The credential lives in this module's memory and nowhere else: no cookie, no storage.

let credential = null;
let known = null;
let expiry = 0;
let idle = 0;
let touched = 0;
let onEnd = () => {};

const IDLE_MS = Number(document.body.dataset.idleMinutes) * 60_000;

export class Refused extends Error {
  constructor(status, body) {
    super(body.detail ?? body.error_description ?? "The service did not answer as expected.");
    this.status = status;
    this.code = body.code ?? body.error ?? "";
    this.requestId = body.request_id ?? "";
  }
}

/** What the service says of who has signed in: user_id, roles, pages. Null: nobody has. */
export const session = () => known;
export const authorization = () => (credential ? { Authorization: `Bearer ${credential}` } : {});

export async function signIn({ clientId, secret, key }) {
  let given = key;
  if (!given) {
    const body = new URLSearchParams({ grant_type: "client_credentials", client_id: clientId, client_secret: secret });
    given = (await whole(await answered(fetch("token", { method: "POST", body, ...PRIVATE })), "json")).access_token;
  }
  const answer = await answered(fetch("console/session", { headers: { Authorization: `Bearer ${given}` }, ...PRIVATE }));
  known = await whole(answer, "json");
  credential = given;
  if (known.kind === "token") expiry = setTimeout(() => end("Your token has expired. Sign in again."), Math.min(2 ** 31 - 1, known.expires_at * 1000 - Date.now()));
  touched = Date.now();
  touch();
  return known;
}

/** Forget the credential; a token is revoked, too. */
export async function signOut() {
  const headers = authorization();
  end("You are signed out.");
  await fetch("console/sign-out", { method: "POST", headers, keepalive: true, ...PRIVATE }).catch(() => {});
}

export function end(why) {
  if (credential === null) return;
  credential = null;
  known = null;
  clearTimeout(expiry);
  clearTimeout(idle);
  onEnd(why);
}

/** The service no longer takes what was signed in with: disabled, revoked, rotated. */
export const endRefused = () => end("You were signed out: what you signed in with is no longer valid. Sign in again, or ask the person who gave it to you.");

export const whenEnded = (act) => { onEnd = act; };

/** A call in the name of who has signed in. Throws Refused for every answer that is none of success. */
export async function call(path, { method = "GET", json, signal, accept } = {}) {
  const headers = authorization();
  if (json !== undefined) headers["Content-Type"] = "application/json";
  if (accept) headers.Accept = accept;
  return answered(fetch(path, { method, headers, signal, body: json === undefined ? undefined : JSON.stringify(json), ...PRIVATE }));
}

/** The body of *response* in the *form* of one of its methods. Throws Refused where it breaks off: nobody takes a part for the whole. */
export async function whole(response, form) {
  try {
    return await response[form]();
  } catch (error) {
    throw brokenOff(error);
  }
}

/** What a read of a body that did not end in order throws, in words; what was stopped here stays an AbortError. */
export function brokenOff(error) {
  return error.name === "AbortError" ? error : new Refused(0, { detail: "The answer broke off: what came is not the whole of it. Try again." });
}

const PRIVATE = { credentials: "omit", cache: "no-store", referrerPolicy: "no-referrer", redirect: "error" };

async function answered(promise) {
  let response;
  try {
    response = await promise;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, { detail: "The service cannot be reached. Is it running, and is the network there?" });
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  const refused = new Refused(response.status, body.error?.message ? { detail: body.error.message, code: body.error.code } : body);
  if (response.status === 401 && credential !== null) endRefused();
  throw refused;
}

function touch() {
  if (leftIdle()) return;
  touched = Date.now();
  clearTimeout(idle);
  if (credential !== null) idle = setTimeout(endIdle, IDLE_MS);
}

const endIdle = () => end("You were signed out, because nothing was done for a while.");

/** A timer stands still while a computer sleeps: so the clock is asked, too. */
function leftIdle() {
  const isLeft = credential !== null && Date.now() - touched >= IDLE_MS;
  if (isLeft) endIdle();
  return isLeft;
}

for (const event of ["pointerdown", "keydown"]) addEventListener(event, touch, { capture: true, passive: true });
for (const event of ["focus", "visibilitychange"]) addEventListener(event, leftIdle, { capture: true });
addEventListener("pagehide", () => end("You are signed out."));
