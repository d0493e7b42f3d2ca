import { performance } from 'node:perf_hooks'
import type { Licence, PullEvent } from '../src/index.ts'
import { columnsDefault, type Output, print } from './io.ts'
import { LiveLines } from './live-lines.ts'
import { bytesText, durationText } from './model-text.ts'
import { type Paint, safeJson, safeLine, widthOf } from './text.ts'

/** How often a bar is drawn anew, and how often a program hears of it. */
const DRAW_MS = 200
const JSON_MS = 1000
/** A log has a line for every tenth, and one now and then. */
const LINE_STEP = 0.1
const LINE_MS = 30_000
/** Over which speed is measured: shorter jumps, longer lies. */
const SPEED_MS = 5_000
const BAR_MAX = 30
/** For the figures behind it: a bar whose width changes with them would tell something else. */
const FIGURES_WIDTH = 46

export interface ProgressOptions {
  json: boolean
  paint: Paint
  now?: () => number
}

/** Shows how a pull goes on: as a bar on a terminal, as lines in a log, as JSON for programs. */
export class PullProgress {
  readonly #output: Output
  readonly #json: boolean
  readonly #now: () => number
  readonly #live: LiveLines | undefined
  #shownAt = Number.NEGATIVE_INFINITY
  #shownPart = 0
  /** Where it stood, some moments of the last seconds. */
  #marks: { at: number; bytes: number }[] = []

  constructor(output: Output, { json, paint, now = () => performance.now() }: ProgressOptions) {
    this.#output = output
    this.#json = json
    this.#now = now
    this.#live = output.isTTY === true && !json ? new LiveLines(output, paint) : undefined
  }

  show(event: PullEvent): void {
    if (event.type === 'progress') this.#progress(event)
    else if (this.#json) print(this.#output, safeJson({ event: 'pull', ...event }))
    else for (const line of linesOf(event)) this.#line(line)
    if (event.type === 'begins') this.#marks = []
  }

  /** What is shown last stays. */
  end(): void {
    this.#live?.draw([])
    this.#live?.end()
  }

  #line(text: string): void {
    if (this.#live === undefined) print(this.#output, safeLine(text))
    else this.#live.print(safeLine(text))
  }

  #progress({ name, receivedBytes, sizeBytes }: PullEvent & { type: 'progress' }): void {
    const now = this.#now()
    const speed = this.#speed(now, receivedBytes)
    const isEnd = receivedBytes === sizeBytes
    const part = sizeBytes === undefined || sizeBytes === 0 ? 0 : receivedBytes / sizeBytes
    if (!isEnd && !this.#isDue(now, part)) return
    this.#shownAt = now
    this.#shownPart = part
    const left =
      sizeBytes === undefined || speed === 0 ? undefined : (sizeBytes - receivedBytes) / speed
    if (this.#json) {
      const figures = {
        bytes_per_second: Math.round(speed),
        seconds_left: left && Math.round(left),
      }
      const sizes = { received_bytes: receivedBytes, size_bytes: sizeBytes }
      print(this.#output, safeJson({ event: 'pull', type: 'progress', name, ...sizes, ...figures }))
      return
    }
    const text = figuresText({ receivedBytes, sizeBytes, speed, left, part })
    if (this.#live === undefined) this.#line(`${name}  ${text}`)
    else this.#live.draw([{ text: this.#bar(name, part, text) }])
  }

  #isDue(now: number, part: number): boolean {
    const passed = now - this.#shownAt
    if (this.#json) return passed >= JSON_MS
    if (this.#live !== undefined) return passed >= DRAW_MS
    return passed >= LINE_MS || part - this.#shownPart >= LINE_STEP
  }

  /** Bytes a second, over the last seconds. */
  #speed(at: number, bytes: number): number {
    const [last] = this.#marks.slice(-1)
    if (last === undefined || at - last.at >= DRAW_MS) this.#marks.push({ at, bytes })
    while (this.#marks.length > 2 && at - (this.#marks[0]?.at ?? 0) > SPEED_MS) this.#marks.shift()
    const [first = { at, bytes }] = this.#marks
    return at > first.at ? ((bytes - first.bytes) * 1000) / (at - first.at) : 0
  }

  #bar(name: string, part: number, text: string): string {
    const columns = this.#output.columns ?? columnsDefault
    const width = Math.min(BAR_MAX, columns - widthOf(safeLine(name)) - FIGURES_WIDTH)
    if (width < 5) return `${safeLine(name)}  ${text}`
    const full = Math.round(part * width)
    return `${safeLine(name)}  ${'█'.repeat(full)}${'░'.repeat(width - full)}  ${text}`
  }
}

interface Figures {
  receivedBytes: number
  sizeBytes: number | undefined
  speed: number
  left: number | undefined
  part: number
}

/** `42%  1.2 GiB of 2.9 GiB  34 MiB/s  50 s left`. */
function figuresText({ receivedBytes, sizeBytes, speed, left, part }: Figures): string {
  const size =
    sizeBytes === undefined
      ? bytesText(receivedBytes)
      : `${Math.floor(part * 100)}%  ${bytesText(receivedBytes)} of ${bytesText(sizeBytes)}`
  const pace = speed > 0 ? [`${bytesText(speed)}/s`] : []
  const rest = left !== undefined && left > 0 ? [`${durationText(Math.ceil(left))} left`] : []
  return [size, ...pace, ...rest].join('  ')
}

function linesOf(event: Exclude<PullEvent, { type: 'progress' }>): string[] {
  switch (event.type) {
    case 'waiting':
      return ['Another pull of the same model is under way; waiting for it.']
    case 'checking':
      return [`${event.name} is here; its files are checked.`]
    case 'licence':
      return [`Licence: ${licenceText(event.licence)}${event.agreed ? '' : ', to be agreed to'}`]
    case 'begins': {
      const size = event.sizeBytes === undefined ? 'of unknown size' : bytesText(event.sizeBytes)
      const parts = event.files === 1 ? '' : ` in ${event.files} files`
      return [`Pulling ${event.name} (${size}${parts})`]
    }
    case 'trouble':
      return [`${event.message} Trying again.`]
  }
}

export const licenceText = ({ id, link }: Licence): string =>
  link === undefined ? id : `${id} (${link})`
