import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MemoryBackend, type Row } from '../../../src/simulation.ts'
import { Dice } from '../../../testnet/sim/dice.ts'
import { Disk } from '../../../testnet/sim/disk.ts'
import { PeerClock } from '../../../testnet/sim/peer-clock.ts'
import { World } from '../../../testnet/sim/world.ts'

describe('the clock of the world', () => {
  it('calls all that is due in its order, those of the same time as they were set', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ ms: fc.integer({ min: 1, max: 50 }), isOff: fc.boolean() })),
        async (timers) => {
          const world = new World()
          const called: string[] = []
          const cancels = timers.map(({ ms }, at) =>
            world.after(ms, () => called.push(`${ms} ${at}`)),
          )
          for (const [at, { isOff }] of timers.entries()) if (isOff) cancels[at]?.()
          await world.run(50)
          const expected = timers
            .map(({ ms, isOff }, at) => ({ ms, at, isOff }))
            .filter(({ isOff }) => !isOff)
            .sort((a, b) => a.ms - b.ms || a.at - b.at)
          expect(called).toEqual(expected.map(({ ms, at }) => `${ms} ${at}`))
        },
      ),
    )
  })

  it('lets what needs no time happen before it goes on', async () => {
    const world = new World()
    const seen: number[] = []
    world.after(10, async () => {
      for (let turn = 0; turn < 100; turn++) await null
      seen.push(world.now)
    })
    world.after(11, () => seen.push(world.now))
    await world.run(20)
    expect(seen).toEqual([10, 11])
  })
})

describe('the clock of a peer', () => {
  it('stands still while the process does, and ends with it', async () => {
    const world = new World()
    const clock = new PeerClock(world, 500)
    const seen: string[] = []
    clock.after(10, () => seen.push(`due at ${clock.elapsed()}`))
    clock.after(100, () => seen.push('never'))
    clock.freeze()
    await world.run(50)
    expect(seen).toEqual([])
    clock.thaw()
    expect(seen).toEqual(['due at 50'])
    expect(clock.pending).toBe(1)
    clock.end()
    await world.run(200)
    expect(seen).toEqual(['due at 50'])
  })
})

describe('a disk', () => {
  const row = (key: number, value: number): Row => ({
    type: 'put',
    key: Uint8Array.of(key),
    value: Uint8Array.of(value),
  })
  const writes = fc.array(
    fc.record({ key: fc.integer({ min: 0, max: 3 }), isSynced: fc.boolean() }),
    { minLength: 1, maxLength: 20 },
  )

  it('loses with its machine a part of what was written last, and nothing that was synced', async () => {
    await fc.assert(
      fc.asyncProperty(writes, fc.integer(), async (all, seed) => {
        const world = new World()
        const disk = new Disk()
        const backend = disk.open(new PeerClock(world, 0))
        for (const [at, { key, isSynced }] of all.entries()) {
          const written = backend.write([row(key, at)], isSynced)
          await world.run(world.now + 10)
          await written
        }
        await disk.crash(new Dice(`${seed}`), { isMachine: true })
        const synced = all.findLastIndex(({ isSynced }) => isSynced)
        const states = await Promise.all(
          Array.from({ length: all.length - synced }, (_, more) =>
            stateAfter(all.slice(0, synced + 1 + more)),
          ),
        )
        expect(states).toContainEqual(await stateOf(disk.rows))
      }),
    )
  })

  it('has not written what its process did not live to see, or has, as chance will have it', async () => {
    const world = new World()
    const disk = new Disk()
    const clock = new PeerClock(world, 0)
    let isWritten = false
    void disk
      .open(clock)
      .write([row(1, 1)], true)
      .then(() => {
        isWritten = true
      })
    await world.run(1)
    clock.end()
    await disk.crash(new Dice('1'), { isMachine: false })
    await world.run(1_000)
    expect(isWritten).toBe(false)
  })

  async function stateAfter(all: { key: number }[]): Promise<number[]> {
    const backend = new MemoryBackend()
    for (const [at, { key }] of all.entries()) await backend.write([row(key, at)])
    return await stateOf(backend)
  }

  async function stateOf(backend: MemoryBackend): Promise<number[]> {
    const rows = await backend.getMany([0, 1, 2, 3].map((key) => Uint8Array.of(key)))
    return rows.map((value) => value?.[0] ?? -1)
  }
})
