import type { Connection, Transport } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { expect, test } from 'vitest'
import { systemRandom } from '../../../src/base/random.ts'
import { PunchPort } from '../../../src/network/host/nat/punch-port.ts'

const far = multiaddr('/ip4/61.0.0.1/tcp/7463')
const near = multiaddr('/ip4/10.0.0.1/tcp/7463')

interface Dialled {
  localPort?: number
  initiator?: boolean
}

/** A transport whose dials fail with these codes, one after the other, and then succeed. */
function stage(...codes: string[]) {
  const dialled: Dialled[] = []
  const port = new PunchPort(systemRandom)
  const transport = port.transport(
    () =>
      ({
        dial: async (_: unknown, options: Dialled) => {
          dialled.push(options)
          const code = codes.shift()
          if (code !== undefined) throw Object.assign(new Error(code), { code })
          return {} as Connection
        },
      }) as unknown as Transport,
  )({})
  const options = { upgrader: {} } as Parameters<Transport['dial']>[1]
  const dial = (address = far) => transport.dial(address, options)
  return { port, dial, dialled }
}

test('the internet is dialled from one port, what is near from any', async () => {
  const { port, dial, dialled } = stage()
  const all = [await dial(), await dial(), await dial(near)]
  expect(dialled[0]?.localPort).toBeGreaterThan(1024)
  expect(dialled[1]?.localPort).toBe(dialled[0]?.localPort)
  expect(dialled[2]?.localPort).toBeUndefined()
  expect(all.map((each) => port.from(each))).toEqual([true, true, false])
  expect(all.every((each) => port.made(each))).toBe(true)
  expect(port.made({} as Connection)).toBe(false)
})

test('a connection that has not quite ended is in nobody’s way', async () => {
  const { port, dial, dialled } = stage('EADDRNOTAVAIL')
  const connection = await dial()
  expect([port.from(connection), port.made(connection)]).toEqual([false, true])
  await dial()
  expect(dialled.map(({ localPort }) => localPort)).toEqual([
    dialled[0]?.localPort,
    undefined,
    dialled[0]?.localPort,
  ])
})

test('where somebody else has the port, the next dial is from another', async () => {
  const { dial, dialled } = stage('EADDRINUSE')
  await dial()
  await dial()
  const [first, second, third] = dialled.map(({ localPort }) => localPort)
  expect(second).toBeUndefined()
  expect(third).not.toBe(first)
})

test('who does not answer is not dialled again', async () => {
  const { dial, dialled } = stage('ECONNREFUSED')
  await expect(dial()).rejects.toThrow('ECONNREFUSED')
  expect(dialled.length).toBe(1)
})

test('the side that was told to answers, there and then', async () => {
  const { port, dial, dialled } = stage()
  await port.answering([far], async () => {
    expect(port.answers({ remoteAddr: far } as Connection)).toBe(true)
    await dial()
  })
  await dial()
  expect(dialled.map(({ initiator }) => initiator)).toEqual([false, undefined])
  expect(port.answers({ remoteAddr: far } as Connection)).toBe(false)
})
