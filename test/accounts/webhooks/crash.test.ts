import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { dueRows, eventRows, within } from '../../../src/accounts/webhooks/event-record.ts'
import type { Webhooks } from '../../../src/accounts/webhooks/webhooks.ts'
import { type Random, seededRandom } from '../../../src/base/random.ts'
import type { Backend, KeyRange, Row } from '../../../src/storage/backend.ts'
import { MemoryBackend } from '../../../src/storage/memory-backend.ts'
import type { Store } from '../../../src/storage/store.ts'
import { settled } from '../../base/fake-clock.ts'
import { rounds } from '../../campaign.ts'
import { allRows } from '../../storage/rows.ts'
import {
  DAY,
  deliveriesOf,
  endpoint,
  event,
  HOUR,
  type Letter,
  Mailbox,
  never,
  newStage,
  openOn,
  type Stage,
  says,
} from './stage.ts'

/** The disk as one process has it: from its kill on, nothing that it writes arrives. */
class Life implements Backend {
  readonly #disk: MemoryBackend
  writesLeft = Number.POSITIVE_INFINITY
  /** Whether the write under way at the kill arrives. */
  lastArrives = false
  over = false

  constructor(disk: MemoryBackend) {
    this.#disk = disk
  }

  get = (key: Uint8Array) => this.#disk.get(key)
  getMany = (keys: Uint8Array[]) => this.#disk.getMany(keys)
  range = (range: KeyRange) => this.#disk.range(range)
  close = async () => {}

  async write(rows: readonly Row[]): Promise<void> {
    this.writesLeft -= 1
    const last = !this.over && this.writesLeft <= 0
    if (last) this.over = true
    if (!this.over || (last && this.lastArrives)) await this.#disk.write(rows)
    if (this.over) await never()
  }
}

type Step =
  | { kind: 'emit'; inBatch: boolean }
  | { kind: 'pass'; ms: number }
  | { kind: 'doom'; writes: number; lastArrives: boolean }
  | { kind: 'kill' }

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ kind: fc.constant('emit' as const), inBatch: fc.boolean() }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant('pass' as const),
        ms: fc.oneof(fc.nat(10), fc.nat(10_000), fc.nat(HOUR)),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('doom' as const),
        writes: fc.integer({ min: 1, max: 12 }),
        lastArrives: fc.boolean(),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('kill' as const) }) },
  ),
  { maxLength: 40, size: 'max' },
)

const urls = ['https://ada.example/1', 'https://ada.example/2']
/** An endpoint that fails more often than that is not asked for ever, and this is not about that. */
const FAILURES_MAX = 4

/** A world of processes that follow each other on one disk. */
class World {
  readonly disk = new MemoryBackend()
  readonly stage: Stage
  readonly random: Random
  life = new Life(this.disk)
  webhooks!: Webhooks
  store!: Store
  emitted = 0
  /** What was said to be durable. */
  readonly acknowledged = new Set<number>()
  readonly faults: string[] = []
  readonly #failures = new Map<string, number>()
  calm = false

  constructor(seed: number) {
    this.random = seededRandom(seed + 1)
    this.stage = newStage({ random: this.random, backend: this.life })
  }

  async boot(): Promise<void> {
    const life = new Life(this.disk)
    const mailbox = this.#mailboxOf(life)
    this.life = life
    const opened = await openOn({ ...this.stage, backend: life, mailbox })
    this.webhooks = opened.webhooks
    this.store = opened.store
    await this.webhooks.start()
  }

  /** Writes to the one mailbox, as long as its process lives. */
  #mailboxOf(life: Life): Mailbox {
    const own = new Mailbox(this.stage.clock)
    own.answer = async (letter) => {
      if (life.over) return never()
      this.stage.mailbox.got.push(letter)
      return this.#receive(letter)
    }
    return own
  }

  async #receive(letter: Letter) {
    const events = this.store.table('webhooks-events', eventRows)
    if ((await events.get(within('ada', letter.id))) === undefined) {
      this.faults.push(`${letter.id} was sent before it was kept`)
    }
    const key = letter.id + letter.url
    const failures = this.#failures.get(key) ?? 0
    if (!this.calm && failures < FAILURES_MAX && this.random.below(3) === 0) {
      this.#failures.set(key, failures + 1)
      return says(500)
    }
    return says(200)
  }

  async step(step: Step): Promise<void> {
    if (step.kind === 'pass') await this.stage.clock.advance(step.ms)
    else if (step.kind === 'emit') this.#emit(step.inBatch)
    else if (step.kind === 'kill') this.life.over = true
    else {
      this.life.writesLeft = step.writes
      this.life.lastArrives = step.lastArrives
    }
    await settled()
    if (this.life.over) await this.boot()
  }

  #emit(inBatch: boolean): void {
    const n = ++this.emitted
    if (!inBatch) {
      this.webhooks.emit(event(n))
      return
    }
    const rows = this.store.batch()
    this.webhooks.emit(event(n), rows)
    this.store.commit(rows).then(() => this.acknowledged.add(n))
  }
}

const numberOf = ({ body }: Letter): number => JSON.parse(body).data.object.n

describe('events and SIGKILL', () => {
  it('each that was acknowledged comes to each endpoint, under one id, whenever the peer is killed', async () => {
    await fc.assert(
      fc.asyncProperty(steps, fc.nat(), async (story, seed) => {
        const world = new World(seed)
        await world.boot()
        const ids: string[] = []
        for (const url of urls) ids.push((await endpoint(world.webhooks, url)).id)
        for (const step of story) await world.step(step)
        await world.step({ kind: 'kill' })
        world.calm = true
        await world.stage.clock.advance(2 * DAY)

        const { got } = world.stage.mailbox
        expect(world.faults).toEqual([])
        for (const url of urls) {
          const heard = new Set(got.filter((letter) => letter.url === url).map(numberOf))
          expect([...world.acknowledged].filter((n) => !heard.has(n))).toEqual([])
        }
        const bodies = new Map(got.map(({ id, body }) => [id, body]))
        expect(got.filter(({ id, body }) => bodies.get(id) !== body)).toEqual([])
        expect(new Set(got.map(numberOf)).size).toBe(bodies.size)
        expect(await allRows(world.store.table('webhooks-due', dueRows))).toEqual([])
        for (const id of ids) {
          const kept = await deliveriesOf(world.webhooks, id)
          expect(kept.filter(({ status }) => status !== 'succeeded')).toEqual([])
          expect(kept.length).toBe(bodies.size)
        }
      }),
      { numRuns: rounds(60, 3_000) },
    )
  })
})
