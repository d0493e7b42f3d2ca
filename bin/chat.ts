import { dialogue } from './chat-dialogue.ts'
import { type ChatLoopOptions, chatLoop } from './chat-loop.ts'
import { checkModel } from './chat-models.ts'
import { withPeer } from './chat-peer.ts'
import { type Command, type Input, numberOf } from './command.ts'
import { Conversation } from './conversation.ts'
import { type Io, print, UsageError } from './io.ts'
import { LineHistory } from './line-history.ts'
import { chooseModel } from './peer-state.ts'
import { pipedMessages, wholeText } from './piped-messages.ts'

export const chat: Command = {
  name: 'chat',
  operands: '[MODEL] [PROMPT…]',
  operandsMax: Number.POSITIVE_INFINITY,
  summary: 'Talk to a model of the running peer, or of one that runs just for this.',
  options: [
    {
      name: 'once',
      placeholder: 'QUESTION',
      help: 'Ask this one question and end, whatever stdin is.',
    },
    { name: 'lines', help: 'Each line of stdin is a message, and all are one conversation.' },
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
    {
      name: 'seed',
      placeholder: 'N',
      help: 'The same seed, question and model give the same answer, where the model can.',
      defaultText: 'another each time',
    },
    { name: 'no-history', help: 'Neither keep the lines that are typed nor offer earlier ones.' },
  ],
  details: [
    'On a terminal it converses: /help shows what else can be typed, """ begins and ends a message ' +
      'of several lines, and what is pasted is one message. Ctrl-C stops an answer, and twice leaves, ' +
      'as Ctrl-D does. Lines are kept in the data folder for the arrow keys of the next chat, but ' +
      'for those that begin with a space.',
    'With a PROMPT, or from a pipe, it answers once: what is asked is the prompt, and behind it all ' +
      'that comes from stdin. Then stdout has the answer and nothing else. With --json it is a line ' +
      'for each piece, {"event":"token"}, and one for the whole, {"event":"done"}, with its receipt.',
    'When the context is full, the oldest answers and their questions are no longer given to the ' +
      'model; a quarter of the context, or --max-tokens of it, stays free for the answer.',
    'Where the terminal shows colours, words that are only drafted stand dim until the model ' +
      'has settled them.',
  ],
  examples: [
    ['pinaivu-peer chat', "Talk to the peer's first chat model"],
    ['pinaivu-peer chat phi-4 "What is a peer?"', 'One question'],
    ['git diff | pinaivu-peer chat phi-4 "Write a commit message."', 'About what a pipe brings'],
    ['echo "Hello!" | pinaivu-peer chat --json', 'For programs: tokens, then the whole, as JSON'],
  ],
  run: runChat,
}

async function runChat(input: Input, io: Io): Promise<number> {
  const { system } = input.values
  const given = {
    temperature: numberOf(input, 'temperature', { min: 0, max: 2 }),
    maxTokens: numberOf(input, 'max-tokens', { min: 1, whole: true }),
    seed: numberOf(input, 'seed', { min: 0, whole: true }),
    ...(typeof system === 'string' && system.trim() !== '' && { system }),
  }
  // Before a peer is started for nothing.
  const questions = await questionsOf(input, io)
  return withPeer(input, io, async (peer) => {
    const [wanted] = input.operands
    const model = await chooseModel(peer.client, wanted, io.signal)
    if (wanted !== undefined) await checkModel(peer.client, wanted, io.signal)
    const conversation = new Conversation(peer, { model, ...given })
    const { json } = input
    if (questions !== undefined) return chatLoop(conversation, io, { json, questions })
    const isKept = input.values['no-history'] !== true
    const history = isKept ? new LineHistory(input.dataDir) : undefined
    return dialogue({ peer, conversation, io, history })
  })
}

const WAITING_MS = 3000
const waitingText =
  'Waiting for the end of stdin: what comes from there belongs to the question. --once reads nothing.'

/** What is asked when nobody converses; undefined at a terminal. */
async function questionsOf(
  { operands, values, json }: Input,
  { stdin, stderr, signal }: Io,
): Promise<ChatLoopOptions['questions'] | undefined> {
  const words = operands.slice(1).join(' ')
  const { once } = values
  if (typeof once === 'string') {
    if (words !== '') throw new UsageError('Ask either with --once or behind the model.')
    if (values.lines === true) throw new UsageError('--once reads nothing, and --lines does.')
    return [once]
  }
  const isTyped = stdin.isTTY === true
  if (values.lines === true || (isTyped && json && words === '')) {
    if (words === '') return pipedMessages(stdin, signal)
    throw new UsageError('With --lines the questions come from stdin, and none behind the model.')
  }
  if (isTyped) return words === '' ? undefined : [words]
  const hint = setTimeout(() => print(stderr, waitingText), WAITING_MS)
  const piped = await wholeText(stdin, signal).finally(() => clearTimeout(hint))
  const parts = [words, piped].filter((part) => part.trim() !== '')
  if (parts.length > 0) return [parts.join('\n\n')]
  throw new UsageError('There is nothing to ask: write a question to stdin, or behind the model.')
}
