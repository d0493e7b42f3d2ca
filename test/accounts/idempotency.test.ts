import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { KeptAnswer } from '../../src/accounts/idempotency/answer-rows.ts'
import {
  Claim,
  type Deed,
  defaultIdempotency,
  Idempotency,
  type IdempotencyOptions,
  type Use,
} from '../../src/accounts/idempotency/idempotency.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { systemRandom } from '../../src/base/random.ts'
import { openStoreOn } from '../../src/storage/store.ts'
import { FakeClock, settled } from '../base/fake-clock.ts'
import { rounds } from '../campaign.ts'
import { StubBackend } from '../storage/stub-backend.ts'

async function setUp(options: Partial<IdempotencyOptions> = {}) {
  const backend = new StubBackend()
  const clock = new FakeClock()
  /** Requests whose work was settled. */
  const settledWork = new Set<string>()
  const open = async () => {
    const store = await openStoreOn(backend, { logger: silentLogger })
    const wasSettled = async (id: string) => settledWork.has(id)
    const parts = { store, clock, random: systemRandom, logger: silentLogger, wasSettled }
    return new Idempotency(parts, options)
  }
  return { backend, clock, settledWork, open, idempotency: await open() }
}

let requests = 0
const use = (more: Partial<Use> = {}): Use => ({
  account: 'ada',
  route: 'POST /chat/completions',
  key: 'k',
  fingerprint: 'body',
  requestId: `req_${++requests}`,
  deed: 'work',
  apiKey: 'sk-pnv-ada',
  ...more,
})

const whole = (text: string): KeptAnswer => ({
  status: 200,
  headers: { 'x-request-id': 'req_1' },
  trailers: {},
  isStream: false,
  body: Buffer.from(text),
})

async function claimed(idempotency: Idempotency, one: Use): Promise<Claim> {
  const claim = await idempotency.begin(one)
  if (!(claim instanceof Claim)) throw new Error('answered already')
  return claim
}

async function answered(idempotency: Idempotency, one: Use): Promise<string> {
  const answer = await idempotency.begin(one)
  if (answer instanceof Claim) throw new Error('not answered')
  return Buffer.from(answer.body).toString()
}

const refused = (idempotency: Idempotency, one: Use) =>
  idempotency.begin(one).then(
    () => 'not refused',
    (error: { code: string }) => error.code,
  )

describe('a request with an Idempotency-Key', () => {
  it('is served once, and answered the same again, after a restart too, for a day', async () => {
    const { idempotency, open, clock, backend } = await setUp()
    backend.writes.length = 0
    const claim = await claimed(idempotency, use())
    await claim.keep(whole('hello'))
    expect(backend.writes.map(({ sync }) => sync).filter((sync) => sync)).toHaveLength(2)
    expect(await answered(idempotency, use())).toBe('hello')
    const again = await open()
    await clock.advance(defaultIdempotency.keptMs - 1)
    const answer = await again.begin(use())
    expect(answer).toEqual({ ...whole('hello'), body: new Uint8Array(Buffer.from('hello')) })
    await clock.advance(1)
    await claimed(again, use())
  })

  it('is on the disk as begun before it is worked on', async () => {
    const { idempotency, backend } = await setUp()
    backend.held = true
    let begun = false
    const claim = claimed(idempotency, use()).then(() => {
      begun = true
    })
    await settled()
    expect([begun, backend.writes.at(-1)]).toEqual([false, { rows: 2, sync: true }])
    backend.release()
    await claim
  })

  it('is another for another account, place or key', async () => {
    const { idempotency } = await setUp()
    for (const more of [{}, { account: 'bob' }, { route: 'POST /x' }, { key: 'l' }]) {
      await (await claimed(idempotency, use(more))).keep(whole(JSON.stringify(more)))
    }
    expect(await answered(idempotency, use())).toBe('{}')
    expect(await answered(idempotency, use({ account: 'bob' }))).toBe('{"account":"bob"}')
  })

  it('with another body is a conflict, while it runs and afterwards', async () => {
    const { idempotency } = await setUp()
    const claim = await claimed(idempotency, use())
    const other = use({ fingerprint: 'other' })
    expect(await refused(idempotency, other)).toBe('idempotency_conflict')
    expect(await refused(idempotency, use())).toBe('idempotency_in_progress')
    await claim.keep(whole('x'))
    expect(await refused(idempotency, other)).toBe('idempotency_conflict')
  })

  it('that came to nothing is served again, with another body too', async () => {
    const { idempotency } = await setUp()
    await (await claimed(idempotency, use())).drop()
    await (await claimed(idempotency, use({ fingerprint: 'other' }))).drop()
  })

  it('has its answers told to many at a time', async () => {
    const { idempotency } = await setUp()
    await (await claimed(idempotency, use())).keep(whole('x'))
    const all = await Promise.all(Array.from({ length: 50 }, () => answered(idempotency, use())))
    expect(new Set(all)).toEqual(new Set(['x']))
  })
})

describe('after a crash', () => {
  it('work that was not settled is done anew', async () => {
    const { idempotency, open } = await setUp()
    await claimed(idempotency, use())
    const claim = await claimed(await open(), use())
    await claim.keep(whole('second'))
    expect(await answered(await open(), use())).toBe('second')
  })

  it('work that was settled is refused: it would be charged twice', async () => {
    const { idempotency, open, settledWork } = await setUp()
    await claimed(idempotency, use({ requestId: 'req_charged' }))
    settledWork.add('req_charged')
    const again = await open()
    expect(await refused(again, use())).toBe('idempotency_interrupted')
    await expect(again.begin(use())).rejects.toThrow('/v1/receipts/req_charged')
    expect(await refused(again, use({ fingerprint: 'other' }))).toBe('idempotency_conflict')
  })

  it.each(['creation', 'secret'] satisfies Deed[])('a %s is refused', async (deed) => {
    const { idempotency, open } = await setUp()
    await claimed(idempotency, use({ deed }))
    expect(await refused(await open(), use({ deed }))).toBe('idempotency_interrupted')
  })

  it('an answer that could not be written is taken for a crash', async () => {
    const { idempotency, backend, open, settledWork } = await setUp()
    const claim = await claimed(idempotency, use({ requestId: 'req_1' }))
    settledWork.add('req_1')
    backend.failNext = { error: new Error('EIO'), rowsWritten: false }
    await claim.keep(whole('x'))
    expect(await refused(await open(), use())).toBe('idempotency_interrupted')
  })
})

describe('an answer with a secret', () => {
  it('is given to the key that asked, and not to the disk', async () => {
    const { idempotency, backend, open } = await setUp()
    const one = use({ deed: 'secret' })
    await (await claimed(idempotency, one)).keep(whole('sk-pnv-secret'))
    const again = await open()
    expect(await answered(again, one)).toBe('sk-pnv-secret')
    const other = use({ deed: 'secret', apiKey: 'sk-pnv-other' })
    expect(await refused(again, other)).toBe('idempotency_answer_not_kept')
    const range = { gte: new Uint8Array(0), lt: Uint8Array.of(255), reverse: false }
    for await (const row of backend.range({ ...range, limit: 100 })) {
      expect(row.map((bytes) => Buffer.from(bytes).toString('latin1')).join()).not.toMatch(/secret/)
    }
  })
})

describe('what is kept', () => {
  const small = { answerBytesMax: 10, recordedBytesMax: 15 }

  it('is not an answer beyond the limit: it is neither told nor done again', async () => {
    const { idempotency } = await setUp(small)
    await (await claimed(idempotency, use())).keep(whole('x'.repeat(10)))
    expect(await answered(idempotency, use())).toBe('x'.repeat(10))
    const large = use({ key: 'large' })
    await (await claimed(idempotency, large)).keep(whole('x'.repeat(11)))
    expect(await refused(idempotency, large)).toBe('idempotency_answer_not_kept')
  })

  it('of streams is bounded one by one and together', async () => {
    const { idempotency } = await setUp(small)
    const claims: Claim[] = []
    for (const key of ['a', 'b', 'c']) {
      const claim = await claimed(idempotency, use({ key }))
      claims.push(claim)
      claim.recording.open({})
      claim.recording.add('é'.repeat(3))
    }
    claims[0]?.recording.add('x'.repeat(5))
    const kept = claims.map(({ recording }) => recording.answer()?.body.toString())
    // The third was one too many; the first then too long, which makes room for others.
    expect(kept).toEqual([undefined, 'ééé', undefined])
    for (const claim of claims) await claim.keep(claim.recording.answer())
    const more = await claimed(idempotency, use({ key: 'd' }))
    more.recording.open({})
    more.recording.add('x'.repeat(10))
    expect(more.recording.answer()?.body).toHaveLength(10)
  })

  it('is bounded in rows, of which one account has half; what has ended makes room', async () => {
    const { idempotency, clock, open } = await setUp({ rowsMax: 8 })
    for (let n = 0; n < 4; n++) {
      await (await claimed(idempotency, use({ key: `${n}` }))).keep(whole('x'))
    }
    expect(await refused(idempotency, use())).toBe('rate_limit_exceeded')
    expect(await answered(idempotency, use({ key: '0' }))).toBe('x')
    await (await claimed(idempotency, use({ account: 'bob' }))).drop()
    const again = await open()
    expect(await refused(again, use())).toBe('rate_limit_exceeded')
    await clock.advance(defaultIdempotency.keptMs)
    await claimed(again, use())
  })

  it('is bounded in bytes', async () => {
    const { idempotency } = await setUp({ bytesMax: 20 })
    await (await claimed(idempotency, use({ key: 'a' }))).keep(whole('x'.repeat(10)))
    await (await claimed(idempotency, use({ key: 'b' }))).keep(whole('x'))
    expect(await refused(idempotency, use({ key: 'b' }))).toBe('idempotency_answer_not_kept')
  })

  it('is bounded in requests at a time', async () => {
    const { idempotency } = await setUp({ underwayMax: 4 })
    const claims = [
      await claimed(idempotency, use({ key: 'a' })),
      await claimed(idempotency, use({ key: 'b' })),
    ]
    expect(await refused(idempotency, use())).toBe('overloaded')
    for (const claim of claims) await claim.drop()
    await claimed(idempotency, use())
  })

  it('that has ended is removed, but not what was begun with its key meanwhile', async () => {
    const { idempotency, open, clock, backend } = await setUp()
    const one = (): Use => use({ deed: 'creation' })
    await (await claimed(idempotency, one())).keep(whole('a'))
    await clock.advance(1)
    await (await claimed(idempotency, use({ key: 'second' }))).keep(whole('b'))
    await clock.advance(defaultIdempotency.keptMs)
    const gate = Promise.withResolvers<void>()
    const get = backend.get.bind(backend)
    let gets = 0
    backend.get = async (key) => {
      gets += 1
      // The third row that is read: of a new request, the first that has ended, and the second.
      if (gets === 3) await gate.promise
      return await get(key)
    }
    await claimed(idempotency, use({ key: 'third' }))
    await expect.poll(() => gets).toBe(3)
    await (await claimed(idempotency, one())).keep(whole('c'))
    const another = use({ key: 'second', deed: 'creation' })
    await claimed(idempotency, another)
    gate.resolve()
    await idempotency.close()
    const again = await open()
    expect(await answered(again, one())).toBe('c')
    expect(await refused(again, another)).toBe('idempotency_interrupted')
  })

  it('leaves nothing behind after its day', async () => {
    const { idempotency, clock, backend } = await setUp()
    const count = async () => {
      let rows = 0
      const range = { gte: new Uint8Array(0), lt: Uint8Array.of(255), reverse: false }
      for await (const _row of backend.range({ ...range, limit: 10_000 })) rows++
      return rows
    }
    await (await claimed(idempotency, use({ key: 'first' }))).drop()
    const before = await count()
    for (let n = 0; n < 1500; n++) {
      await (await claimed(idempotency, use({ key: `${n}` }))).keep(whole('x'))
    }
    expect(await count()).toBe(before + 3000)
    await clock.advance(defaultIdempotency.keptMs)
    await (await claimed(idempotency, use({ key: 'last' }))).drop()
    await idempotency.close()
    expect(await count()).toBe(before)
  })
})

describe('whatever happens at the same time', () => {
  it('one execution answers all; none is charged twice, over crashes', async () => {
    const step = fc.record({
      key: fc.constantFrom<'a' | 'b'>('a', 'b'),
      outcome: fc.constantFrom('answer', 'answer', 'fail', 'hang', 'crash'),
      turns: fc.nat(4),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const { open, settledWork } = await setUp()
        let idempotency = await open()
        /** By key: texts of its settled executions. */
        const settledTexts = { a: [] as string[], b: [] as string[] }
        const ends: (() => void)[] = []
        let running: Promise<unknown>[] = []
        let executions = 0
        let age = 0
        let isOver = false
        const one = async (key: 'a' | 'b', outcome: string, born: number) => {
          const asked = use({ key })
          const claim = await idempotency.begin(asked)
          if (!(claim instanceof Claim)) {
            expect(settledTexts[key]).toContain(Buffer.from(claim.body).toString())
            return
          }
          if (outcome === 'hang' && !isOver) await new Promise<void>((go) => ends.push(go))
          await Promise.resolve()
          if (born !== age) return
          if (outcome === 'fail') return await claim.drop()
          const text = `${++executions}`
          settledTexts[key].push(text)
          settledWork.add(asked.requestId)
          if (outcome !== 'crash') await claim.keep(whole(text))
        }
        for (const each of steps) {
          running.push(
            one(each.key, each.outcome, age).catch((error) =>
              expect(error.code).toMatch(/^idempotency_/),
            ),
          )
          for (let n = 0; n < each.turns; n++) await settled()
          if (each.outcome !== 'crash') continue
          // What ran when the process died never goes on.
          await settled()
          age += 1
          running = []
          idempotency = await open()
        }
        isOver = true
        for (const end of ends) end()
        await Promise.all(running)
        for (const texts of Object.values(settledTexts)) expect(texts.length).toBeLessThanOrEqual(1)
      }),
      { numRuns: rounds(60, 3_000) },
    )
  })
})
