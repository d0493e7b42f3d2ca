import { describe, expect, it } from 'vitest'
import { type Identity, identityFromSeed } from '../../src/identity/identity.ts'
import { DraftRecord } from '../../src/receipts/draft-record.ts'
import { LiveReceipts } from '../../src/receipts/live.ts'
import type { FromProvider } from '../../src/wire/generate.ts'
import type { ChatWork } from '../../src/wire/job.ts'
import { publicKeyOf } from '../../src/wire/peer-id.ts'
import { FakeClock, settled } from '../base/fake-clock.ts'
import { hashing } from '../engines/fake-writer.ts'
import { chat, frames, type Script } from './coordinator-stage.ts'
import { drafted, guess, type Priced, price, pricedDrafters, said } from './drafting-stage.ts'
import type { Line } from './provider-line.ts'

const priced = pricedDrafters()

/** What a real drafter makes of a target that does what the test says. */
describe('a drafter whose target', () => {
  const asked = { kind: 'draft', work: chat({ maxTokens: 400 }) } as const
  let jobs = 0
  const ask = async ({ coordinator, clock }: Priced, tokens: number) => {
    const line = await coordinator.ask({ ...asked, jobId: `job_${++jobs}.d1` })
    await clock.advance(10)
    for (let at = 0; line.has('accept') && at < tokens; at += 16) {
      const ids = said(Math.min(at + 16, tokens)).slice(at)
      line.send({ type: 'committed', choice: 0, first: at, ids })
      await clock.advance(10)
    }
    return line
  }

  it('says that more came true than did signs for what did', async () => {
    const all = await priced()
    const line = await ask(all, 40)
    await line.cancel(4_000_000)
    const done = line.last('done')
    expect(done).toMatchObject({ usage: { outputTokens: 40 }, receipt: { meteringUnits: 40 } })
    await line.ack()
    expect(all.outcomes).toEqual(['drafted'])
  })

  it('says of much that it is little is not drafted for again, for ten minutes', async () => {
    const all = await priced()
    const end = async (right: number, taken: number) => {
      const line = await ask(all, right)
      await line.cancel(taken)
      if (taken > 0) await line.ack()
    }
    await end(100, 10)
    await end(27, 13)
    // 127 that came true are too few to say.
    await end(1, 0)
    const refused = (await ask(all, 1)).last('refuse')
    expect(refused).toMatchObject({ code: 'allowance', retryAfterMs: 600_000 })
    await all.clock.advance(600_000)
    expect((await ask(all, 1)).has('accept')).toBe(true)
  })

  it('takes at least half is drafted for again', async () => {
    const all = await priced()
    for (let n = 0; n < 4; n++) {
      const line = await ask(all, 100)
      await line.cancel(50)
      await line.ack()
    }
    expect(all.outcomes).toEqual(Array(4).fill('drafted'))
    expect((await ask(all, 1)).has('accept')).toBe(true)
  })

  it.each<[how: string, end: (line: Awaited<ReturnType<typeof ask>>) => Promise<unknown>]>([
    ['never acknowledges it', (line) => line.cancel(40)],
    ['goes without a word', (line) => line.reset()],
    [
      'says what is not to be said',
      async (line) => line.send({ type: 'body', bytes: Uint8Array.of(1) }),
    ],
  ])('%s has no place for a minute', async (_, end) => {
    const all = await priced()
    const line = await ask(all, 40)
    await end(line)
    await all.clock.advance(10_001)
    expect((await ask(all, 1)).last('refuse').code).toBe('allowance')
    await all.clock.advance(60_000)
    expect((await ask(all, 1)).has('accept')).toBe(true)
  })

  it('tells it without end tells it nothing more', async () => {
    const all = await priced()
    const { maxTokens: _, ...sampling } = (chat() as ChatWork).sampling
    const work = { ...(chat() as ChatWork), sampling }
    const line = await all.coordinator.ask({ ...asked, work, jobId: 'job_e.d1' })
    await all.clock.advance(10)
    // The scripted model has room for 512.
    for (let at = 0; at < 2_048; at += 256) {
      line.send({ type: 'committed', choice: 0, first: at, ids: Array(256).fill(1) })
      await all.clock.advance(10)
    }
    expect(all.writer.jobs.every(({ resume }) => (resume?.[0]?.ids.length ?? 0) <= 512)).toBe(true)
    expect(line.types()).not.toContain('failed')
  })

  it('is gone before anything came true has lost nothing by it', async () => {
    const all = await priced()
    await (await ask(all, 0)).reset()
    await settled()
    expect((await ask(all, 1)).has('accept')).toBe(true)
  })

  it('disputes it has as few places as anybody new', async () => {
    const all = await priced()
    for (let n = 0; n < 3; n++) {
      const line = await ask(all, 20)
      await line.cancel(20)
      await line.ack()
    }
    expect((await ask(all, 1)).last('accept').allowance).toBe(4)
    const line = await ask(all, 20)
    await line.cancel(20)
    await line.ack('wrong_hash')
    expect((await ask(all, 1)).last('accept').allowance).toBe(2)
  })

  it('goes on behind the end of what it can guess owes what came true before', async () => {
    const all = await priced({
      rule: (ids) => {
        if (ids.length >= 30) throw new Error('no room')
        return hashing(ids)
      },
    })
    const line = await ask(all, 80)
    expect(line.types()).not.toContain('failed')
    await line.cancel(30)
    expect(line.last('done')).toMatchObject({ receipt: { meteringUnits: 30 } })
    await line.ack()
  })
})

/** What a real target makes of a drafter that does what the test says. */
describe('a target whose drafter', () => {
  const own = { input: 0, output: 3_000 }
  const model = { price }

  type Done = Extract<FromProvider, { type: 'done' }>

  const signed = (record: DraftRecord, usage: Done['usage']): Done => {
    const done = { type: 'done', finish: ['cancelled' as const], usage } as const
    const { receipt, execution } = record.sealed({ ...done, finish: ['cancelled'] })
    return { ...done, finish: ['cancelled'], receipt, entry: execution.bytes, drafting: [] }
  }

  /** Guesses 40 tokens, all of them right, and ends as `change` has it. */
  const signing =
    (change: (done: Done, record: DraftRecord) => Done = (done) => done, count?: number): Script =>
    async (line: Line) => {
      const { jobId, promptRoot, coordinator, model: id } = line.job
      const clock = new FakeClock()
      // The first peer of the stage.
      const identity: Identity = identityFromSeed(new Uint8Array(32).fill(1))
      const record = new DraftRecord(
        { identity, clock, live: new LiveReceipts({ clock }) },
        {
          ...{ jobId, promptRoot: () => promptRoot, price: { input: 0, output: 1_500 } },
          coordinator: publicKeyOf(coordinator),
          model: { id, name: 'small' },
        },
      )
      line.signs = false
      const accept = { ...frames.accept(0), price: { input: 0, output: 1_500 } } as const
      const { signature: openSignature } = record.open()
      line.say({ ...accept, openSignature } as FromProvider, guess(0, said(40)))
      record.hash.guessed(0, said(40))
      for (;;) {
        const frame = await line.hear()
        if (frame === undefined || frame.type === 'ack') return
        if (frame.type === 'committed') record.hash.committed(frame.first, frame.ids)
        if (frame.type !== 'cancel') continue
        const outputTokens = count ?? frame.received[0] ?? 0
        const usage = { inputTokens: 0, cachedTokens: 0, outputTokens }
        line.say(change(signed(record, usage), record))
      }
    }

  async function against(script: Script) {
    const all = await drafted(script, { price: own, model })
    const drafting = all.find()
    await settled()
    drafting?.committed(0, 0, said(40))
    await settled()
    drafting?.end(30)
    await settled()
    const heard = all.drafter.lines[0]?.heard.at(-1)
    return { ...all, heard, bodies: await all.proof.bodies() }
  }

  it('is honest owes it what it took', async () => {
    const { heard, bodies, faults, lost } = await against(signing())
    expect(heard).toMatchObject({ type: 'ack', dispute: '' })
    expect(bodies).toMatchObject([{ kind: 'routing', body: { amount: 45 } }])
    expect([faults(), lost]).toEqual([[], []])
  })

  it('counts fewer than that owes it as many', async () => {
    const { bodies, faults } = await against(signing(undefined, 20))
    expect(bodies).toMatchObject([{ kind: 'routing', body: { amount: 30 } }])
    expect(faults()).toEqual([])
  })

  const wrong = new Uint8Array(64).fill(7)
  const lies: [what: string, script: Script, dispute: string][] = [
    ['claims more than was taken', signing(undefined, 31), 'count'],
    [
      'signs another result',
      signing((done) => ({
        ...done,
        receipt: { ...(done.receipt as object), resultHash: new Uint8Array(32) } as never,
      })),
      'bad_signature',
    ],
    [
      'signs nothing that holds',
      signing((done) => ({
        ...done,
        receipt: { ...(done.receipt as object), signature: wrong } as never,
      })),
      'bad_signature',
    ],
    [
      'signs for other guesses',
      signing((done, record) => {
        record.hash.guessed(0, [1_000_000])
        return signed(record, done.usage)
      }),
      'wrong_hash',
    ],
    [
      'is to be paid for the prompt',
      signing((done) => ({ ...done, usage: { ...done.usage, inputTokens: 5 } })),
      'count',
    ],
    [
      'writes another entry',
      signing((done) => ({ ...done, entry: Uint8Array.of(1, 2, 3) })),
      'wrong_entry',
    ],
  ]
  it.each(lies)('%s owes it nothing, and says so', async (_, script, dispute) => {
    const { heard, bodies, faults, lost, find, clock } = await against(script)
    expect(heard).toMatchObject({ type: 'ack', dispute })
    expect(bodies).toEqual([])
    expect(faults()).toMatchObject([{ action: 'penalise' }])
    // The answer was at its end, and nobody who writes it is told.
    expect(lost).toEqual([])
    expect(find()).toBeUndefined()
    await clock.advance(60_001)
    expect(find()).toBeDefined()
  })

  it('signs nothing owes it nothing, and that is no lie', async () => {
    const { heard, bodies, faults } = await against(
      signing(({ receipt: _, ...done }) => ({ ...done, entry: new Uint8Array() })),
    )
    expect(heard).toMatchObject({ type: 'ack', dispute: 'no_receipt' })
    expect([bodies, faults()]).toEqual([[], []])
  })

  const accepting =
    (more: object): Script =>
    async (line) => {
      line.signs = false
      line.say({ ...frames.accept(0), price: { input: 0, output: 1_500 }, ...more } as FromProvider)
      while ((await line.hear()) !== undefined);
    }
  it.each<[what: string, script: Script]>([
    ['asks for more than it said', accepting({ price: { input: 0, output: 1_501 } })],
    ['asks for the prompt', accepting({ price: { input: 1, output: 0 } })],
    ['signs an open receipt that does not hold', accepting({ openSignature: wrong })],
    [
      'accepts twice',
      async (line) => {
        line.signs = false
        line.say(frames.accept(0), frames.accept(0))
        while ((await line.hear()) !== undefined);
      },
    ],
    [
      'ends before it was told to',
      async (line) => {
        line.signs = false
        line.say(frames.accept(0), { ...frames.done(5), finish: ['cancelled'] } as FromProvider)
        while ((await line.hear()) !== undefined);
      },
    ],
  ])('%s has lost it, and goes on alone', async (_, script) => {
    const { bodies, faults, lost } = await against(script)
    expect(lost).toHaveLength(1)
    expect(faults()).toMatchObject([{ action: 'penalise' }])
    expect(bodies).toEqual([])
  })

  it('never says what it wants waits for that in the background, and not for long', async () => {
    const silent: Script = async (line) => {
      line.signs = false
      line.say(frames.accept(0))
      while ((await line.hear()) !== undefined);
    }
    const { clock, drafter, bodies } = await against(silent)
    await clock.advance(3_000)
    expect(drafter.lines[0]?.stream.ended.aborted).toBe(true)
    expect(bodies).toEqual([])
  })
})
