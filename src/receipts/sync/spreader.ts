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
  readonly #turns = new Turns(AT_ONCE)

  constructor(components: SpreaderComponents) {
    this.#components = components
  }

  /** Returns how to end that. */
  start(): () => void {
    return this.#components.bars.onNews(({ proof }) => this.#spread(proof))
  }

  #spread(proof: Equivocation): void {
    const { network, random } = this.#components
    const message = encodeLogMessage({ type: 'equivocation', ...proof })
    this.#try(() => network.publish(topics.log, message))
    for (const peerId of draw(network.connected(), TOLD_MAX, random)) {
      this.#try((signal) => this.#tell(peerId, proof, signal))
    }
  }

  #tell(peerId: string, proof: Equivocation, signal: AbortSignal): Promise<void> {
    const limit = { ms: TELL_MS, what: 'Telling of an equivocation', signal }
    return this.#turns.take(signal, () =>
      within(this.#components.clock, limit, (ending) =>
        asking(this.#components, peerId, { signal: ending }, (client) => client.tell(proof)),
      ),
    )
  }

  #try(task: (signal: AbortSignal) => Promise<void>): void {
    const { background, logger } = this.#components
    background.run(async (signal) => {
      try {
        await task(signal)
      } catch (error) {
        logger.debug('an equivocation was not passed on', { error: messageOf(error) })
      }
    })
  }
}
