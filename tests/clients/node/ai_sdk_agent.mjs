// The Vercel AI SDK as an agent: a tool, as often as the model calls it, and a streamed answer.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import process from 'node:process'

import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { stepCountIs, streamText, tool } from 'ai'
import { z } from 'zod'

const { OPENAI_BASE_URL: baseURL, OPENAI_API_KEY: apiKey, CLIENT_MODEL: name, CLIENT_TASK: prompt } = process.env
const { CLIENT_SAYS: says, CLIENT_GATE: gate } = process.env
const reverse = tool({
  description: 'Turn a text around.',
  inputSchema: z.object({ text: z.string() }),
  execute: async ({ text }) => {
    if (gate) await readFile(gate)
    return [...text].reverse().join('')
  },
})

const model = createOpenAICompatible({ name: 'house', baseURL, apiKey })(name)
const answer = streamText({ model, prompt, tools: { reverse }, stopWhen: stepCountIs(5) })
const pieces = []
for await (const piece of answer.textStream) pieces.push(piece)
assert.equal(pieces.join(''), says)
assert.ok(pieces.length > 1, 'the answer came in one piece: that is no stream')
