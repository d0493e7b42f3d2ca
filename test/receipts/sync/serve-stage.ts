import { noMetrics } from '../../../src/base/metrics.ts'
import { type Identity, identityFromSeed } from '../../../src/identity/identity.ts'
import { memoryHub } from '../../../src/network/memory/memory-hub.ts'
import type { MemoryNetwork } from '../../../src/network/memory/memory-network.ts'
import type { FrameStream } from '../../../src/network/network.ts'
import { LiveReceipts } from '../../../src/receipts/live.ts'
import { HeadIndex } from '../../../src/receipts/sync/head-index.ts'
import type { ServeLimits } from '../../../src/receipts/sync/serve/limits.ts'
import { SyncServer } from '../../../src/receipts/sync/serve/sync-server.ts'
import { protocols } from '../../../src/wire/protocols.ts'
import {
  decodeSyncAnswer,
  encodeSyncRequest,
  type Range,
  type SyncAnswer,
  type SyncRequest,
} from '../../../src/wire/sync.ts'
import { FakeClock } from '../../base/fake-clock.ts'
import { ExampleLog, filled } from '../../wire/log-examples.ts'
import { author, notes, type StageOptions, stage } from '../feeds/stage.ts'

export const peer = (seed: number): Identity => identityFromSeed(filled(seed))

/** Whose log is served, besides those of others that came. */
export const server = peer(100)

export interface ServeOptions extends StageOptions {
  limits?: Partial<ServeLimits>
}

/** A peer that answers about its logs, and others that ask it, on a network in memory. */
export async function serving({ limits, ...options }: ServeOptions = {}) {
  const clock = new FakeClock()
  const hub = memoryHub({ clock })
  const logs = await stage({ who: server, clock, ...options })
  const { feeds, intake } = logs
  const { bars } = intake
  const live = new LiveReceipts({ clock })
  const index = new HeadIndex({ feeds, bars })
  const network = hub.network(server.peerId)
  const parts = { network, feeds, index, bars, live, clock, metrics: noMetrics }
  const sync = new SyncServer(parts, limits)
  const signal = new AbortController().signal
  await network.start({ signal })
  await index.start({ signal })
  await index.load({ signal })
  await sync.start()

  const connect = async (who: Identity, ip4?: string): Promise<MemoryNetwork> => {
    const near = hub.network(who.peerId, ip4 === undefined ? {} : { ip4 })
    await near.start({ signal })
    await near.connect(server.peerId, network.status().addrs, { signal })
    return near
  }
  /** `ip4`: where it is, when it comes first. */
  const asker = async (who = peer(200), ip4?: string): Promise<Asker> => {
    const near = hub.running(who.peerId) ?? (await connect(who, ip4))
    return new Asker(await near.open(server.peerId, protocols.sync, { signal }))
  }
  return { ...logs, clock, hub, live, index, sync, asker }
}

export type Serving = Awaited<ReturnType<typeof serving>>

/** One stream, and whoever asks on it whatever it likes. */
export class Asker {
  readonly stream: FrameStream

  constructor(stream: FrameStream) {
    this.stream = stream
  }

  write(...requests: SyncRequest[]): void {
    for (const request of requests) this.stream.write(encodeSyncRequest(request))
  }

  /** Undefined once the other side has ended its part. */
  async read(): Promise<SyncAnswer | undefined> {
    const frame = await this.stream.read({ signal: AbortSignal.timeout(10_000) })
    return frame && decodeSyncAnswer(frame)
  }

  /** All answers to one request; the last is its end. */
  async answers(): Promise<SyncAnswer[]> {
    const answers: SyncAnswer[] = []
    for (;;) {
      const answer = await this.read()
      if (answer === undefined) return answers
      answers.push(answer)
      if (answer.type === 'end') return answers
    }
  }

  ask(request: SyncRequest): Promise<SyncAnswer[]> {
    this.write(request)
    return this.answers()
  }
}

export const kindsOf = (answers: readonly SyncAnswer[]): string[] =>
  answers.map((answer) => (answer.type === 'end' ? `end ${answer.reason}`.trim() : answer.type))

export const rangeOf = (who: Identity, range: Partial<Range> = {}): Range => ({
  ...author(who),
  ...{ from: 0, to: 0, peaks: false },
  ...range,
})

/** Gives the peer a log of somebody, entry for entry in batches of so many. */
export async function given(
  { intake }: Pick<Serving, 'intake'>,
  log: ExampleLog,
  { from = 0, step = 512 } = {},
): Promise<void> {
  for (let first = from; first < log.entries.length; first += step) {
    const end = Math.min(log.entries.length, first + step)
    await intake.ingest(await log.batch(first, end, end))
  }
}

export const logOf = (who: Identity, size: number, first = 0): ExampleLog =>
  new ExampleLog(who).append(...notes(size, first))
