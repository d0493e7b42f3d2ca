import { chatLoop } from './chat-loop.ts'
import { withPeer } from './chat-peer.ts'
import { type Command, type Input, numberOf } from './command.ts'
import { Conversation, type ConversationOptions } from './conversation.ts'
import type { Io } from './io.ts'
import { chooseModel } from './peer-state.ts'

export const chat: Command = {
  name: 'chat',
  operands: '[MODEL]',
  operandsMax: 1,
  summary: 'Talk to a model of the running peer, or of one that runs just for this.',
  options: [
    {
      name: 'once',
      placeholder: 'QUESTION',
      help: 'Ask this one question and end.',
    },
    { name: 'system', placeholder: 'TEXT', help: 'What the model is told beforehand.' },
    {
      name: 'temperature',
      placeholder: 'T',
      help: 'From 0, always the likeliest word, to 2.',
      defaultText: "the peer's, 0.7",
    },
    {
      name: 'max-tokens',
      placeholder: 'N',
      help: 'The most tokens of one answer.',
      defaultText: 'as many as fit',
    },
  ],
  details: [
    'On a terminal, Ctrl-C stops an answer; at the prompt, Ctrl-D or Ctrl-C twice leaves. /help ' +
      'shows what else can be typed. From a pipe, each line is a question.',
    'Where the terminal shows colours, words that are only drafted stand dim until the model ' +
      'has settled them.',
  ],
  examples: [
    ['pinaivu-peer chat', "Talk to the peer's first chat model"],
    ['pinaivu-peer chat --once "What is a peer?"', 'One question'],
    ['echo "Hello!" | pinaivu-peer chat --json', 'For programs: a JSON object for each answer'],
  ],
  run: runChat,
}

async function runChat(input: Input, io: Io): Promise<number> {
  const { system, once } = input.values
  const temperature = numberOf(input, 'temperature', { min: 0, max: 2 })
  const maxTokens = numberOf(input, 'max-tokens', { min: 1, whole: true })
  return withPeer(input, io, async (client) => {
    const model = await chooseModel(client, input.operands[0], io.signal)
    const options: ConversationOptions = { model, temperature, maxTokens }
    if (typeof system === 'string') options.system = system
    const conversation = new Conversation(client, options)
    return chatLoop(conversation, io, {
      model,
      json: input.json,
      ...(typeof once === 'string' ? { once } : {}),
    })
  })
}
