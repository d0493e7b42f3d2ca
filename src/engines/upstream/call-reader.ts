import { createHash } from 'node:crypto'
import type { CallPlace } from '../../wire/chunk.ts'
import { functionLimits } from '../../wire/functions.ts'
import type { ChatWork } from '../../wire/job.ts'
import { garbled, wrongCall } from './upstream-errors.ts'

/** Of all arguments of one answer, in UTF-16 units: some 250,000 tokens. */
const ARGUMENTS_MAX = 1024 * 1024
/** What goes into a page, a log or a header without harm. */
const SOUND_ID = /^[A-Za-z0-9_.:-]{1,64}$/

/** A piece of a call, as a server streams it. */
export interface CallDelta {
  /** Undefined: it does not say which one. */
  index: number | undefined
  id: string | undefined
  name: string | undefined
  arguments: string
}

/** The same, fit for others. Undefined of a token that belongs to no call that counts. */
export interface CallPiece {
  call: CallPlace | undefined
  text: string
}

export interface CallReaderOptions {
  work: Pick<ChatWork, 'functions' | 'calling' | 'oneCall'>
  /** What ids are made of where the server has none that are fit. */
  jobId: string
  choice: number
}

const SURPLUS: readonly CallPiece[] = [{ call: undefined, text: '' }]

/**
 * Reads the calls of one answer: in turn, of functions that were offered, each with an id that stays.
 * What servers do differently is mended; what is no call is refused.
 */
export class CallReader {
  readonly #options: CallReaderOptions
  readonly #names: ReadonlySet<string>
  readonly #ids = new Set<string>()
  #call: CallPlace | undefined
  /** As its server says it. */
  #saidId: string | undefined
  #arguments = ''
  #units = 0
  #isSurplus = false

  constructor(options: CallReaderOptions) {
    const { functions = [], calling } = options.work
    const names = calling?.name === undefined ? functions.map(({ name }) => name) : [calling.name]
    this.#options = options
    this.#names = new Set(calling?.mode === 'none' ? [] : names)
  }

  /** The model asked for something. */
  get hasCalled(): boolean {
    return this.#call !== undefined
  }

  read(delta: CallDelta): readonly CallPiece[] {
    if (this.#names.size === 0) throw wrongCall('nothing to call was offered')
    if (this.#isSurplus) return SURPLUS
    const isNext = this.#isNext(delta)
    if (isNext && this.#call !== undefined && this.#options.work.oneCall) {
      // Not every server takes notice of that: what was asked to be one call is one.
      this.#isSurplus = true
      return SURPLUS
    }
    const ended = isNext ? this.#ended() : []
    if (isNext) this.#begin(delta)
    else if (delta.name && delta.name !== this.#call?.name) throw wrongCall('a name that changed')
    const { arguments: text } = delta
    this.#arguments += text
    this.#units += text.length
    if (this.#units > ARGUMENTS_MAX) throw garbled('arguments without an end')
    return isNext || text !== '' ? [...ended, { call: this.#call, text }] : []
  }

  /** What is still to be said; throws where the model did not do what it had to. */
  end(finish: 'stop' | 'length'): readonly CallPiece[] {
    if (finish === 'length') return []
    const isRequired = this.#options.work.calling?.mode === 'required'
    if (isRequired && !this.hasCalled) throw wrongCall('nothing was called')
    return this.#ended()
  }

  #isNext({ index, id, name, arguments: text }: CallDelta): boolean {
    const current = this.#call?.index ?? -1
    // Whoever does not number its calls names each of them once.
    if (index === undefined && (name || current >= 0)) return Boolean(name)
    if (index === current + 1) return true
    if (index !== current) throw garbled('a call out of turn')
    // Older Ollama gives all calls of an answer the same number, each of them whole; older vLLM gives each
    // piece of a call a name and an id of its own.
    const isOther = Boolean(name && id && id !== this.#saidId)
    return isOther && isJson(text) && isJson(this.#arguments)
  }

  #begin({ id, name }: CallDelta): void {
    const index = this.#call === undefined ? 0 : this.#call.index + 1
    if (index >= functionLimits.callsMax) throw garbled('calls without an end')
    if (name === undefined || !this.#names.has(name)) throw wrongCall('a name that was not offered')
    this.#call = { index, id: this.#idOf(id, index), name }
    this.#saidId = id
    this.#arguments = ''
  }

  #idOf(said: string | undefined, index: number): string {
    const { jobId, choice } = this.#options
    const isFit = said !== undefined && SOUND_ID.test(said) && !this.#ids.has(said)
    const made = createHash('sha256').update(`${jobId}/${choice}/${index}`).digest('hex')
    const id = isFit ? said : `call_${made.slice(0, 24)}`
    this.#ids.add(id)
    return id
  }

  /** Behind the last piece of a call. */
  #ended(): CallPiece[] {
    if (this.#call === undefined) return []
    // Of a function without parameters, some say nothing.
    if (this.#arguments.trim() === '') return [{ call: this.#call, text: '{}' }]
    if (isJson(this.#arguments)) return []
    throw wrongCall('arguments that are no JSON')
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
