import type { Peaks } from '../../wire/merkle.ts'
import { type Call, callOf } from '../client/call.ts'
import { type CallOptions, path } from '../client/operation.ts'
import { type Page, type Pages, pagesOf } from '../client/page.ts'
import { PinaivuError, toPinaivuError } from '../client/pinaivu-error.ts'
import type { Transport } from '../client/transport.ts'
import type { LogEntry, LogHead, LogPart } from '../types/receipts.ts'
import { type LogPlace, verifyLogPart } from '../verify-log-part.ts'

export interface LogQuery {
  /** The first index that is wanted; default: the first that is there. */
  from?: number | undefined
  /** Which log of this author; default: the one with the newest head. */
  epoch?: string | undefined
}

/** As many entries as one answer holds. `part` proves that they are in the log under its head. */
export interface LogAnswer {
  part: LogPart
  entries: LogEntry[]
}

/** The logs that peers sign, for whoever wants to read all of them again. */
export class Log {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /** The newest signed head of every log that the peer has. */
  heads({ after: first }: { after?: string } = {}, options?: CallOptions): Pages<LogHead> {
    return pagesOf({ after: first }, ({ after }) =>
      this.#transport.json<Page<LogHead>>(
        { method: 'GET', path: '/v8/log/heads', query: { after }, open: true },
        options,
      ),
    )
  }

  /** Entries of a log, from one on. */
  read(author: string, query: LogQuery = {}, options?: CallOptions): Call<LogAnswer> {
    const text = this.#transport.text(
      {
        ...{ method: 'GET', path: path`/v8/log/${author}`, query: { ...query }, open: true },
        headers: { accept: 'application/x-ndjson' },
      },
      options,
    )
    return callOf(
      text.withResponse().then(({ data, response }) => ({ data: answerIn(data), response })),
    )
  }

  /**
   * All entries from one on, up to the end of the log. With the name of the network, `main` for one,
   * each is checked here before it is given: that it stands in the log which its author signed.
   */
  async *entries(
    author: string,
    { from, epoch, network }: LogQuery & { network?: string } = {},
    options?: CallOptions,
  ): AsyncGenerator<LogEntry, void, undefined> {
    let place: LogQuery = { from, epoch }
    let before: Peaks | undefined
    for (;;) {
      const { part, entries } = await this.read(author, place, options)
      const isElsewhere = place.from !== undefined && part.from !== place.from
      if (isElsewhere && entries.length > 0) throw notALog()
      if (network !== undefined) before = checked(part, entries, { author, network, before })
      yield* entries
      if (part.end >= part.size) return
      if (!(part.end > part.from)) throw notALog()
      place = { from: part.end, epoch: part.epoch }
    }
  }
}

function checked(part: LogPart, entries: readonly LogEntry[], place: LogPlace): Peaks {
  try {
    return verifyLogPart(part, entries, place)
  } catch (error) {
    throw toPinaivuError(error)
  }
}

function answerIn(text: string): LogAnswer {
  const [part, ...entries] = text
    .split('\n')
    .filter((line) => line !== '')
    .map(lineIn)
  if (part === undefined || !('end' in part)) throw notALog()
  return { part: part as LogPart, entries: entries as LogEntry[] }
}

function lineIn(line: string): object {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {}
  if (typeof value !== 'object' || value === null) throw notALog()
  return value
}

const notALog = () => new PinaivuError('malformed', 'The answer is no part of a log.')
