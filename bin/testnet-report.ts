import { join } from 'node:path'
import { peerBytes, type Testnet, type TestnetEvent } from '../testnet/index.ts'
import { chatCurl, quoted } from './banner.ts'
import { columnsDefault, type Io, type Output, print } from './io.ts'
import { LiveLines } from './live-lines.ts'
import { bytesText } from './model-text.ts'
import { type TestnetRow, testnetLines, testnetSummary } from './testnet-rows.ts'
import { labelled, type Paint, paintFor, safeJson, safeLine } from './text.ts'

/** Tells what a testnet does. */
export interface TestnetReport {
  starting(testnet: Testnet): void
  ready(testnet: Testnet, ms: number): void
  event(testnet: Testnet, event: TestnetEvent): void
  readonly wants: 'no figures' | 'figures when ready' | 'figures at once'
  /** Called about once a second. */
  figures(rows: readonly TestnetRow[]): void
  stopping(testnet: Testnet): void
}

/** For programs: the ready line, then events. */
export class JsonReport implements TestnetReport {
  readonly wants = 'no figures'
  readonly #output: Output
  #ready = false

  constructor({ stdout }: Pick<Io, 'stdout'>) {
    this.#output = stdout
  }

  starting(): void {}

  ready({ first, network, dir, peers }: Testnet, ms: number): void {
    this.#ready = true
    const all = peers.map(({ name, pid, region, ready }) => ({ ...ready, name, pid, region }))
    const line = { ...first, event: 'testnet-ready', network, dir, ms, peers: all }
    print(this.#output, safeJson(line))
  }

  event(_testnet: Testnet, event: TestnetEvent): void {
    // The ready line comes first, and says what counts of what was before it.
    if (this.#ready) print(this.#output, safeJson(event))
  }

  figures(): void {}

  stopping(): void {}
}

/** Between two lines on a pipe: a log of them stays readable. */
const SUMMARY_MS = 10_000

/** For a person: a live table, or on a pipe a line now and then. */
export class PersonReport implements TestnetReport {
  readonly #output: Output
  readonly #paint: Paint
  readonly #live: LiveLines | undefined
  #summary: { text: string; at: number } | undefined

  constructor({ stdout, env }: Pick<Io, 'stdout' | 'env'>) {
    this.#output = stdout
    this.#paint = paintFor(stdout, env)
    const inPlace = stdout.isTTY === true && env.TERM !== 'dumb'
    this.#live = inPlace ? new LiveLines(stdout, this.#paint) : undefined
  }

  get wants(): 'figures when ready' | 'figures at once' {
    return this.#live === undefined ? 'figures when ready' : 'figures at once'
  }

  starting({ peers }: Testnet): void {
    const memory = bytesText(peers.length * peerBytes)
    this.#print(
      `Starting ${peers.length} peers; with their engines they take up to ${memory}. ` +
        'Ctrl-C stops them.',
      '',
    )
  }

  ready(testnet: Testnet, ms: number): void {
    this.#print(...readyLines(testnet, ms, this.#output.isTTY === true, this.#paint))
  }

  event({ dir = '' }: Testnet, event: TestnetEvent): void {
    const log = join(dir, `${event.from}.log`)
    if (event.event === 'down') {
      this.#print(safeLine(`${event.from} is down (${event.reason}). Its log: ${log}`))
    } else if (event.event === 'model' && event.state === 'failed') {
      this.#print(safeLine(`${event.from} cannot serve ${event.name}. Its log: ${log}`))
    }
  }

  figures(rows: readonly TestnetRow[]): void {
    if (this.#live !== undefined) {
      this.#live.draw(testnetLines(rows, this.#output.columns || columnsDefault))
      return
    }
    if (rows.some(([{ state }, said]) => state === 'up' && said === undefined)) return
    const text = testnetSummary(rows)
    const at = performance.now()
    if (text === this.#summary?.text) return
    if (this.#summary === undefined) {
      const table = testnetLines(rows, Number.POSITIVE_INFINITY)
      this.#print(...table.map((line) => line.text), '')
    } else if (at - this.#summary.at < SUMMARY_MS) return
    this.#summary = { text, at }
    this.#print(text)
  }

  stopping({ peers }: Testnet): void {
    this.#live?.end()
    this.#print(`Stopping ${peers.length} peers: running answers are ended first.`)
  }

  #print(...lines: string[]): void {
    if (this.#live === undefined) print(this.#output, ...lines)
    else this.#live.print(...lines)
  }
}

/** What a person needs to use a testnet. The key is only for the eyes at a terminal. */
function readyLines(testnet: Testnet, ms: number, showKey: boolean, paint: Paint): string[] {
  const { first, peers, network, dir = '' } = testnet
  const url = first.http
  const keyFile = join(first.dataDir, 'owner.key')
  const key = showKey ? first.apiKey : `$(cat ${quoted(keyFile)})`
  const served = [...new Set(peers.flatMap(({ ready }) => ready?.models ?? []))]
  const rows: [label: string, values: readonly string[]][] = [
    ['Endpoint', [`${url}/v1`]],
    ['API key', [showKey ? first.apiKey : `in ${keyFile}`]],
    ['Status page', [`${url}/`]],
    ['Models', [served.join(', ')]],
    ['Network', [network]],
    ['Data', [dir]],
  ]
  const seconds = (ms / 1000).toFixed(1)
  return [
    `${paint('bold', 'A testnet')} of ${peers.length} peers, ready in ${seconds} s`,
    '',
    ...labelled(rows, paint),
    '',
    'Ask it:',
    '',
    `  ${chatCurl(url, key, served[0] ?? '')}`,
    '',
    'Any OpenAI client asks it when it is given this:',
    '',
    `  export OPENAI_BASE_URL=${url}/v1 OPENAI_API_KEY="${key}"`,
    '',
  ]
}
