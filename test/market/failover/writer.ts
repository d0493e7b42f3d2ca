import { settled } from '../../base/fake-clock.ts'
import { frames } from '../coordinator-stage.ts'
import type { Line } from '../provider-line.ts'

/** What a model says: the text of each token, of each choice. */
export type Story = readonly (readonly string[])[]

export interface Writing {
  story: Story
  /** Tokens of one choice in a frame. */
  step: number
  /** UTF-16 units that are held back until the end of a choice: the text is behind its ids. */
  held: number
  /** Behind the last token as well: nobody hears that unless another goes on. */
  holdsLast?: boolean
  /** Tokens that are guessed ahead, where the reader watches; some of them right. */
  guesses?: number
  inputTokens?: number
  allowance?: number
  price?: { input: number; output: number }
}

export const idOf = (choice: number, at: number): number => choice * 1_000_000 + at + 7

/** Writes an answer from where it is to go on, one frame each time that it is asked to. */
export class Writer {
  readonly #line: Line
  readonly #writing: Writing
  readonly #at: number[]
  readonly #said: number[]
  readonly #from: number[]

  constructor(line: Line, writing: Writing) {
    this.#line = line
    this.#writing = writing
    const { story } = writing
    this.#from = story.map((_, choice) => line.from(choice))
    this.#at = [...this.#from]
    this.#said = story.map(
      (_, choice) => line.resumes.find((each) => each.choice === choice)?.text.length ?? 0,
    )
  }

  accept(): void {
    const { inputTokens = 5, allowance, price = { input: 0, output: 0 } } = this.#writing
    const accept = frames.accept(inputTokens, allowance)
    if (accept.type === 'accept') accept.price = price
    this.#line.say(accept)
    const progress = frames.progress()
    if (progress.type === 'progress') this.#line.say({ ...progress, inputTokens })
  }

  /** False once all is said. */
  next(): boolean {
    const { story, step } = this.#writing
    // The choices take turns, as in a batch.
    const open = [...story.keys()].filter((choice) => this.#isOpen(choice))
    const [choice] = open.sort((a, b) => this.#progress(a) - this.#progress(b))
    if (choice === undefined) return false
    const texts = story[choice] ?? []
    const first = this.#at[choice] ?? 0
    const until = Math.min(texts.length, first + step)
    const all = texts.slice(0, until).join('')
    const isLast = until === texts.length && !(this.#writing.holdsLast === true && until > first)
    const end = isLast
      ? all.length
      : Math.max(this.#said[choice] ?? 0, all.length - this.#held(all))
    const ids = Array.from({ length: until - first }, (_, at) => idOf(choice, first + at))
    const text = all.slice(this.#said[choice], end)
    const frame = frames.tokens(first, [], choice)
    if (frame.type === 'tokens') this.#line.sayTokens({ ...frame, ids, text })
    this.#at[choice] = until
    this.#said[choice] = end
    if (this.#line.job.provisional) this.#guess(choice, until)
    return true
  }

  /** Every third guess is wrong; not all that are get taken back before they are refuted. */
  #guess(choice: number, first: number): void {
    const { guesses = 0 } = this.#writing
    const isWrong = (place: number) => place % 3 === 0
    for (let place = first; place < first + guesses; place++) {
      const id = idOf(choice, place) + (isWrong(place) ? 1 : 0)
      const ghost = { choice, first: place, ids: [id], text: `ghost ${place}`, drafter: '' }
      this.#line.say({ type: 'provisional', ...ghost })
    }
    if (guesses > 0 && first % 2 === 0) {
      this.#line.say({ type: 'rollback', choice, from: first, reason: 'token_mismatch' })
    }
  }

  /** Tokens that it has said. */
  get written(): number {
    return this.#at.reduce((sum, at, choice) => sum + at - (this.#from[choice] ?? 0), 0)
  }

  done(): void {
    const { story, inputTokens = 5 } = this.#writing
    const outputTokens = this.written
    this.#line.say(
      frames.done(outputTokens, {
        finish: story.map(() => 'stop' as const),
        usage: { inputTokens, cachedTokens: 0, outputTokens },
      }),
    )
  }

  /** The end that is asked for in the middle, over what the other side has. */
  cancelled(): void {
    const cancel = this.#line.heard.find((frame) => frame.type === 'cancel')
    const received = cancel?.type === 'cancel' ? cancel.received : []
    const outputTokens = received.reduce((sum, each) => sum + each, 0)
    const { story, inputTokens = 5 } = this.#writing
    this.#line.say(
      frames.done(outputTokens, {
        finish: story.map(() => 'cancelled' as const),
        usage: { inputTokens, cachedTokens: 0, outputTokens },
      }),
    )
  }

  /** A surrogate pair is not taken apart. */
  #held(text: string): number {
    const { held } = this.#writing
    const code = text.charCodeAt(text.length - held)
    return code >= 0xdc00 && code < 0xe000 ? held + 1 : held
  }

  #isOpen(choice: number): boolean {
    const texts = this.#writing.story[choice] ?? []
    if ((this.#at[choice] ?? 0) < texts.length) return true
    const isSaid = (this.#said[choice] ?? 0) === texts.join('').length
    return !isSaid && this.#writing.holdsLast !== true
  }

  #progress(choice: number): number {
    return this.#at[choice] ?? 0
  }
}

export const losses = ['reset', 'end', 'freeze', 'failed', 'stop', 'misbehave'] as const
export type Loss = (typeof losses)[number]

/** Ends a line as one that is lost does. */
export async function lose(line: Line, loss: Loss): Promise<void> {
  await settled()
  const count = line.work.kind === 'embedding' ? 0 : line.work.sampling.choices
  const finish = Array.from({ length: count }, () => 'cancelled' as const)
  switch (loss) {
    case 'reset':
      line.stream.reset(new Error('Gone.'))
      return
    case 'freeze':
      await new Promise(() => {})
      return
    case 'failed':
      line.say(frames.failed('engine_failed'))
      return
    case 'stop':
      line.signs = false
      line.say(frames.done(0, { finish }))
      return
    case 'misbehave':
      line.signs = false
      line.say(frames.tokens(1_000_000, ['again']))
      return
    case 'end':
      return
  }
}
