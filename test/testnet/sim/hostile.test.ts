import { expect, it } from 'vitest'
import { memoryHub } from '../../../src/network/memory/memory-hub.ts'
import { Dice } from '../../../testnet/sim/dice.ts'
import { hostileNetwork } from '../../../testnet/sim/hostile.ts'
import { FakeClock, settled } from '../../base/fake-clock.ts'

const { signal } = new AbortController()
const limits = { streamsMax: 4, opensPerSecond: 100 }
const said = Array.from({ length: 30 }, (_, n) => `frame ${n}`)

/** What arrives of that when a hostile peer says it. */
async function heard(dice: Dice): Promise<string[]> {
  const hub = memoryHub({ clock: new FakeClock() })
  const [honest, network] = [hub.network('honest'), hub.network('hostile')]
  const work = async (stream: { write(frame: Uint8Array): void }) => {
    for (const each of said) stream.write(Buffer.from(each))
  }
  hostileNetwork(network, dice).handle('generate/1', work, limits)
  await Promise.all([honest.start({ signal }), network.start({ signal })])
  await honest.connect('hostile', network.status().addrs, { signal })
  const stream = await honest.open('hostile', 'generate/1', { signal })
  const frames: string[] = []
  const reading = async () => {
    for (;;) {
      const frame = await stream.read({ signal })
      if (frame === undefined) return
      frames.push(Buffer.from(frame).toString())
    }
  }
  const isRead = reading().catch(() => {})
  await settled()
  stream.reset(new Error('That is enough.'))
  await isRead
  return frames
}

function lieIn(frames: readonly string[]): string {
  const [there, whole] = [new Set(frames), new Set(said)]
  if (frames.some((frame) => !whole.has(frame))) return 'rubbish'
  if (frames.length > there.size) return 'twice'
  if (frames.every((frame, at) => frame === said[at])) {
    return frames.length < said.length ? 'ends early' : 'none'
  }
  return there.size < whole.size ? 'left out' : 'too late'
}

it('a hostile peer spoils some of what it says, in one way or another', async () => {
  const lies = new Set<string>()
  for (let seed = 0; seed < 100; seed++) lies.add(lieIn(await heard(new Dice(`${seed}`))))
  expect([...lies].sort()).toEqual([
    ...['ends early', 'left out', 'none', 'rubbish', 'too late', 'twice'],
  ])
})
