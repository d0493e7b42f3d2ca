import { execFile } from 'node:child_process'
import { connect } from 'node:net'
import { promisify } from 'node:util'
import { afterEach, expect, test, vi } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { defaultHost, Libp2pHost } from '../../src/network/host/libp2p-host.ts'
import {
  at,
  eventually,
  hostParts,
  identityOf,
  newHost,
  newIdentity,
  recorder,
  startHost,
  startHosts,
  stopHosts,
} from './hosts.ts'

afterEach(stopHosts)

const signal = AbortSignal.timeout(60_000)
const sockets = () =>
  process.getActiveResourcesInfo().filter((name) => /^(TCP|UDP)/.test(name)).length

test('two hosts meet through --bootstrap, say who they are and answer pings', async () => {
  const [a, b] = (await startHosts(2)) as [Libp2pHost, Libp2pHost]
  await eventually(() => a.status().connections === 1 && b.status().connections === 1)

  const seenByB = at(b.node.getConnections(), 0).remotePeer
  expect(seenByB.toString()).toBe(a.status().peerId)
  await expect
    .poll(async () => {
      const agent = (await b.node.peerStore.get(seenByB)).metadata.get('AgentVersion')
      return new TextDecoder().decode(agent)
    })
    .toBe('pinaivu-peer/1.2.3')
  expect(await b.node.services.ping.ping(seenByB, { signal })).toBeGreaterThanOrEqual(0)
  await eventually(() => b.node.services.dht.getMode() === 'server')
})

test('status shows dialable addresses with the peer id while running, and none before and after', async () => {
  const host = await newHost()
  const { peerId } = host.status()
  expect(host.status()).toEqual({ peerId, addrs: [], connections: 0, listening: false })
  await host.start({ signal })
  expect(host.status()).toMatchObject({ peerId, connections: 0, listening: true })
  expect(host.status().addrs).toEqual([
    expect.stringMatching(new RegExp(`^/ip4/127\\.0\\.0\\.1/tcp/[1-9]\\d*/p2p/${peerId}$`)),
  ])
  await host.stop()
  expect(host.status()).toEqual({ peerId, addrs: [], connections: 0, listening: false })
  expect(() => host.node).toThrow(expect.objectContaining({ code: 'not_started' }))
})

test('a port in use is an error that names --listen, and leaves nothing open', async () => {
  const first = await startHost()
  const before = sockets()
  const listen = first.status().addrs.map((address) => address.replace(/\/p2p\/.*/, ''))
  const second = await newHost({ listen })
  await expect(second.start({ signal })).rejects.toMatchObject({
    code: 'address_in_use',
    param: 'listen',
    message: expect.stringMatching(/127\.0\.0\.1:\d+.*--listen/s),
  })
  expect(second.status().listening).toBe(false)
  await eventually(() => sockets() <= before)
})

test('an address this machine does not have is an error that names --listen', async () => {
  const host = await newHost({ listen: ['/ip4/192.0.2.1/tcp/0'] })
  await expect(host.start({ signal })).rejects.toMatchObject({
    code: 'address_not_available',
    message: expect.stringContaining('--listen'),
  })
})

test('a peer id that is not that of the key is refused', async () => {
  const { privateKeySeed } = await newIdentity()
  const { peerId } = await identityOf(new Uint8Array(32).fill(9))
  const host = new Libp2pHost(
    { ...hostParts(), identity: { peerId, privateKeySeed } },
    { ...defaultHost, listen: ['/ip4/127.0.0.1/tcp/0'] },
  )
  await expect(host.start({ signal })).rejects.toMatchObject({ code: 'identity_mismatch' })
})

test('an unreachable bootstrap peer delays no start, is reported once, and is joined when it is back', async () => {
  const identity = await newIdentity()
  const first = await startHost({}, { identity })
  const bootstrap = first.status().addrs
  await first.stop()
  const { logger, lines } = recorder()
  const host = await startHost({ bootstrap }, { logger })
  const warnings = () => lines.filter((line) => line.level === 'warn')
  await eventually(() => warnings().length > 0)
  expect(host.status()).toMatchObject({ listening: true, connections: 0 })
  expect(warnings()).toEqual([
    {
      level: 'warn',
      message: expect.stringContaining('firewall'),
      data: expect.objectContaining({ addresses: bootstrap }),
    },
  ])
  const listen = bootstrap.map((address) => address.replace(/\/p2p\/.*/, ''))
  await startHost({ listen }, { identity })
  await eventually(() => host.status().connections === 1)
  await eventually(() => lines.some((line) => line.message === 'bootstrap peer joined'))
  expect(warnings()).toHaveLength(1)
})

test('its own address in the list is passed over', async () => {
  const { logger, lines } = recorder()
  const identity = await newIdentity()
  const host = new Libp2pHost(
    { ...hostParts(logger), identity },
    {
      ...defaultHost,
      listen: ['/ip4/127.0.0.1/tcp/0'],
      bootstrap: [`/ip4/127.0.0.1/tcp/9/p2p/${identity.peerId}`],
    },
  )
  await host.start({ signal })
  await host.stop()
  expect(lines.filter((line) => line.level !== 'info')).toEqual([])
})

test('stop ends every socket, twice is fine, and the host starts again', async () => {
  const before = sockets()
  const [a, b] = (await startHosts(2)) as [Libp2pHost, Libp2pHost]
  await Promise.all([a.stop(), b.stop()])
  await a.stop()
  await eventually(() => sockets() <= before)
  await a.start({ signal })
  expect(a.status().listening).toBe(true)
})

test('stop waits for no stranger in mid-handshake', async () => {
  const host = await startHost()
  const socket = connect(Number(at(host.status().addrs, 0).split('/')[4]), '127.0.0.1')
  socket.on('error', () => {})
  const closed = new Promise((resolve) => socket.once('close', resolve))
  await new Promise((resolve) => socket.once('connect', resolve))
  await host.stop()
  await closed
})

test('a stop that takes too long is an error, and cuts what is still open', async () => {
  const first = await startHost()
  const clock = { ...systemClock }
  const host = new Libp2pHost(
    { ...hostParts(), identity: await newIdentity(), clock },
    {
      ...defaultHost,
      listen: ['/ip4/127.0.0.1/tcp/0'],
      network: 'test',
      bootstrap: first.status().addrs,
    },
  )
  await host.start({ signal })
  await eventually(() => first.status().connections === 1)
  const { node } = host
  const stop = vi.spyOn(node, 'stop').mockReturnValue(new Promise(() => {}))
  clock.after = (_ms, task) => {
    queueMicrotask(task)
    return () => {}
  }
  await expect(host.stop()).rejects.toMatchObject({ code: 'deadline_exceeded' })
  await eventually(() => first.status().connections === 0)
  stop.mockRestore()
  await node.stop()
})

test('a start that is given up leaves nothing behind', async () => {
  const before = sockets()
  const host = await newHost()
  const controller = new AbortController()
  const started = host.start({ signal: controller.signal })
  controller.abort(new Error('enough'))
  await expect(started).rejects.toThrow('enough')
  expect(host.status().listening).toBe(false)
  expect(sockets()).toBeLessThanOrEqual(before)
})

test('a peer that is kept weighs more than any that the DHT likes, until it is kept no more', async () => {
  const [a, b] = (await startHosts(2)) as [Libp2pHost, Libp2pHost]
  const { peerId } = b.status()
  const { remotePeer } = at(a.node.getConnections(), 0)
  const tag = async () => (await a.node.peerStore.get(remotePeer)).tags.get('pinaivu-keep')?.value
  a.keep(peerId, true)
  await expect.poll(tag).toBeGreaterThan(52)
  a.keep(peerId, false)
  await expect.poll(tag).toBeUndefined()
})

test('mDNS opens a socket only when asked for', async () => {
  const udp = () => process.getActiveResourcesInfo().filter((name) => name.startsWith('UDP')).length
  const before = udp()
  await startHost()
  expect(udp()).toBe(before)
  await startHost({ mdns: true })
  expect(udp()).toBeGreaterThan(before)
})

test('a process whose hosts have stopped ends by itself', async () => {
  const script = new URL('come-and-go.ts', import.meta.url).pathname
  const { stdout } = await promisify(execFile)(process.execPath, [script], { timeout: 15_000 })
  expect(stdout).toBe('1 connection\n')
})
