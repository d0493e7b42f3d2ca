import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { silentLogger } from '../../../src/base/logger.ts'
import { Background } from '../../../src/network/discovery/background.ts'
import { LogPublisher } from '../../../src/receipts/sync/log-publisher.ts'
import type { SealedEntry } from '../../../src/wire/entry.ts'
import { readHead } from '../../../src/wire/head.ts'
import type { Batch } from '../../../src/wire/log-batch.ts'
import { FRAME_BYTES_MAX } from '../../../src/wire/protocols.ts'
import { decodeLogMessage } from '../../../src/wire/sync.ts'
import { FakeClock } from '../../base/fake-clock.ts'
import { note, sizeOf, stage } from '../feeds/stage.ts'

/** A peer's own log, and what it publishes of it. */
async function publishing() {
  const clock = new FakeClock()
  const logs = await stage({ clock })
  const said: (Batch & { at: number })[] = []
  const background = new Background(silentLogger)
  const publish = async (topic: string, message: Uint8Array): Promise<void> => {
    expect(topic).toBe('log/1')
    expect(message.length).toBeLessThanOrEqual(FRAME_BYTES_MAX)
    const heard = decodeLogMessage(message)
    if (heard?.type === 'batch') said.push({ ...heard.batch, at: clock.elapsed() })
  }
  const parts = { network: { publish }, log: logs.own, background, clock, logger: silentLogger }
  return { ...logs, clock, said, end: new LogPublisher(parts).start() }
}

describe('heads of the own log', () => {
  it('are all published once, with their entries, within 250 ms', async () => {
    const step = fc.record({
      entries: fc.array(fc.nat(20_000), { minLength: 1, maxLength: 4 }),
      waitMs: fc.nat(400),
      publish: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const { own, clock, said, end } = await publishing()
        const shown: { sealed: SealedEntry; at: number }[] = []
        for (const { entries, waitMs, publish } of steps) {
          const sealed = entries.map((bytes, n) => note(n, bytes))
          await own.append(sealed, { publish })
          if (publish) shown.push(...sealed.map((each) => ({ sealed: each, at: clock.elapsed() })))
          await clock.advance(waitMs)
        }
        await clock.advance(250)
        end()
        const told = said.flatMap(({ entries, at }) => entries.map((bytes) => ({ bytes, at })))
        expect(told.map(({ bytes }) => bytes)).toEqual(shown.map(({ sealed }) => sealed.bytes))
        for (const [n, { at }] of told.entries()) {
          expect(at - (shown[n]?.at ?? 0)).toBeLessThanOrEqual(250)
        }
        for (const { head, first, entries } of said) {
          expect(readHead(head).size).toBe(first + entries.length)
        }
      }),
      { numRuns: 30 },
    )
  })

  it('that follow close on each other are one message', async () => {
    const { own, clock, said } = await publishing()
    for (let n = 0; n < 20; n++) await own.append([note(n)], { publish: true })
    await clock.advance(250)
    expect(said).toHaveLength(1)
    expect(said[0]?.entries).toHaveLength(20)
    expect(sizeOf(said[0]?.head)).toBe(20)
  })

  it('that are held at the end are still published', async () => {
    const { own, said, end } = await publishing()
    await own.append([note(1)], { publish: true })
    end()
    await own.append([note(2)], { publish: true })
    expect(said).toHaveLength(1)
  })
})
