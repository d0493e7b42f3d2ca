import type { FrameStream, StreamHandler } from '../../../src/network/network.ts'
import { readHead } from '../../../src/wire/head.ts'
import type { Batch } from '../../../src/wire/log-batch.ts'
import { proveConsistency } from '../../../src/wire/merkle-proof.ts'
import {
  decodeSyncRequest,
  encodeSyncAnswer,
  type PlaceMark,
  ROOT_MARK_BYTES,
  type SyncAnswer,
  type SyncRequest,
} from '../../../src/wire/sync.ts'
import type { ExampleLog } from '../../wire/log-examples.ts'

const never = new AbortController().signal

export const end = (reason = ''): SyncAnswer => ({ type: 'end', reason })

type Said = SyncAnswer[] | AsyncIterable<SyncAnswer> | Iterable<SyncAnswer>

/** Answers each question as the test likes; to nothing where it says nothing. */
export function scripted(answer: (request: SyncRequest) => Said | Promise<Said>): StreamHandler {
  return async (stream: FrameStream) => {
    for (;;) {
      const frame = await stream.read({ signal: never })
      const request = frame && decodeSyncRequest(frame)
      if (request === undefined) return
      for await (const said of await answer(request)) {
        await stream.writable({ signal: stream.ended })
        stream.write(encodeSyncAnswer(said))
      }
    }
  }
}

/** Tells and shows these logs, as a peer would that has all of them. */
export class LogTeller {
  readonly logs: ExampleLog[]
  /** Questions that were asked, to look at. */
  readonly asked: SyncRequest[] = []

  constructor(...logs: ExampleLog[]) {
    this.logs = logs
  }

  async *tell(request: SyncRequest): AsyncGenerator<SyncAnswer> {
    this.asked.push(request)
    if (request.type === 'digest')
      yield { type: 'places', places: this.logs.map((log) => placeOf(log)) }
    if (request.type === 'authors')
      yield { type: 'heads', heads: this.logs.map((log) => log.head()) }
    if (request.type === 'ranges' || request.type === 'follow') {
      for (const range of request.ranges) {
        const log = this.logs.find((each) => same(readHead(each.head()), range))
        if (log !== undefined) yield { type: 'batch', batch: await batchOf(log, range) }
      }
    }
    yield end()
  }
}

const same = (
  a: { author: Uint8Array; epoch: Uint8Array },
  b: { author: Uint8Array; epoch: Uint8Array },
): boolean => Buffer.compare(a.author, b.author) === 0 && Buffer.compare(a.epoch, b.epoch) === 0

/** What it says of a log; with `size`, of the log as it was then. */
export function placeOf(log: ExampleLog, size = log.entries.length): PlaceMark {
  const { author, epoch, root } = readHead(log.head(size))
  return { author, epoch, size, rootMark: root.subarray(0, ROOT_MARK_BYTES) }
}

export async function batchOf(
  log: ExampleLog,
  { from, to = 0, peaks = false }: { from: number; to?: number; peaks?: boolean },
): Promise<Batch> {
  const size = log.entries.length
  const last = to === 0 ? size : to
  const entries = log.entries.slice(from, last).map(({ bytes }) => bytes)
  const path = last === size ? [] : await proveConsistency(last, size, log.read)
  return {
    head: log.head(),
    first: from,
    entries,
    path,
    peaks: peaks ? [...log.peaks(from).hashes] : [],
  }
}
