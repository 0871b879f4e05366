// Changes by an admin: each goes through the same API as anybody's program, and is recorded first.

import { confirmed, find, findAll, make, say, setText, show, showSecrets, told } from "./dom.js";
import { call, session, whole } from "./session.js";

const client = (name, change) => `admin/clients/${encodeURIComponent(name)}/${change}`;

export function start(root) {
  let chosen = "";
  const running = new Set(); // buttons

  /** Not to whoever sits there after a sign-out. */
  const shown = (title, secrets) => { if (session()) showSecrets(title, secrets); };
  const refresh = () => htmx.trigger(find("#clients", root), "again");

  async function post(path, json) {
    const response = await call(path, { method: "POST", json });
    const text = await whole(response, "text");
    refresh();
    return text ? JSON.parse(text) : null;
  }

  const ACTIONS = {
    async rotate({ client: name }) {
      if (!(await confirmed(`Replace the secret of ${name}?`, "Its secrets are refused at once. Tokens that it has live until they expire.", "Replace"))) return;
      const made = await post(client(name, "rotate"));
      shown(`The new secret of ${name}`, { Secret: made.client_secret });
    },
    async second({ client: name }) {
      const made = await post(client(name, "secrets"));
      shown(`A second secret of ${name}`, { Secret: made.client_secret });
    },
    async older({ client: name }) {
      if (await confirmed(`Drop the older secret of ${name}?`, "Whoever still uses it is refused at once.", "Drop it")) await post(client(name, "secrets/remove"), { newer: false });
    },
    async disable({ client: name }) {
      if (await confirmed(`Disable ${name}?`, "Its secret, its tokens and its keys are refused within a second. You can enable it again.", "Disable")) await post(client(name, "disable"));
    },
    enable: ({ client: name }) => post(client(name, "enable")),
    async revoke({ key }) {
      if (await confirmed(`Revoke ${key}?`, "It is refused within a second, for good.", "Revoke")) await post(`admin/keys/${encodeURIComponent(key)}/revoke`);
    },
    breaker: async ({ server }) => { await post("admin/breakers/close", { server }); htmx.trigger(find("#state", root), "again"); },
    async roles({ client: name, roles }) {
      chosen = name;
      const held = roles.split(" ").filter(Boolean);
      const dialog = opened("roles-dialog");
      const boxes = find(".checks", dialog);
      for (const added of findAll("[data-added]", boxes)) added.remove();
      const offered = findAll("input", boxes).map((box) => box.value);
      for (const role of held.filter((one) => !offered.includes(one))) { // of another policy: "Set" must not take it away
        boxes.append(make("label", { "data-added": "" }, make("input", { type: "checkbox", name: "roles", value: role }), make("span", { text: role })));
      }
      for (const box of findAll("input", boxes)) box.checked = held.includes(box.value);
    },
    async key({ client: name }) { chosen = name; opened("key-dialog"); },
  };

  function opened(id) {
    const dialog = find(`#${id}`, root);
    find("form", dialog).reset();
    show(find(".problem", dialog), false);
    setText("[data-client]", chosen, dialog);
    dialog.showModal();
    return dialog;
  }

  root.addEventListener("click", async ({ target }) => {
    const button = target.closest("button");
    if (button?.dataset.open) opened(button.dataset.open);
    if (button?.hasAttribute("data-close")) button.closest("dialog").close();
    if (!button?.dataset.do) return;
    await once(button, async () => {
      await ACTIONS[button.dataset.do](button.dataset);
      say("Done.");
    }, (error) => told("That did not work", error.message));
  });

  submitted("client-form", async (given, roles) => {
    const made = await post("admin/clients", { client_id: given.client_id.trim(), roles, key: "key" in given, ...(given.rpm ? { rpm: Number(given.rpm) } : {}) });
    return () => shown(`${made.client_id} is added`, { "Client id": made.client_id, Secret: made.client_secret, ...(made.key ? { "API key": made.key } : {}) });
  });
  submitted("roles-form", async (given, roles) => { await post(client(chosen, "roles"), { roles, allow_unknown_role: true }); });
  submitted("key-form", async (given) => {
    const made = await post("admin/keys", { client_id: chosen, ...(given.name ? { name: given.name } : {}), ...(given.days ? { expires_in: Number(given.days) * 86_400 } : {}) });
    return () => shown(`A key for ${chosen}`, { "API key": made.key });
  });

  function submitted(id, change) {
    const form = find(`#${id}`, root);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const problem = find(".problem", form);
      const data = new FormData(form);
      show(problem, false);
      await once(find("[type=submit]", form), async () => {
        const then = await change(Object.fromEntries(data), data.getAll("roles"));
        form.closest("dialog").close();
        then?.();
        say("Done.");
      }, (error) => {
        setText(problem, error.message);
        show(problem);
      });
    });
  }

  /** A second press while it is under way does nothing: each makes a secret that is shown once. */
  async function once(button, act, failed) {
    if (running.has(button)) return;
    running.add(button);
    try {
      await act();
    } catch (error) {
      if (session()) await failed(error);
    } finally {
      running.delete(button);
    }
  }
}
