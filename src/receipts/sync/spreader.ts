import type { Clock } from '../../base/clock.ts'
import { within } from '../../base/deadline.ts'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import type { Background } from '../../network/discovery/background.ts'
import { draw } from '../../network/discovery/draw.ts'
import { Turns } from '../../network/discovery/turns.ts'
import type { Network } from '../../network/network.ts'
import type { Equivocation } from '../../wire/equivocation.ts'
import { topics } from '../../wire/protocols.ts'
import { encodeLogMessage } from '../../wire/sync.ts'
import type { Bars } from '../feeds/bars.ts'
import { type AskComponents, asking } from './sync-client.ts'

/** Each of them tells as many: that is everybody within a few hops. */
const TOLD_MAX = 64
const AT_ONCE = 8
const TELL_MS = 5_000
/** From one proof to the next: nobody is told of so many at a time that it takes it for a flood. */
const GAP_MS = 100
/** Archives learn of those beyond in their rounds. */
const WAITING_MAX = 256

export interface SpreaderComponents extends AskComponents {
  network: Pick<Network, 'open' | 'fault' | 'connected' | 'publish'>
  bars: Pick<Bars, 'onNews'>
  background: Background
  clock: Clock
  random: Random
  logger: Logger
}

/** Passes on, once, that an author signed two histories. */
export class Spreader {
  readonly #components: SpreaderComponents
  readonly #turns = new Turns(1)
  #waiting = 0

  constructor(components: SpreaderComponents) {
    this.#components = components
  }

  /** Returns how to end that. */
  start(): () => void {
    const { bars, background } = this.#components
    return bars.onNews(({ proof }) => {
      if (this.#waiting === WAITING_MAX) return
      this.#waiting += 1
      background.run(async (signal) => {
        try {
          await this.#turns.take(signal, () => this.#spread(proof, signal))
        } finally {
          this.#waiting -= 1
        }
      })
    })
  }

  async #spread(proof: Equivocation, signal: AbortSignal): Promise<void> {
    const { network, random, clock } = this.#components
    const message = encodeLogMessage({ type: 'equivocation', ...proof })
    const told = draw(network.connected(), TOLD_MAX, random)
    const turns = new Turns(AT_ONCE)
    await Promise.all([
      this.#try(() => network.publish(topics.log, message)),
      ...told.map((peerId) =>
        this.#try(() => turns.take(signal, () => this.#tell(peerId, proof, signal))),
      ),
    ])
    await clock.sleep(GAP_MS, signal)
  }

  #tell(peerId: string, proof: Equivocation, signal: AbortSignal): Promise<void> {
    const limit = { ms: TELL_MS, what: 'Telling of an equivocation', signal }
    return within(this.#components.clock, limit, (ending) =>
      asking(this.#components, peerId, { signal: ending }, (client) => client.tell(proof)),
    )
  }

  async #try(task: () => Promise<void>): Promise<void> {
    try {
      await task()
    } catch (error) {
      const { logger } = this.#components
      logger.debug('an equivocation was not passed on', { error: messageOf(error) })
    }
  }
}
