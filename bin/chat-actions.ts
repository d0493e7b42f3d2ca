import { type ChatCommand, unquoted } from './chat-commands.ts'
import { checkModel, modelLines } from './chat-models.ts'
import type { ChatPeer } from './chat-peer.ts'
import { turnReceiptLines } from './chat-receipt.ts'
import type { Conversation } from './conversation.ts'
import { CommandError, type Io, type Output } from './io.ts'
import { loadChat, saveChat } from './saved-chat.ts'
import { safeLine, safeText } from './text.ts'

export interface ChatActionParts {
  peer: ChatPeer
  conversation: Conversation
  io: Io
  /** What is said is for there. */
  screen: Output
}

/** Does what was typed instead of a question, and gives the lines to show. */
export async function runChatCommand(
  { name, argument, isForced }: ChatCommand,
  { peer, conversation, io, screen }: ChatActionParts,
  signal: AbortSignal,
): Promise<string[]> {
  switch (name) {
    case 'model': {
      if (argument === '') {
        return modelLines(peer.client, conversation.model, screen, { env: io.env, signal })
      }
      await checkModel(peer.client, argument, signal)
      conversation.model = argument
      return [`From now on with ${safeLine(argument)}.`]
    }
    case 'system':
      return system(conversation, argument)
    case 'save': {
      const file = unquoted(argument)
      const { model, system: told, turns } = conversation
      await saveChat(file, { model, system: told, turns }, isForced)
      return [`Written to ${safeLine(file)}.`]
    }
    case 'load':
      return load(conversation, unquoted(argument))
    case 'receipt': {
      const turn = conversation.turns.at(-1)
      if (turn === undefined) throw new CommandError('There is no answer yet.')
      if (turn.requestId === undefined) {
        throw new CommandError('The last answer came without the id of its request.')
      }
      return turnReceiptLines(turn, peer.client, screen, { ...io, signal })
    }
    case 'clear':
      conversation.begin()
      return ['What was said is forgotten.']
    default:
      return []
  }
}

function system(conversation: Conversation, argument: string): string[] {
  if (argument === '') {
    const { system: told } = conversation
    return [told === undefined ? 'It is told nothing beforehand.' : safeText(told)]
  }
  const text = argument === 'clear' ? '' : unquoted(argument)
  conversation.system = text.trim() === '' ? undefined : text
  return [
    conversation.system === undefined
      ? 'It is told nothing beforehand any more.'
      : 'It is told that beforehand from now on. "/system clear" ends it.',
  ]
}

async function load(conversation: Conversation, file: string): Promise<string[]> {
  const { model, system: told, turns } = await loadChat(file)
  conversation.begin(turns)
  conversation.system = told
  const count = turns.length === 1 ? '1 answer' : `${turns.length} answers`
  const other = model !== '' && model !== conversation.model
  return [
    `Loaded ${count} from ${safeLine(file)}.`,
    ...(other
      ? [`They are of ${safeLine(model)}: "/model ${safeLine(model)}" goes on with it.`]
      : []),
  ]
}
