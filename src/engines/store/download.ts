import { backoffMs } from '../../base/backoff.ts'
import { bytesText } from '../../base/bytes-text.ts'
import type { Clock } from '../../base/clock.ts'
import { PeerError } from '../../base/errors.ts'
import { type Answer, ConnectionError, type HttpGet } from './http-get.ts'
import { refusal, serverTrouble } from './hub.ts'
import { MAGIC, type PartFile } from './part-file.ts'
import { hashOf, type RemoteFile, sizeOf } from './remote-file.ts'

export interface DownloadOptions {
  /** In a row, without a byte. */
  triesMax: number
  firstWaitMs: number
  waitMsMax: number
}

export const defaultDownload: DownloadOptions = {
  triesMax: 6,
  firstWaitMs: 1000,
  waitMsMax: 30_000,
}

/** From the beginning: by servers that cannot go on in the middle, or whose file changes. */
const RESTARTS_MAX = 2
const RETRY_AFTER_MS_MAX = 60_000
const noRoom = new Set(['storage_full', 'model_quota_exceeded'])
/** Of a file whose length nobody said, between two looks at the room: less where there is little. */
const GROWTH_BYTES = [16 * 1024 * 1024, 1024 * 1024]
/** What the hub has is asked so often. */
const QUESTIONS_MAX = 3

export interface DownloadWatch {
  signal: AbortSignal
  /** Once it is known how large the file is, before anything is written; throws where there is no room. */
  onSize(sizeBytes: number): Promise<void>
  /** Where nobody said it: now and then, before it grows to this; throws where there is no room. */
  onGrowth(sizeBytes: number): Promise<void>
  onBytes(received: number): void
  /** It broke off, and is tried again. */
  onTrouble(message: string): void
}

/** Fetches the rest of one file, however often it breaks off, and tells its SHA-256 as it was measured. */
export class Download {
  readonly #http: HttpGet
  readonly #clock: Clock
  readonly #options: DownloadOptions

  constructor(http: HttpGet, clock: Clock, options: DownloadOptions = defaultDownload) {
    this.#http = http
    this.#clock = clock
    this.#options = options
  }

  /** `repo`: of the hub, for what is said about refusals. */
  async run(
    file: RemoteFile,
    part: PartFile,
    watch: DownloadWatch,
    repo?: string,
  ): Promise<RemoteFile & { sizeBytes: number; sha256: string }> {
    const one = new OneFile(this.#http, file, part, watch, repo)
    for (let failures = 0; !one.isWhole(); ) {
      const before = part.size
      try {
        await one.fetchRest()
      } catch (error) {
        if (!(error instanceof ConnectionError)) throw error
        failures = part.size > before ? 1 : failures + 1
        if (failures >= this.#options.triesMax) throw gaveUp(file, part.size, error)
        watch.onTrouble(error.message)
        await this.#clock.sleep(this.#wait(failures, error), watch.signal)
      }
    }
    return { ...file, sizeBytes: part.size, sha256: one.checkedHash() }
  }

  /** For questions that are short: whoever waits has nothing yet. */
  async patiently<T>(
    { signal, onTrouble }: Pick<DownloadWatch, 'signal' | 'onTrouble'>,
    ask: () => Promise<T>,
  ): Promise<T> {
    for (let failures = 1; ; failures++) {
      try {
        return await ask()
      } catch (error) {
        if (!(error instanceof ConnectionError)) throw error
        if (failures >= QUESTIONS_MAX) {
          const message = `${error.message} Pull again later.`
          throw new PeerError(error.code, message, { cause: error })
        }
        onTrouble(error.message)
        await this.#clock.sleep(this.#wait(failures, error), signal)
      }
    }
  }

  #wait(failures: number, { retryAfterMs }: ConnectionError): number {
    const { firstWaitMs, waitMsMax } = this.#options
    const own = backoffMs(failures - 1, firstWaitMs, waitMsMax)
    return Math.max(own, Math.min(retryAfterMs ?? 0, RETRY_AFTER_MS_MAX))
  }
}

class OneFile {
  readonly #http: HttpGet
  readonly #file: RemoteFile
  readonly #part: PartFile
  readonly #watch: DownloadWatch
  readonly #repo: string | undefined
  #sizeBytes: number | undefined
  #sha256: string | undefined
  #restarts = 0
  /** Where the room for a file is looked at again, whose length is not known. */
  #roomBytes = 0
  /** Its server did not say how long it is, and came to an end. */
  #ended = false

  constructor(
    http: HttpGet,
    file: RemoteFile,
    part: PartFile,
    watch: DownloadWatch,
    repo: string | undefined,
  ) {
    this.#http = http
    this.#file = file
    this.#part = part
    this.#watch = watch
    this.#repo = repo
    this.#sizeBytes = file.sizeBytes
    this.#sha256 = file.sha256
  }

  isWhole = (): boolean => this.#ended || this.#part.size === this.#sizeBytes

  checkedHash(): string {
    const measured = this.#part.sha256()
    if (this.#sha256 === undefined || this.#sha256 === measured) return measured
    throw new PeerError(
      'model_hash_wrong',
      `${this.#file.name} arrived with another SHA-256 (${measured.slice(0, 12)}…) than the hub says ` +
        `(${this.#sha256.slice(0, 12)}…), and was deleted. Pull again; if it comes again, something ` +
        'between here and there changes files: use another network.',
    )
  }

  async fetchRest(): Promise<void> {
    const { signal } = this.#watch
    const { size, facts } = this.#part
    const mayGoOn = facts.etag !== undefined && !facts.etag.startsWith('W/')
    const condition = mayGoOn ? { 'if-range': facts.etag ?? '' } : {}
    const headers = size > 0 ? { range: `bytes=${size}-`, ...condition } : {}
    const answer = await this.#http.get(this.#file.url, { headers, signal })
    try {
      await this.#take(answer)
    } finally {
      answer.drop()
    }
  }

  async #take(answer: Answer): Promise<void> {
    if (answer.status === 416) return await this.#restart(answer)
    if (answer.status !== 200 && answer.status !== 206) throw this.#refused(answer)
    if (/^text\/html/i.test(answer.headers.get('content-type') ?? '')) throw webPage(answer)
    const goesOn = answer.status === 206 ? this.#fits(answer) : this.#part.size === 0
    if (!goesOn) {
      await this.#restart(answer)
      // What it sends begins in the middle of another file.
      if (answer.status === 206) return
    }
    this.#learn(answer)
    const total = this.#sizeBytes
    if (total !== undefined) await this.#watch.onSize(total)
    await this.#part.note({
      etag: answer.headers.get('etag') ?? undefined,
      sizeBytes: total,
      sha256: this.#sha256,
    })
    for await (const piece of answer.body()) await this.#add(piece, answer)
    if (total === undefined) this.#ended = true
    else if (this.#part.size < total) {
      throw new ConnectionError(`${answer.url.host} broke off at ${bytesText(this.#part.size)}.`)
    }
    if (this.#part.size < MAGIC.length) throw notGguf(answer)
  }

  async #add(piece: Uint8Array, answer: Answer): Promise<void> {
    if (this.#part.size + piece.length > (this.#sizeBytes ?? Number.POSITIVE_INFINITY)) {
      throw this.#lies(answer, 'sends more')
    }
    const grown = this.#part.size + piece.length
    if (this.#sizeBytes === undefined && grown > this.#roomBytes) {
      this.#roomBytes = await this.#roomFor(grown)
    }
    await this.#part.append(piece)
    const { head, size } = this.#part
    if (!MAGIC.subarray(0, head.length).equals(head)) throw notGguf(answer)
    this.#watch.onBytes(size)
  }

  /** For some pieces more, where so much is left. */
  async #roomFor(bytes: number): Promise<number> {
    for (const ahead of GROWTH_BYTES) {
      const size = bytes + ahead
      try {
        await this.#watch.onGrowth(size)
        return size
      } catch (error) {
        if (!(error instanceof PeerError) || !noRoom.has(error.code)) throw error
      }
    }
    await this.#watch.onGrowth(bytes)
    return bytes
  }

  /** What this answer and the one before it say of the file. The hub's word was there first. */
  #learn(answer: Answer): void {
    const { first, headers, status } = answer
    const said = hashOf(first.get('x-linked-etag'))
    if (said !== undefined && this.#sha256 !== undefined && said !== this.#sha256) {
      throw new PeerError(
        'model_changed',
        `${this.#file.name} is being replaced where it comes from. Pull again.`,
      )
    }
    this.#sha256 ??= said
    const length = sizeOf(headers.get('content-length'))
    const of = status === 206 ? rangeOf(headers)?.total : length
    this.#sizeBytes ??= sizeOf(first.get('x-linked-size')) ?? of
    if (of !== undefined && of !== this.#sizeBytes) throw this.#lies(answer, `has ${of} bytes`)
  }

  #fits({ headers }: Answer): boolean {
    const range = rangeOf(headers)
    const total = range?.total
    const isSame = total === undefined || this.#sizeBytes === undefined || total === this.#sizeBytes
    return range?.from === this.#part.size && isSame
  }

  async #restart({ url }: Answer): Promise<void> {
    await this.#part.restart()
    this.#restarts += 1
    if (this.#restarts <= RESTARTS_MAX) return
    throw new PeerError(
      'download_failed',
      `${url.host} breaks off, and cannot go on where it did (no ranges, or the file changes all the ` +
        'time). Take it from elsewhere, or fetch it otherwise and give its path.',
    )
  }

  #refused(answer: Answer): PeerError {
    const isHub = this.#repo !== undefined && answer.url.origin === new URL(this.#file.url).origin
    if (isHub && this.#repo !== undefined) return refusal(answer, this.#repo)
    const { status, headers, url } = answer
    // A signed address of the CDN is good for an hour: the hub gives another.
    if (this.#repo !== undefined && (status === 401 || status === 403)) {
      return new ConnectionError(`${url.host} does not know this download any more.`)
    }
    return serverTrouble(status, headers, url)
  }

  #lies({ url }: Answer, what: string): PeerError {
    return new PeerError(
      'download_failed',
      `${url.host} ${what}, and ${this.#file.name} should have ${this.#sizeBytes} bytes. Pull again ` +
        'later; if it comes again, take it from elsewhere.',
    )
  }
}

/** `bytes 100-199/200`. */
function rangeOf(headers: Headers): { from: number; total: number | undefined } | undefined {
  const [, from, total] =
    /^bytes (\d{1,15})-\d{1,15}\/(\d{1,15}|\*)$/.exec(headers.get('content-range') ?? '') ?? []
  return from === undefined ? undefined : { from: Number(from), total: sizeOf(total) }
}

function gaveUp(file: RemoteFile, size: number, cause: ConnectionError): PeerError {
  return new PeerError(
    'download_interrupted',
    `${file.name} could not be fetched further than ${bytesText(size)}: ${cause.message} ` +
      'Pull again later: it goes on where it stopped.',
    { cause },
  )
}

const webPage = ({ url }: Answer): PeerError =>
  new PeerError(
    'download_failed',
    `${url.host} sends a web page, not a model. Open the address in a browser: give the one of the ` +
      '.gguf file itself, or log in to this network first.',
  )

const notGguf = ({ url }: Answer): PeerError =>
  new PeerError(
    'model_file_invalid',
    `What ${url.host} sends is not a GGUF file. Give the address of a .gguf file.`,
  )
