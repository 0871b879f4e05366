// Anthropic's SDK for node, with nothing but a base URL and a token: does everything once, prints what came as one JSON document.
// node anthropic.js BASE_URL FAKE_URL; the tokens are TOKEN and TOKEN_WITHOUT_ROLE in the environment.
"use strict";

const { Anthropic } = require("@anthropic-ai/sdk");
const { all, run } = require("./once.js");

const [baseURL, fakeURL] = process.argv.slice(2);
const client = new Anthropic({ baseURL, apiKey: process.env.TOKEN });
const once = client.withOptions({ maxRetries: 0 });
const stranger = new Anthropic({ baseURL, apiKey: "not-a-token" });
const reader = new Anthropic({ baseURL, apiKey: process.env.TOKEN_WITHOUT_ROLE });
const byKey = new Anthropic({ baseURL, apiKey: null, authToken: null, defaultHeaders: { "x-api-key": process.env.TOKEN } });
const nobody = new Anthropic({ baseURL: "http://127.0.0.1:9", apiKey: "any", maxRetries: 0 });

const model = "gpt-4o-mini";
const question = "What is the capital of France?";
const asked = { model, max_tokens: 99, messages: [{ role: "user", content: question }] };
const schema = { type: "object", properties: { city: { type: "string" }, days: { type: "integer" } }, required: ["city", "days"] };
const tools = [{ name: "weather", description: "The weather.", input_schema: schema }];
const picture = { type: "image", source: { type: "base64", media_type: "image/png", data: "iVBORw0KGgo=" } };

const answers = {
  message: () => client.messages.create(asked),
  requestID: async () => (await client.messages.create(asked))._request_id,
  byKey: () => byKey.messages.create(asked),
  picture: () => client.messages.create({ ...asked, messages: [{ role: "user", content: [picture, { type: "text", text: question }] }] }),
  stream: () => all(client.messages.create({ ...asked, stream: true })),
  streamHelper: () => client.messages.stream(asked).finalMessage(),
  tool: () => client.messages.create({ ...asked, tools }),
  toolStream: () => client.messages.stream({ ...asked, tools }).finalMessage(),
  beta: () => client.beta.messages.create({ ...asked, betas: ["context-1m-2025-08-07"] }),
  models: () => all(client.models.list({ limit: 1 })),
  model: () => client.models.retrieve(model),
  count: () => client.messages.countTokens({ model, messages: asked.messages, tools }),
};

/** By name: the fake's mode, and the call. Where retries are counted, the SDK is left as it is. */
const failures = {
  unproven: ["ok", () => stranger.messages.create(asked)],
  unprovenStream: ["ok", () => all(stranger.messages.create({ ...asked, stream: true }))],
  withoutRole: ["ok", () => reader.messages.create(asked)],
  unknownModel: ["ok", () => client.messages.create({ ...asked, model: "gpt-9" })],
  unknownListed: ["ok", () => client.models.retrieve("gpt-9")],
  unknownAddress: ["ok", () => client.messages.batches.list()],
  notAllowed: ["ok", () => client.messages.countTokens({ ...asked, n_predict: 1 })],
  refused400: ["status:400", () => client.messages.create(asked)],
  refused404: ["status:404", () => client.messages.create({ ...asked, stream: true })],
  refused409: ["status:409", () => client.messages.create(asked)],
  refused413: ["status:413", () => client.messages.create(asked)],
  refused422: ["status:422", () => client.messages.create(asked)],
  notServed: ["status:404", () => client.messages.create(asked), { body: '{"detail": "Not Found"}' }],
  unpaid: ["status:402", () => client.messages.create(asked)],
  down: ["status:500", () => client.messages.create(asked), { headers: { "Retry-After": "1" } }],
  garbled: ["garbage", () => once.messages.create(asked)],
  brokenOff: ["cut:2", () => all(client.messages.create({ ...asked, stream: true })), { interval: 0.01 }],
  toldInTheStream: ["error_event:2", () => all(client.messages.create({ ...asked, stream: true })), { interval: 0.01 }],
  tooSlow: ["hang", () => once.messages.create(asked, { timeout: 500 })],
  nobodyThere: ["ok", () => nobody.messages.create(asked)],
};

run(fakeURL, answers, failures, ({ status, errorCode, type, requestID }) => ({ status, errorCode, type, requestID }));
