import { link, rename, rm, stat, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { messageOf } from '../src/index.ts'
import { CommandError } from './io.ts'
import { isAddress, readText } from './receipt-source.ts'
import { withoutControls } from './text.ts'
import type { Turn } from './trim-turns.ts'

/** A conversation as it stands in a file. */
export interface SavedChat {
  model: string
  system: string | undefined
  turns: readonly Turn[]
}

const ownerOnly = 0o600
/** As many messages as a request may have. */
const TURNS_MAX = 2000

const isJson = (file: string): boolean => file.toLowerCase().endsWith('.json')

/** A file as a person types it. */
export const pathOf = (file: string): string =>
  resolve(file === '~' || file.startsWith('~/') ? join(homedir(), file.slice(1)) : file)

/**
 * Writes a conversation as JSON or Markdown. The file appears when it is whole; one that stands there
 * is replaced only where that was said.
 */
export async function saveChat(file: string, chat: SavedChat, isForced: boolean): Promise<void> {
  const path = pathOf(file)
  const fresh = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`)
  const text = isJson(path) ? jsonOf(chat) : markdownOf(chat)
  try {
    await rm(fresh, { force: true })
    await writeFile(fresh, text, { mode: ownerOnly, flag: 'wx', flush: true })
    await (isForced ? rename(fresh, path) : place(fresh, path))
  } catch (cause) {
    if (isCode(cause, 'EEXIST')) {
      throw new CommandError(`${file} is there already. To replace it: /save! ${file}`, { cause })
    }
    throw new CommandError(`Cannot write ${file}: ${messageOf(cause)}.`, { cause })
  } finally {
    await rm(fresh, { force: true })
  }
}

/** A link is refused where the name is taken; a renamed file would replace what has it. */
async function place(fresh: string, path: string): Promise<void> {
  try {
    await link(fresh, path)
  } catch (error) {
    // Not all file systems have links.
    if (!['EPERM', 'ENOTSUP', 'ENOSYS'].some((code) => isCode(error, code))) throw error
    const isThere = await stat(path).then(
      () => true,
      () => false,
    )
    if (isThere) throw Object.assign(new Error('it is there'), { code: 'EEXIST' })
    await rename(fresh, path)
  }
}

const isCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code

export async function loadChat(file: string): Promise<SavedChat> {
  return parseChat(await readText(pathOf(file)), file)
}

export function jsonOf({ model, system, turns }: SavedChat): string {
  const messages = [
    ...(system === undefined ? [] : [{ role: 'system', content: system }]),
    ...turns.flatMap((turn) => [
      { role: 'user', content: turn.question },
      {
        ...{ role: 'assistant', content: turn.answer, model: turn.model },
        ...(turn.isCut && { cut: true }),
        ...(turn.requestId !== undefined && { request_id: turn.requestId }),
        ...(turn.receipt !== undefined && { receipt: turn.receipt }),
      },
    ]),
  ]
  const text = JSON.stringify({ object: 'chat', version: 1, model, messages }, null, 2)
  // JSON lets those through that a terminal obeys like an ESC.
  return `${text.replace(/[\u007f-\u009f]/g, (each) => `\\u00${each.charCodeAt(0).toString(16)}`)}\n`
}

/** For people: what commands a terminal is shown in it, as in the chat. */
export function markdownOf({ model, system, turns }: SavedChat): string {
  const parts = [
    `# A chat with ${model.replace(/\s+/g, ' ')}`,
    ...(system === undefined ? [] : ['## System', system]),
    ...turns.flatMap((turn) => [
      '## You',
      turn.question,
      `## ${turn.model.replace(/\s+/g, ' ')}`,
      turn.answer,
      ...(turn.isCut ? ['*(cut off)*'] : []),
      ...(turn.receipt === undefined ? [] : [`<!-- receipt ${turn.receipt.cid} -->`]),
    ]),
  ]
  return withoutControls(`${parts.join('\n\n')}\n`)
}

/** What `/save` wrote as JSON, or a list of messages as OpenAI's clients have it. */
export function parseChat(text: string, file: string): SavedChat {
  const wrong = (says: string, cause?: unknown) =>
    new CommandError(`${file} is no chat that was saved as JSON: ${says}.`, { cause })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw wrong('it is not JSON', cause)
  }
  const { model, messages } = (value ?? {}) as { model?: unknown; messages?: unknown }
  if (!Array.isArray(messages)) throw wrong('it has no list of messages')
  if (messages.length > 2 * TURNS_MAX + 1) throw wrong(`it has more than ${TURNS_MAX} answers`)
  const said = messages.map((each) => {
    const { role, content } = (each ?? {}) as SavedMessage
    if (typeof role === 'string' && typeof content === 'string') return { ...each, role, content }
    throw wrong('a message has no role or no text')
  })
  const system = said[0]?.role === 'system' ? said.shift() : undefined
  const name = typeof model === 'string' ? model : ''
  const turns = said.flatMap((message, at): Turn[] => {
    if (message.role !== (at % 2 === 0 ? 'user' : 'assistant')) {
      throw wrong('user and assistant do not take turns')
    }
    return at % 2 === 0 ? [] : [turnOf(said[at - 1]?.content ?? '', message, name)]
  })
  // The last question may have no answer.
  return { model: name, system: system?.content, turns }
}

interface SavedMessage {
  role?: unknown
  content?: unknown
  model?: unknown
  cut?: unknown
  request_id?: unknown
  receipt?: { cid?: unknown; prompt_nonce?: unknown } | null
}

function turnOf(question: string, saved: SavedMessage & { content: string }, name: string): Turn {
  const { content, model, cut, request_id: requestId } = saved
  const { cid, prompt_nonce: nonce } = saved.receipt ?? {}
  return {
    ...{ question, answer: content, isCut: cut === true },
    model: typeof model === 'string' ? model : name,
    requestId: typeof requestId === 'string' && isAddress(requestId) ? requestId : undefined,
    receipt:
      typeof cid === 'string' && /^[\w:]{1,128}$/.test(cid)
        ? { cid, ...(typeof nonce === 'string' && { prompt_nonce: nonce }) }
        : undefined,
  }
}
