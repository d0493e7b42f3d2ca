import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Incoming } from '../../src/market/serve/incoming.ts'
import type { FrameStream } from '../../src/network/network.ts'
import { encodeToProvider } from '../../src/wire/generate-codec.ts'
import { FakeClock } from '../base/fake-clock.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void
const signal = new AbortController().signal

/** A coordinator that says nothing but its body, in such parts. */
function coming(parts: Iterator<Uint8Array>): Incoming {
  const read = async () => {
    const { value } = parts.next()
    return value && encodeToProvider({ type: 'body', bytes: value })
  }
  return new Incoming({ read } as unknown as FrameStream, new FakeClock())
}

it('a body is whole, however it is cut', async () => {
  const part = fc.uint8Array({ minLength: 1, maxLength: 5000 })
  await fc.assert(
    fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 30 }), async (parts) => {
      const whole = Buffer.concat(parts)
      let held = 0
      const hold = (bytes: number) => {
        held += bytes
      }
      const body = await coming(parts.values()).body(whole.length, hold, { signal })
      expect(Buffer.compare(body, whole)).toBe(0)
      expect(held).toBe(whole.length)
    }),
  )
})

it('a body in crumbs does not keep each of them', async () => {
  // What the code itself takes is there after the first time.
  await memoryOf(1_000)
  expect(await memoryOf(20_000)).toBeLessThan(20_000 * 100)
})

/** Bytes that a body of so many parts of one byte takes while it is not whole. */
async function memoryOf(count: number): Promise<number> {
  const before = memory()
  let taken = 0
  function* crumbs() {
    for (let n = 0; n < count; n++) yield Uint8Array.of(n)
    taken = memory() - before
  }
  const body = coming(crumbs()).body(2 * count, () => {}, { signal })
  await expect(body).rejects.toMatchObject({ code: 'cancelled' })
  return taken
}

function memory(): number {
  collectGarbage()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}
