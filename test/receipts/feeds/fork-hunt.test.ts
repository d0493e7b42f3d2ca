import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { huntFork } from '../../../src/receipts/feeds/fork-hunt.ts'
import { openEquivocation } from '../../../src/wire/equivocation.ts'
import type { Batch } from '../../../src/wire/log-batch.ts'
import { coordinator, ExampleLog, provider } from '../../wire/log-examples.ts'
import { author, note, notes, providersLog, stage, verifying } from './stage.ts'

const feed = author(provider)

/** One entry of a log, as a peer that has all of it answers. */
const answer = async (log: ExampleLog, index: number): Promise<Batch> => ({
  ...(await log.batch(index, index + 1, log.entries.length)),
  peaks: [...log.peaks(index).hashes],
})

/** A log that differs from another in exactly these entries. */
const differingIn = (size: number, indices: ReadonlySet<number>): ExampleLog =>
  new ExampleLog(provider).append(
    ...notes(size).map((entry, n) => (indices.has(n) ? note(5000 + n) : entry)),
  )

/** A peer that has the one history. */
async function knowing(log: ExampleLog) {
  const peer = await stage({ who: coordinator })
  const count = log.entries.length
  for (let at = 0; at < count; at += 1000) {
    await peer.intake.ingest(await log.batch(at, Math.min(count, at + 1000)))
  }
  return peer
}

describe('a fork', () => {
  it('is proved, wherever the histories differ and however long they are', async () => {
    const size = fc.integer({ min: 1, max: 120 })
    const indices = fc.uniqueArray(fc.nat(119), { minLength: 1, maxLength: 3 })
    await fc.assert(
      fc.asyncProperty(size, size, indices, async (here, there, differing) => {
        const { feeds, intake } = await knowing(providersLog(here))
        const other = differingIn(there, new Set(differing))
        let asked = 0
        const ask = (index: number) => {
          asked += 1
          return answer(other, index)
        }
        const proof = await huntFork({ feeds, verifying }, { feed, size: there, ask })
        expect(asked).toBeLessThanOrEqual(9)
        const both = Math.min(here, there)
        if (!differing.some((n) => n < both)) {
          expect(proof).toBeUndefined()
          return
        }
        if (proof === undefined) throw new Error('not found')
        expect(differing).toContain(proof.index)
        expect(openEquivocation(proof, verifying)).toEqual(feed)
        expect(await intake.bars.add(proof)).toBe(true)
      }),
    )
  })

  it('is looked for in answers that prove themselves alone', async () => {
    const { feeds } = await knowing(providersLog(50))
    const other = differingIn(60, new Set([3]))
    const hunt = (ask: (index: number) => Promise<Batch>) =>
      huntFork({ feeds, verifying }, { feed, size: 60, ask })
    const wrong = { code: 'malformed', action: 'penalise' }
    await expect(hunt(() => answer(other, 7))).rejects.toMatchObject(wrong)
    const many = async (index: number) => ({
      ...(await other.batch(index, index + 2)),
      peaks: [...other.peaks(index).hashes],
    })
    await expect(hunt(many)).rejects.toMatchObject(wrong)
    const stranger = new ExampleLog(coordinator).append(...notes(60))
    await expect(hunt((index) => answer(stranger, index))).rejects.toMatchObject(wrong)
    const lie = async (index: number) => ({
      ...(await answer(other, index)),
      peaks: [...providersLog(60).peaks(index).hashes],
    })
    await expect(hunt(lie)).rejects.toMatchObject({ code: 'bad_log', action: 'penalise' })
  })

  it('in a log of which nothing is here is none', async () => {
    const { feeds } = await stage({ who: coordinator })
    const hunt = { feed, size: 9, ask: () => answer(providersLog(9), 0) }
    expect(await huntFork({ feeds, verifying }, hunt)).toBeUndefined()
  })
})
