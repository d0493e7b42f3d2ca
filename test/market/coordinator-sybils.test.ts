import { expect, test } from 'vitest'
import { identityFromSeed } from '../../src/identity/identity.ts'
import { encodeFromProvider } from '../../src/wire/generate-codec.ts'
import { rounds } from '../campaign.ts'
import { frames, signal, stage } from './coordinator-stage.ts'

const MINUTES = rounds(8, 40)
const FRESH_A_MINUTE = 25
const REQUESTS_A_MINUTE = 30
/** As many as a directory holds. */
const LISTED_MAX = 250

// In `test/network/discovery/sybils.test.ts` stands what the directory does about them.
test('any number of fresh ids, ever new ones, have a twentieth of the requests', async () => {
  const { hub, list, directory, provider, collect, explores, clock } = await stage()
  const honest = [await provider(), await provider()]
  explores.now = true
  for (let n = 0; n < 4; n++) await collect()
  explores.now = 'by chance'
  for (const each of honest) each.lines.length = 0

  let asked = 0
  let made = 0
  const listed: string[] = []
  const sybil = async () => {
    const seed = new Uint8Array(32).fill(201)
    new DataView(seed.buffer).setUint32(0, ++made)
    const side = hub.network(identityFromSeed(seed).peerId)
    const refuse = encodeFromProvider(frames.refuse('overloaded'))
    const limits = { streamsMax: 256, opensPerSecond: 1_000 }
    side.handle(
      'generate/1',
      async (stream) => {
        await stream.read({ signal })
        asked++
        stream.write(refuse)
      },
      limits,
    )
    await side.start({ signal })
    list(side, { model: { price: { input: 0, output: 0 } } })
    listed.push(side.peerId)
  }

  for (let minute = 0; minute < MINUTES; minute++) {
    for (let n = 0; n < FRESH_A_MINUTE; n++) await sybil()
    for (const gone of listed.splice(0, listed.length - LISTED_MAX)) directory.remove(gone)
    for (let n = 0; n < REQUESTS_A_MINUTE; n++) {
      expect((await collect()).outcomes.at(-1)).toBe('ok')
    }
    await clock.advance(60_000)
  }
  const all = MINUTES * REQUESTS_A_MINUTE
  expect(honest.flatMap(({ lines }) => lines)).toHaveLength(all)
  expect(asked).toBeGreaterThan(0)
  // A twentieth, by chance: three standard deviations more at most.
  expect(asked).toBeLessThanOrEqual(all / 20 + 3 * Math.sqrt(all / 20))
})
