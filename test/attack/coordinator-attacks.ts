import type { Clock } from '../../src/base/clock.ts'
import { type Identity, identityFromSeed } from '../../src/identity/identity.ts'
import type { Network } from '../../src/network/network.ts'
import { protocols } from '../../src/wire/protocols.ts'
import { type Ask, Coordinator, chat, type Line } from '../market/serve-stage.ts'

const { signal } = new AbortController()

export interface AssaultParts {
  network: Network
  identity: Identity
  clock: Clock
  /** Who is to suffer, and its model. */
  provider: string
  model: string
}

/** A coordinator that costs a provider more than it gives. */
export class HostileCoordinator {
  readonly clock: Clock
  readonly #coordinator: Coordinator
  readonly #model: string

  constructor({ network, identity, clock, provider, model }: AssaultParts) {
    this.clock = clock
    this.#model = model
    const open = () => network.open(provider, protocols.generate, { signal })
    this.#coordinator = new Coordinator({ identity, provider, open })
  }

  /** A stream on which nothing was said yet. */
  line(): Promise<Line> {
    return this.#coordinator.line()
  }

  ask(ask: Ask = {}): Promise<Line> {
    return this.#coordinator.ask({ model: this.#model, work: ENDLESS, ...ask })
  }
}

/** What it does again and again. */
export interface CoordinatorAttack {
  name: string
  assault(coordinator: HostileCoordinator): Promise<void>
}

/** An answer that ends when somebody ends it. */
export const ENDLESS = chat('endless', { maxTokens: 100_000 })
const SHORT = chat('short')
const garbage = Uint8Array.of(0xff, 0xff, 0xff)
const stranger = identityFromSeed(new Uint8Array(32).fill(123))

const attack = (name: string, assault: CoordinatorAttack['assault']): CoordinatorAttack => ({
  name,
  assault,
})

/** Its answer has begun; not where it was refused. */
const begun = (line: Line): boolean => line.has('tokens')
const received = (line: Line): number =>
  line.all('tokens').reduce((sum, { ids }) => sum + ids.length, 0)

export const coordinatorAttacks: CoordinatorAttack[] = [
  attack('cancels each job at once', async (coordinator) => {
    const line = await coordinator.ask()
    await line.cancel(0)
  }),
  attack('cancels each job behind its first token, and never acknowledges', async (coordinator) => {
    const line = await coordinator.ask()
    await coordinator.clock.sleep(400, signal)
    if (begun(line)) await line.cancel(received(line))
  }),
  attack('cancels each job behind its first token, and acknowledges', async (coordinator) => {
    const line = await coordinator.ask()
    await coordinator.clock.sleep(400, signal)
    if (!begun(line)) return
    await line.cancel(received(line))
    await line.ack()
  }),
  attack('cancels what it has not received', async (coordinator) => {
    const line = await coordinator.ask()
    await coordinator.clock.sleep(400, signal)
    await line.cancel(1_000_000)
  }),
  attack('leaves without a word', async (coordinator) => {
    const line = await coordinator.ask()
    await line.reset()
  }),
  attack('leaves behind the first token', async (coordinator) => {
    const line = await coordinator.ask()
    await coordinator.clock.sleep(400, signal)
    await line.reset()
  }),
  attack('never acknowledges', async (coordinator) => {
    await coordinator.ask({ work: SHORT })
  }),
  attack('disputes everything', async (coordinator) => {
    const line = await coordinator.ask({ work: SHORT })
    await coordinator.clock.sleep(1_000, signal)
    if (line.has('done')) await line.ack('wrong_hash')
  }),
  attack('wants answers without end', async (coordinator) => {
    await coordinator.ask()
  }),
  attack('wants many answers at once, without end', async (coordinator) => {
    await coordinator.ask({ work: chat('endless', { maxTokens: 100_000, choices: 128 }) })
  }),
  attack('wants answers without end, and reads none', async (coordinator) => {
    await coordinator.ask({ deaf: true })
  }),
  attack('says nothing', async (coordinator) => {
    await coordinator.line()
  }),
  attack('announces a body that never comes', async (coordinator) => {
    await coordinator.ask({ bodyBytes: 20 * 1024 * 1024, pieces: 1 })
  }),
  attack('sends a body that is none', async (coordinator) => {
    await coordinator.ask({ body: new Uint8Array(1_000).fill(0xff) })
  }),
  attack('sends a job twice', async (coordinator) => {
    const jobId = `again_${Math.floor(coordinator.clock.elapsed())}.1`
    await coordinator.ask({ jobId, work: SHORT })
    await coordinator.ask({ jobId, work: SHORT })
  }),
  attack('signs for another', async (coordinator) => {
    await coordinator.ask({ signer: stranger })
  }),
  attack('goes on with what nobody has begun', async (coordinator) => {
    await coordinator.ask({ resume: [{ choice: 5, text: 'never said', ids: [1, 2, 3] }] })
  }),
  attack('talks nonsense', async (coordinator) => {
    const line = await coordinator.line()
    line.stream.write(garbage)
  }),
  attack('acknowledges before the end', async (coordinator) => {
    const line = await coordinator.ask()
    await line.ack()
  }),
]
