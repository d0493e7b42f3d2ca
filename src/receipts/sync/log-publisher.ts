import type { Clock } from '../../base/clock.ts'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Background } from '../../network/discovery/background.ts'
import type { Network } from '../../network/network.ts'
import { BATCH_ENTRIES_BYTES_MAX, BATCH_ENTRIES_MAX, type Batch } from '../../wire/log-batch.ts'
import { topics } from '../../wire/protocols.ts'
import { encodeLogMessage } from '../../wire/sync.ts'
import type { OwnFeed } from '../feeds/own-feed.ts'

/** Heads that follow so close on each other go out as one. */
const HELD_MS = 200

export interface LogPublisherComponents {
  network: Pick<Network, 'publish'>
  log: Pick<OwnFeed, 'onHead'>
  background: Background
  clock: Clock
  logger: Logger
}

/** Tells archives of each new head of this peer's log, with the entries that are new under it. */
export class LogPublisher {
  readonly #components: LogPublisherComponents
  #held: Batch | undefined
  #cancel = () => {}

  constructor(components: LogPublisherComponents) {
    this.#components = components
  }

  /** Returns how to end that; what is held then is still sent. */
  start(): () => void {
    const unlisten = this.#components.log.onHead((batch) => this.#hold(batch))
    return () => {
      unlisten()
      this.#send()
    }
  }

  #hold(batch: Batch): void {
    const joined = this.#held && join(this.#held, batch)
    if (joined === undefined) this.#send()
    if (this.#held === undefined) {
      this.#cancel = this.#components.clock.after(HELD_MS, () => this.#send())
    }
    this.#held = joined ?? batch
  }

  #send(): void {
    this.#cancel()
    const batch = this.#held
    this.#held = undefined
    if (batch === undefined) return
    const { network, background, logger } = this.#components
    background.run(async () => {
      try {
        await network.publish(topics.log, encodeLogMessage({ type: 'batch', batch }))
      } catch (error) {
        // Archives find it in their rounds.
        logger.debug('a head was not published', { error: messageOf(error) })
      }
    })
  }
}

/** Undefined where both do not go into one message, or do not stand behind each other. */
function join(one: Batch, next: Batch): Batch | undefined {
  const entries = [...one.entries, ...next.entries]
  const bytes = entries.reduce((sum, entry) => sum + entry.length, 0)
  const fits = bytes <= BATCH_ENTRIES_BYTES_MAX && entries.length <= BATCH_ENTRIES_MAX
  if (!fits || one.first + one.entries.length !== next.first) return undefined
  return { ...next, first: one.first, entries }
}
