import { describe, expect, it } from 'vitest'
import { MemoryBackend } from '../../../src/storage/memory-backend.ts'
import { coordinator, provider } from '../../wire/log-examples.ts'
import { copied } from '../sync/peers-stage.ts'
import { note, notes, type Stage, stage } from './stage.ts'

const shown = { publish: true }

async function wholeLog({ own, feeds }: Stage) {
  const batch = await feeds.batch(own.feed, { from: 0 })
  if (batch === undefined) throw new Error('no batch')
  return batch
}

describe('two processes with one key', () => {
  it('on copies of one disk tell two histories, and whoever sees both can prove it', async () => {
    const backend = new MemoryBackend()
    const before = await stage({ backend })
    await before.own.append(notes(3), shown)
    const twins = [
      await stage({ backend: await copied(backend) }),
      await stage({ backend: await copied(backend) }),
    ] as const
    for (const [at, { own }] of twins.entries()) {
      // Nobody knows more than the disk: both may go on.
      await own.confirm([])
      await own.append([note(100 + at)], shown)
    }
    const [one, two] = twins
    expect(two.own.feed).toEqual(one.own.feed)
    const witness = await stage({ who: coordinator })
    await witness.intake.ingest(await wholeLog(one))
    const ingesting = witness.intake.ingest(await wholeLog(two))
    await expect(ingesting).rejects.toMatchObject({ code: 'equivocation', action: 'ignore' })
    expect(await witness.intake.bars.has(provider.publicKey)).toBe(true)
    // The proof is enough for somebody who saw neither.
    const proof = await witness.intake.bars.proof(provider.publicKey)
    const stranger = await stage({ who: coordinator })
    expect(proof && (await stranger.intake.bars.add(proof))).toBe(true)
  })

  it('of which one has heard of the other goes on in a log of its own', async () => {
    const backend = new MemoryBackend()
    const before = await stage({ backend })
    await before.own.append(notes(3), shown)
    const one = await stage({ backend: await copied(backend) })
    await one.own.confirm([])
    await one.own.append([note(100)], shown)
    const head = await one.feeds.head(one.own.feed)
    const two = await stage({ backend: await copied(backend), seed: 2 })
    await two.own.append([note(101)], shown)
    await two.own.confirm(head === undefined ? [] : [head])
    expect(two.own.feed.epoch).not.toEqual(one.own.feed.epoch)
    const witness = await stage({ who: coordinator })
    await witness.intake.ingest(await wholeLog(one))
    await witness.intake.ingest(await wholeLog(two))
    expect(await witness.intake.bars.has(provider.publicKey)).toBe(false)
  })

  it('on disks of their own have two logs, and nobody is barred for it', async () => {
    const [one, two] = [await stage({ seed: 1 }), await stage({ seed: 2 })]
    const witness = await stage({ who: coordinator })
    for (const [at, twin] of [one, two].entries()) {
      await twin.own.append(notes(2, 10 * at), shown)
      await witness.intake.ingest(await wholeLog(twin))
    }
    expect(two.own.feed.epoch).not.toEqual(one.own.feed.epoch)
    expect(await witness.intake.bars.has(provider.publicKey)).toBe(false)
  })
})
