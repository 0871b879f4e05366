// The Vercel AI SDK with its OpenAI-compatible provider.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import process from 'node:process'

import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { embedMany, generateText, Output, stepCountIs, streamText, tool } from 'ai'
import { z } from 'zod'

const { OPENAI_BASE_URL: baseURL, OPENAI_API_KEY: apiKey, CLIENT_MODEL: name } = process.env
const provider = createOpenAICompatible({ name: 'house', baseURL, apiKey, includeUsage: true, supportsStructuredOutputs: true })
const model = provider(name)

const echo = (question) => 'echo: ' + createHash('sha256').update(question).digest('hex').slice(0, 16)
const weather = tool({
  description: 'The weather in a city.',
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `sunny in ${city}`,
})
const place = z.object({ name: z.string(), inhabitants: z.number().int() })
const asked = { name: 'text', inhabitants: 1 } // the upstream fills a schema with these

async function collect (stream) {
  const pieces = []
  for await (const piece of stream) pieces.push(piece)
  return pieces
}

async function chat () {
  const answer = await generateText({ model, prompt: 'ai: a chat' })
  assert.equal(answer.text, echo('ai: a chat'))
  assert.ok(answer.usage.totalTokens > 0)
}

async function stream () {
  const answer = streamText({ model, prompt: 'ai: a stream' })
  const pieces = await collect(answer.textStream)
  assert.equal(pieces.join(''), echo('ai: a stream'))
  assert.ok(pieces.length > 1, 'the answer came in one piece: that is no stream')
  assert.ok((await answer.usage).totalTokens > 0)
}

async function tools () {
  const answer = await generateText({ model, prompt: 'ai: a tool', tools: { weather }, stopWhen: stepCountIs(3) })
  assert.deepEqual(answer.steps[0].toolResults.map((one) => one.output), ['sunny in text'])
  assert.equal(answer.text, echo('sunny in text'))
  const streamed = streamText({ model, prompt: 'ai: a streamed tool', tools: { weather }, stopWhen: stepCountIs(3) })
  assert.equal((await collect(streamed.textStream)).join(''), echo('sunny in text'))
}

async function structured () {
  const output = Output.object({ schema: place })
  assert.deepEqual((await generateText({ model, prompt: 'ai: a place', output })).output, asked)
  const streamed = streamText({ model, prompt: 'ai: a streamed place', output })
  assert.deepEqual((await collect(streamed.partialOutputStream)).at(-1), asked)
}

async function embeddings () {
  const answer = await embedMany({ model: provider.embeddingModel(name), values: ['one', 'two'] })
  assert.equal(answer.embeddings.length, 2)
  assert.notDeepEqual(answer.embeddings[0], answer.embeddings[1])
}

for (const step of [chat, stream, tools, structured, embeddings]) await step()
