import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { Lan } from '../../src/network/host/lan.ts'
import { lanQuestion, readLanMessage, serviceOf } from '../../src/network/host/lan-messages.ts'
import { recorder } from './hosts.ts'

// On the loopback interface and a port of its own: between machines it is tested in namespaces.

const loopback = () => ['127.0.0.1']
const ids = [
  '12D3KooWKegwLjZtwDMRqPDHVRpwAWqLHkYsBSitsQgJ4RybMqyc',
  '12D3KooWSuqnJVDeZzHp7AouddEDSntjEnMF5STdwDZJpb7GVCwU',
  '12D3KooWSEun7MWuP4cdxqRdkZb9wFMMryuwKeddFmE8Nck7m66j',
] as const
const started: Lan[] = []

afterEach(async () => {
  await Promise.all(started.splice(0).map((lan) => lan.stop()))
})

async function freePort(): Promise<number> {
  const socket = createSocket('udp4').bind(0)
  await once(socket, 'listening')
  const { port } = socket.address() as AddressInfo
  socket.close()
  return port
}

async function join(peerId: string, port: number, network = 'test') {
  const heard = new Map<string, string[]>()
  const { logger, lines } = recorder()
  const lan = new Lan(
    { clock: systemClock, logger, interfaces: loopback },
    {
      ...{ network, peerId, port },
      addresses: () => [`/ip4/127.0.0.1/tcp/1/p2p/${peerId}`],
      onPeer: (id, addresses) => heard.set(id, addresses),
    },
  )
  started.push(lan)
  await lan.start()
  return { lan, heard, lines }
}

test('peers of one network hear of each other', async () => {
  const port = await freePort()
  const [a, b, stranger] = [
    await join(ids[0], port),
    await join(ids[1], port),
    await join(ids[2], port, 'other'),
  ]
  await expect.poll(() => [...a.heard, ...b.heard].length, { timeout: 5_000 }).toBe(2)
  expect(a.heard.get(ids[1])).toEqual([`/ip4/127.0.0.1/tcp/1/p2p/${ids[1]}`])
  expect(b.heard.has(ids[0])).toBe(true)
  expect(stranger.heard.size).toBe(0)
})

test('many that ask get one answer', async () => {
  const port = await freePort()
  await join(ids[0], port)
  const socket = createSocket({ type: 'udp4', reuseAddr: true }).bind(port)
  try {
    await once(socket, 'listening')
    socket.addMembership('224.0.0.251', '127.0.0.1')
    socket.setMulticastInterface('127.0.0.1')
    const service = serviceOf('test')
    const answers: number[] = []
    socket.on('message', (bytes) => {
      if (readLanMessage(bytes, service)?.type === 'answer') answers.push(performance.now())
    })
    const ask = setInterval(() => socket.send(lanQuestion(service), port, '224.0.0.251'), 2)
    await expect.poll(() => answers.length, { timeout: 10_000 }).toBe(2)
    clearInterval(ask)
    // A second between two, less what a busy machine lets the first arrive late.
    expect((answers[1] ?? 0) - (answers[0] ?? 0)).toBeGreaterThan(500)
  } finally {
    socket.close()
  }
})

test('a port that is taken is a warning, no more', async () => {
  const socket = createSocket('udp4').bind(0)
  await once(socket, 'listening')
  const { lan, lines } = await join(ids[0], (socket.address() as AddressInfo).port)
  expect(lines).toMatchObject([{ level: 'warn' }])
  await lan.stop()
  socket.close()
})
