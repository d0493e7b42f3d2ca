import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Channel } from '../../src/base/channel.ts'
import { BusyError } from '../../src/base/errors.ts'

async function readAll<T>(channel: Channel<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of channel) items.push(item)
  return items
}

describe('Channel', () => {
  it('hands over everything in order, however pushes and reads interleave', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(fc.integer(), { maxLength: 5 })), async (bursts) => {
        const channel = new Channel<number>(1000)
        const reading = readAll(channel)
        for (const burst of bursts) {
          for (const item of burst) channel.push(item)
          await Promise.resolve()
        }
        channel.close()
        expect(await reading).toEqual(bursts.flat())
      }),
    )
  })

  it('refuses the item after its limit, and counts only what is unread', async () => {
    const channel = new Channel<number>(2)
    channel.push(1)
    channel.push(2)
    expect(() => channel.push(3)).toThrow(BusyError)
    const reader = channel[Symbol.asyncIterator]()
    await reader.next()
    expect(channel.size).toBe(1)
    channel.push(3)
    channel.close()
    expect(await reader.next()).toEqual({ value: 2, done: false })
    expect(await reader.next()).toEqual({ value: 3, done: false })
    expect(await reader.next()).toEqual({ value: undefined, done: true })
  })

  it('keeps the order over thousands of items with a reader that always lags a little', async () => {
    const channel = new Channel<number>(10)
    const reader = channel[Symbol.asyncIterator]()
    for (let item = 0; item < 5; item++) channel.push(item)
    for (let item = 0; item < 2000; item++) {
      channel.push(item + 5)
      expect(await reader.next()).toEqual({ value: item, done: false })
    }
    expect(channel.size).toBe(5)
  })

  it('delivers what was pushed before an error, then throws it', async () => {
    const channel = new Channel<number>(5)
    channel.push(1)
    channel.close(new Error('the source broke'))
    channel.push(2)
    const reader = channel[Symbol.asyncIterator]()
    expect(await reader.next()).toEqual({ value: 1, done: false })
    await expect(reader.next()).rejects.toThrow('the source broke')
  })
})
