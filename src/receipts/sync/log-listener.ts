import type { Clock } from '../../base/clock.ts'
import { within } from '../../base/deadline.ts'
import { messageOf, PeerError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Background } from '../../network/discovery/background.ts'
import { Turns } from '../../network/discovery/turns.ts'
import type { MessageCheck, Network } from '../../network/network.ts'
import { readHead } from '../../wire/head.ts'
import type { Batch } from '../../wire/log-batch.ts'
import { peerIdOf } from '../../wire/peer-id.ts'
import { topics } from '../../wire/protocols.ts'
import { decodeLogMessage } from '../../wire/sync.ts'
import type { Intake } from '../feeds/intake.ts'
import type { Mender } from './mender.ts'
import type { Puller } from './puller.ts'
import { type AskComponents, asking } from './sync-client.ts'
import { type Taken, take } from './taking.ts'

/** Authors that are asked for what lies between. */
const AT_ONCE = 4
const WAITING_MAX = 1_024
const ASK_MS = 30_000
/** The same author is asked no oftener: what it has is fetched in one go. */
const GAP_MS = 1_000

export interface LogListenerComponents extends AskComponents {
  network: Pick<Network, 'open' | 'fault' | 'subscribe'>
  intake: Pick<Intake, 'ingest' | 'bars'>
  mender: Mender
  puller: Puller
  background: Background
  clock: Clock
  logger: Logger
}

/** Takes in what authors publish in the topic `log/1`. */
export class LogListener {
  readonly #components: LogListenerComponents
  readonly #turns = new Turns(AT_ONCE)
  readonly #busy = new Set<string>()

  constructor(components: LogListenerComponents) {
    this.#components = components
  }

  /** Returns how to end that. */
  start(): () => void {
    return this.#components.network.subscribe(topics.log, this.#check)
  }

  readonly #check: MessageCheck = async ({ from, data }) => {
    const said = decodeLogMessage(data)
    if (said === undefined) return 'ignore'
    if (said.type === 'batch') return await this.#hear(from, said.batch)
    try {
      return (await this.#components.intake.bars.add(said)) ? 'keep' : 'ignore'
    } catch (error) {
      // About this peer itself, or there is no room: no fault of who passed it on.
      if (error instanceof PeerError && error.action === 'ignore') return 'ignore'
      throw error
    }
  }

  async #hear(from: string, batch: Batch): Promise<'keep' | 'ignore'> {
    const { size } = readHead(batch.head)
    const author = peerIdOf(readHead(batch.head).author)
    if (author !== from) throw notByAuthor()
    const taken = await take(this.#components.intake, batch)
    const isBehind = taken.type === 'taken' && taken.size < size
    if (taken.type === 'gap' || taken.type === 'unfit' || taken.type === 'forked' || isBehind) {
      this.#askAuthor(author, taken)
    }
    // What is missing or wrong here need not be elsewhere: the author signed it, and sent it.
    return unseen.has(taken.type) ? 'ignore' : 'keep'
  }

  /** It has what lies between. Where it does not answer, the rounds find others that do. */
  #askAuthor(peerId: string, taken: Taken): void {
    if (this.#busy.has(peerId) || this.#busy.size >= WAITING_MAX) return
    this.#busy.add(peerId)
    const { background, clock, logger } = this.#components
    background.run(async (signal) => {
      try {
        const limit = { ms: ASK_MS, what: 'Asking an author for its log', signal }
        await this.#turns.take(signal, () =>
          within(clock, limit, (ending) => this.#fetch(peerId, taken, ending)),
        )
      } catch (error) {
        if (!signal.aborted) logger.debug('a log not fetched', { peerId, error: messageOf(error) })
      }
      await clock.sleep(GAP_MS, signal).finally(() => this.#busy.delete(peerId))
    })
  }

  #fetch(peerId: string, taken: Taken, signal: AbortSignal): Promise<void> {
    const { mender, puller } = this.#components
    return asking(this.#components, peerId, { signal }, async (client) => {
      await mender.mend(client, taken)
      await puller.pull(client, [{ feed: taken.feed, claimed: 0 }])
    })
  }
}

/** What was not looked at, or can't be, is not passed on. */
const unseen: ReadonlySet<Taken['type']> = new Set(['own', 'barred', 'newer'])

const notByAuthor = () =>
  new PeerError('not_by_author', 'Entries are published by their author alone.', {
    action: 'penalise',
  })
