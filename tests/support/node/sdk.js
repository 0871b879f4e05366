// OpenAI's SDK for node, with nothing but a base URL and a token: does everything once, prints what came as one JSON document.
// node sdk.js BASE_URL FAKE_URL; the tokens are TOKEN and TOKEN_WITHOUT_ROLE in the environment.
"use strict";

const { OpenAI } = require("openai");
const { all, run } = require("./once.js");

const [baseURL, fakeURL] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: process.env.TOKEN });
const once = client.withOptions({ maxRetries: 0 });
const stranger = new OpenAI({ baseURL, apiKey: "not-a-token" });
const reader = new OpenAI({ baseURL, apiKey: process.env.TOKEN_WITHOUT_ROLE });
const nobody = new OpenAI({ baseURL: "http://127.0.0.1:9/v1", apiKey: "any", maxRetries: 0 });

const model = "gpt-4o-mini";
const question = "What is the capital of France?";
const chat = { model, messages: [{ role: "user", content: question }] };
const response = { model, input: question };
const parameters = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer" } },
  required: ["city", "days"],
  additionalProperties: false,
};
const schema = { name: "trip", strict: true, schema: parameters };
const tools = [{ type: "function", function: { name: "weather", parameters } }];
const picture = { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=", detail: "low" } };

const answers = {
  chat: () => client.chat.completions.create(chat),
  requestID: async () => (await client.chat.completions.create(chat))._request_id,
  headers: async () => Object.fromEntries((await client.chat.completions.create(chat).withResponse()).response.headers),
  stream: () => all(client.chat.completions.create({ ...chat, stream: true })),
  countedStream: () => all(client.chat.completions.create({ ...chat, stream: true, stream_options: { include_usage: true } })),
  streamHelper: () => client.chat.completions.stream(chat).finalChatCompletion(),
  picture: () =>
    client.chat.completions.create({ model, messages: [{ role: "user", content: [{ type: "text", text: question }, picture] }] }),
  tool: () => client.chat.completions.create({ ...chat, tools }),
  toolStream: () => client.chat.completions.stream({ ...chat, tools }).finalChatCompletion(),
  parsed: () => client.chat.completions.parse({ ...chat, response_format: { type: "json_schema", json_schema: schema } }),
  choices: () => client.chat.completions.create({ ...chat, n: 2, logprobs: true, seed: 7, stop: ["END"] }),
  response: () => client.responses.create(response),
  responseStream: () => all(client.responses.create({ ...response, stream: true })),
  responseHelper: () => client.responses.stream(response).finalResponse(),
  responseParsed: () => client.responses.parse({ ...response, text: { format: { type: "json_schema", ...schema } } }),
  embeddings: () => client.embeddings.create({ model, input: ["one", "zwölf 🐈"] }),
  embeddingsAsNumbers: () => client.embeddings.create({ model, input: ["one", "zwölf 🐈"], encoding_format: "float" }),
  models: () => all(client.models.list()),
  model: () => client.models.retrieve(model),
};

/** By name: the fake's mode, and the call. Where retries are counted, the SDK is left as it is. */
const failures = {
  unproven: ["ok", () => stranger.chat.completions.create(chat)],
  unprovenStream: ["ok", () => stranger.responses.create({ ...response, stream: true })],
  withoutRole: ["ok", () => reader.models.list()],
  unknownModel: ["ok", () => client.chat.completions.create({ ...chat, model: "gpt-9" })],
  unknownAddress: ["ok", () => client.files.list()],
  aboveTheCap: ["ok", () => client.chat.completions.create({ ...chat, max_tokens: 1_000_000 })],
  refused400: ["status:400", () => client.chat.completions.create(chat)],
  refused409: ["status:409", () => client.chat.completions.create({ ...chat, stream: true })],
  refused422: ["status:422", () => client.responses.create(response)],
  unpaid: ["status:429", () => client.chat.completions.create(chat), { body: '{"error": {"code": "insufficient_quota"}}' }],
  down: ["status:500", () => client.chat.completions.create(chat), { headers: { "Retry-After": "1" } }],
  garbled: ["garbage", () => once.chat.completions.create(chat)],
  brokenOff: ["cut:2", () => all(client.chat.completions.create({ ...chat, stream: true })), { interval: 0.01 }],
  brokenOffResponse: ["error_event:2", () => all(client.responses.create({ ...response, stream: true })), { interval: 0.01 }],
  tooSlow: ["hang", () => once.chat.completions.create(chat, { timeout: 500 })],
  nobodyThere: ["ok", () => nobody.chat.completions.create(chat)],
};

run(fakeURL, answers, failures, (error) => {
  const { status, code, type, param, requestID } = error;
  return { status, code, type, param, requestID, members: error.error ? Object.keys(error.error) : null };
});
