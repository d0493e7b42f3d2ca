import type { MessageStream, Stream, StreamMuxer } from '@libp2p/interface'
import { yamux } from '@libp2p/yamux'
import { afterEach, expect, test } from 'vitest'
import { batchedMuxer } from '../../src/network/host/batching.ts'
import { eventually } from './hosts.ts'

const nothing = () => {}
const log = Object.assign(nothing, {
  trace: nothing,
  error: nothing,
  newScope: () => log as object,
})

/** One end of a connection, as far as a muxer needs it. */
class End extends EventTarget {
  readonly log = log
  readonly direction: string
  status = 'open'
  hasRoom = true
  /** Sizes of the messages that were sent. */
  sent: number[] = []
  other: End | undefined

  constructor(direction: string) {
    super()
    this.direction = direction
  }

  send(data: Uint8Array): boolean {
    this.sent.push(data.byteLength)
    this.other?.dispatchEvent(Object.assign(new Event('message'), { data }))
    return this.hasRoom
  }
}

const muxers: StreamMuxer[] = []
afterEach(() => {
  for (const muxer of muxers.splice(0)) muxer.abort(new Error('the test is over'))
})

async function pair(count: number) {
  const [here, there] = [new End('outbound'), new End('inbound')]
  here.other = there
  there.other = here
  const make = batchedMuxer(yamux({ enableKeepAlive: false }))
  const [ours, theirs] = [here, there].map((end) => {
    const muxer = make(undefined).createStreamMuxer(end as unknown as MessageStream)
    muxers.push(muxer)
    return muxer
  }) as [StreamMuxer, StreamMuxer]
  const accepted: Stream[] = []
  let received = 0
  theirs.addEventListener('stream', ({ detail }) => {
    accepted.push(detail)
    detail.addEventListener('message', ({ data }) => {
      received += data.byteLength
    })
  })
  const streams: Stream[] = []
  for (let n = 0; n < count; n++) streams.push(await ours.createStream())
  await eventually(() => accepted.length === count)
  await turn()
  here.sent = []
  there.sent = []
  return { here, there, ours, streams, received: () => received }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))
const HEAD = 12

test('what streams send in one turn is one message, in its order, and is not answered', async () => {
  const { here, there, streams, received } = await pair(64)
  const sendAll = () => {
    for (const stream of streams) stream.send(new Uint8Array(50))
  }
  // The first piece of each is answered, as that is what accepts a stream.
  sendAll()
  await eventually(() => there.sent.length === 1)
  here.sent = []
  there.sent = []
  sendAll()
  expect(here.sent).toEqual([])
  await eventually(() => received() === 2 * 64 * 50)
  expect(here.sent).toEqual([64 * (HEAD + 50)])
  await turn()
  expect(there.sent).toEqual([])
})

test('a large batch does not wait', async () => {
  const { here, streams } = await pair(1)
  streams[0]?.send(new Uint8Array(64 * 1024))
  expect(here.sent).toEqual([64 * 1024 + HEAD])
})

test('a reader that reads on lets its sender go on for ever', async () => {
  const { streams, there, received } = await pair(1)
  const [stream] = streams as [Stream]
  for (let sent = 0; sent < 64; sent++) {
    stream.send(new Uint8Array(64 * 1024))
    await turn()
  }
  await eventually(() => received() === 64 * 64 * 1024)
  expect(there.sent.length).toBeGreaterThan(2)
  expect(there.sent.length).toBeLessThan(48)
})

test('a full connection stops its writers, and an empty one lets them go on', async () => {
  const { here, streams, received } = await pair(2)
  const [first, second] = streams as [Stream, Stream]
  here.hasRoom = false
  first.send(new Uint8Array(50))
  await turn()
  expect(first.send(new Uint8Array(50))).toBe(false)
  await turn()
  expect(second.send(new Uint8Array(50))).toBe(false)
  await turn()
  expect(received()).toBe(100)
  here.hasRoom = true
  here.dispatchEvent(new Event('drain'))
  await eventually(() => received() === 150)
})

test('the last words of a muxer are sent at once', async () => {
  const { here, ours } = await pair(0)
  await ours.close()
  expect(here.sent).toEqual([HEAD])
})

test('nothing is sent over a connection that has ended', async () => {
  const { here, streams } = await pair(1)
  streams[0]?.send(new Uint8Array(50))
  here.status = 'closed'
  await turn()
  expect(here.sent).toEqual([])
})
