import { LlamaText, SpecialTokensText, type Tokenizer } from 'node-llama-cpp'
import { InvalidError, messageOf, PeerError } from '../../../base/errors.ts'
import type { Message } from '../../../wire/job.ts'
import type { NativeTemplate } from './binding.ts'

/** What most models without a template of their own were tuned with, and what llama.cpp assumes. */
export const CHATML =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + " +
  "'<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}" +
  "{{ '<|im_start|>assistant\\n' }}{% endif %}"

export interface ChatPromptComponents {
  template: NativeTemplate
  /** Its source, where the marks that stand for contents must not occur. */
  templateText: string
}

export interface SpecialTexts {
  bos: string
  eos: string
}

/**
 * Renders messages with the model's own template. The template sees a mark instead of each content,
 * so that no text of a caller is ever read as a control token.
 */
export class ChatPrompt {
  readonly #components: ChatPromptComponents
  readonly #special: SpecialTexts
  readonly #mark: string

  constructor(components: ChatPromptComponents, special: SpecialTexts) {
    this.#components = components
    this.#special = special
    let salt = 0
    while (components.templateText.includes(`PNV${salt}M`)) salt++
    this.#mark = `PNV${salt}M`
  }

  tokens(messages: readonly Message[], tokenizer: Tokenizer): number[] {
    let refused: unknown
    for (const shape of shapes) {
      try {
        return this.#render(shape(messages), tokenizer)
      } catch (error) {
        if (error instanceof PeerError) throw error
        refused ??= error
      }
    }
    throw new InvalidError(
      'messages',
      `This model's chat template refuses these messages: ${reasonOf(refused)} ` +
        'Try user and assistant messages in turns, beginning and ending with the user.',
    )
  }

  #render(messages: readonly Message[], tokenizer: Tokenizer): number[] {
    const marked = messages.map(({ role, content }, at) => ({
      role,
      content: content.trim() === '' ? content : this.#marked(content, at),
    }))
    const text = this.#components.template.render({
      messages: marked,
      add_generation_prompt: true,
      bos_token: this.#special.bos,
      eos_token: this.#special.eos,
    })
    // Splitting at a group gives template, number of a message, template, and so on.
    const parts = text.split(new RegExp(`${this.#mark}(\\d+)E`))
    const shown = new Set(parts.filter((_, at) => at % 2 === 1))
    messages.forEach(({ role, content }, at) => {
      if (role === 'user' && content.trim() !== '' && !shown.has(String(at))) {
        throw new Error('It leaves out a user message.')
      }
    })
    const values = parts.map((part, at) =>
      at % 2 === 0 ? new SpecialTokensText(part) : (messages[Number(part)]?.content.trim() ?? ''),
    )
    return LlamaText(values).tokenize(tokenizer)
  }

  /** Only the outer white space is shown to the template: many trim it, and should be able to. */
  #marked(content: string, at: number): string {
    const start = content.length - content.trimStart().length
    const end = content.trimEnd().length
    return `${content.slice(0, start)}${this.#mark}${at}E${content.slice(end)}`
  }
}

/** Many templates know no system role, or want user and assistant to take turns. */
const shapes: ((messages: readonly Message[]) => readonly Message[])[] = [
  (messages) => messages,
  (messages) => joined(messages),
  (messages) => joined(messages.map(systemAsUser)),
  (messages) => beginWithUser(joined(messages.map(systemAsUser))),
]

function joined(messages: readonly Message[]): Message[] {
  const turns: Message[] = []
  for (const message of messages) {
    const last = turns.at(-1)
    if (last?.role !== message.role) turns.push({ ...message })
    else last.content += `\n\n${message.content}`
  }
  return turns
}

function systemAsUser({ role, content }: Message): Message {
  return { role: role === 'system' ? 'user' : role, content }
}

function beginWithUser(turns: Message[]): Message[] {
  const begun: Message[] = turns[0]?.role === 'assistant' ? [{ role: 'user', content: '' }] : []
  begun.push(...turns)
  if (begun.at(-1)?.role === 'assistant') begun.push({ role: 'user', content: '' })
  return begun
}

/** The renderer quotes the template at length; its last line says what is wrong. */
function reasonOf(error: unknown): string {
  const reason = messageOf(error).split('\n').at(-1) ?? ''
  return reason.replace(/^Error: (Jinja Exception: )?/, '').slice(0, 300)
}
