import { createServer, type Server } from 'node:net'
import { multiaddr } from '@multiformats/multiaddr'
import { afterEach, expect, test } from 'vitest'
import { DialCaution } from '../../src/network/host/dial-caution.ts'
import { dialLimits as limits } from '../../src/network/host/limits.ts'
import { FakeClock } from '../base/fake-clock.ts'
import { newHost, newIdentity, startHost, stopHosts } from './hosts.ts'

let server: Server | undefined

afterEach(async () => {
  await stopHosts()
  server?.close()
})

const wait = () => ({ signal: AbortSignal.timeout(8_000) })
const someId = async () => (await newIdentity()).peerId

/** A host on a clock that stands still, and what it dials. */
async function dialler(bootstrap: string[] = []) {
  const clock = new FakeClock()
  const host = await newHost({ bootstrap }, { clock })
  await host.start(wait())
  return { host, clock }
}

/** No peer, but somebody else's server. */
async function stranger() {
  const met = { connections: 0 }
  server = createServer((socket) => {
    met.connections++
    socket.destroy()
  })
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  return { address: `/ip4/127.0.0.1/tcp/${port}`, met }
}

test('an address where no peer is met is dialled ever less often, whoever is said to be there', async () => {
  const { host, clock } = await dialler()
  const { address, met } = await stranger()
  const tryFakes = async () => {
    for (let n = 0; n < 10; n++) {
      const dial = host.connect(await someId(), [address], wait())
      await expect(dial).rejects.toMatchObject({ code: 'peer_unreachable' })
    }
    return met.connections
  }
  expect(await tryFakes()).toBe(limits.failuresMax)
  await clock.advance(limits.againMsMin)
  expect(await tryFakes()).toBe(limits.failuresMax + 1)
  await clock.advance(limits.againMsMin)
  expect(await tryFakes()).toBe(limits.failuresMax + 1)
})

test('who is kept is looked for all the same', async () => {
  const { host } = await dialler()
  const { address, met } = await stranger()
  const kept = await someId()
  host.keep(kept, true)
  for (let n = 0; n < 10; n++) await host.connect(kept, [address], wait()).catch(() => {})
  expect(met.connections).toBe(10)
})

test('lies about its address keep nobody from a peer', async () => {
  const { host } = await dialler()
  const honest = await startHost()
  const [whole = ''] = honest.status().addrs
  const [address = '', peerId = ''] = whole.split('/p2p/')
  for (let n = 0; n < 10; n++) {
    const fake = host.connect(await someId(), [address], wait())
    await expect(fake).rejects.toMatchObject({ code: 'peer_unreachable' })
  }
  await host.connect(peerId, [address], wait())
  expect(host.isConnected(peerId)).toBe(true)
})

test('a peer that comes and goes can always be reached', async () => {
  const { host } = await dialler()
  const { peerId, addrs } = (await startHost()).status()
  for (let n = 0; n < 2 * limits.failuresMax; n++) {
    await host.connect(peerId, addrs, wait())
    await host.disconnect(peerId)
  }
})

test('it is at most ten minutes, and forgotten when nobody fails there any more', async () => {
  const clock = new FakeClock()
  const caution = new DialCaution({ clock, isExcepted: (id) => id === 'door' })
  const address = multiaddr('/ip4/192.0.2.1/tcp/7463')
  let dials = 0
  const dial = () => {
    try {
      caution.begin(address)
      dials++
    } catch {}
  }
  for (let seconds = 0; seconds < 3_600; seconds++) {
    dial()
    await clock.advance(1_000)
  }
  expect(dials).toBeLessThan(20)
  dials = 0
  await clock.advance(2 * limits.againMsMax)
  for (let n = 0; n < 10; n++) dial()
  expect(dials).toBe(limits.failuresMax)
})

test('where a peer is met, nothing is held against the address', async () => {
  const caution = new DialCaution({ clock: new FakeClock(), isExcepted: () => false })
  const address = multiaddr('/ip6/2001:db8::1/tcp/7463')
  for (let n = 0; n < 3 * limits.failuresMax; n++) {
    caution.begin(multiaddr('/ip6/2001:db8:0:0::1/tcp/7463'))
    caution.met(address)
  }
  for (let n = 0; n < limits.failuresMax; n++) caution.begin(address)
  expect(() => caution.begin(address)).toThrow('did not answer lately')
})
