import { multiaddr } from '@multiformats/multiaddr'
import { afterEach, expect, test } from 'vitest'
import { at, eventually, newHost, recorder, startHost, stopHosts } from './hosts.ts'

afterEach(stopHosts)

test('networks share no protocol, and a peer of another one is sent away', async () => {
  const one = await startHost({ network: 'one' })
  const { logger, lines } = recorder()
  const bootstrap = one.status().addrs
  const other = await newHost({ network: 'other', bootstrap }, { logger })
  other.handle('echo/1', async () => {}, { streamsMax: 4, opensPerSecond: 4 })
  await other.start({ signal: AbortSignal.timeout(5_000) })

  const ofOne = one.node.getProtocols()
  const ofOther = other.node.getProtocols()
  expect(ofOne).toEqual(expect.arrayContaining(['/pinaivu/one/kad/1.0.0', '/pinaivu/one/id/1.0.0']))
  expect(ofOne).toContain('/pinaivu/one/meshsub/1.2.0')
  expect(ofOne.every((id) => id.startsWith('/pinaivu/one/'))).toBe(true)
  expect(ofOther.every((id) => id.startsWith('/pinaivu/other/'))).toBe(true)
  expect(ofOther).toContain('/pinaivu/other/echo/1')
  one.subscribe('log/1', async () => 'keep')
  expect(one.node.services.pubsub.getTopics()).toEqual(['/pinaivu/one/log/1'])

  const warnings = () => lines.filter((line) => line.level === 'warn')
  await eventually(() => warnings().length > 0)
  await eventually(() => one.status().connections + other.status().connections === 0)
  expect(warnings()).toEqual([
    {
      level: 'warn',
      message: expect.stringContaining('--network'),
      data: expect.objectContaining({ error: expect.stringContaining('does not speak') }),
    },
  ])
  expect(one.node.services.pubsub.getPeers()).toEqual([])
})

test('a peer of another network is never seen, whoever dials', async () => {
  const one = await startHost({ network: 'one' })
  const other = await startHost({ network: 'other' })
  const events: unknown[] = []
  for (const host of [one, other]) host.onConnection((event) => events.push(event))
  const wait = () => ({ signal: AbortSignal.timeout(5_000) })
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    const { peerId, addrs } = to.status()
    await expect(from.connect(peerId, addrs, wait())).rejects.toMatchObject({
      code: 'not_of_this_network',
    })
    await expect(from.open(peerId, 'generate/1', wait())).rejects.toThrow()
  }
  await eventually(
    () => one.node.getConnections().length + other.node.getConnections().length === 0,
  )
  expect(events).toEqual([])
  expect([...one.connected(), ...other.connected()]).toEqual([])
})

test('one of another network that speaks a protocol of this one is not served, and not banned', async () => {
  const one = await newHost({ network: 'one' })
  let served = 0
  one.handle('echo/1', async () => void served++, { streamsMax: 4, opensPerSecond: 4 })
  await one.start({ signal: AbortSignal.timeout(5_000) })
  const other = await startHost({ network: 'other' })
  const wait = () => ({ signal: AbortSignal.timeout(5_000) })
  const { addrs } = one.status()
  for (let attempt = 0; attempt < 3; attempt++) {
    const connection = await other.node.dial(multiaddr(at(addrs, 0)))
    await connection.newStream(['/pinaivu/one/echo/1']).catch(() => {})
    await eventually(() => other.node.getConnections().length === 0)
  }
  expect(served).toBe(0)
  await expect(
    one.connect(other.status().peerId, other.status().addrs, wait()),
  ).rejects.toMatchObject({ code: 'not_of_this_network' })
  expect(one.isConnected(other.status().peerId)).toBe(false)
})

test.each(['', 'Main', 'a b', '../x', 'x'.repeat(41), 'a/b', 'ä', '-a'])(
  'the network name %j is refused',
  async (network) => {
    await expect(newHost({ network })).rejects.toMatchObject({
      code: 'invalid_value',
      param: 'network',
    })
  },
)
