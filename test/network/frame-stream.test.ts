import { type Stream, StreamMessageEvent } from '@libp2p/interface'
import { expect, test } from 'vitest'
import { PeerError } from '../../src/base/errors.ts'
import { joinFrames } from '../../src/network/host/frame-codec.ts'
import { Libp2pFrameStream } from '../../src/network/host/frame-stream.ts'
import { frameLimits as limits } from '../../src/network/host/limits.ts'
import { FakeClock, settled } from '../base/fake-clock.ts'

const wait = () => ({ signal: AbortSignal.timeout(5_000) })
const bytes = (...values: number[]) => Uint8Array.from(values)

/** What a frame stream uses of libp2p's; the test is the other side. */
class Wire extends EventTarget {
  status = 'open'
  readStatus = 'readable'
  remoteWriteStatus = 'writable'
  writableNeedsDrain = false
  readBufferLength = 0
  writeBufferLength = 0
  sent: Uint8Array[] = []
  /** What arrived while it was paused. */
  readonly held: Uint8Array[] = []

  send(data: Uint8Array): boolean {
    this.sent.push(data)
    return !this.writableNeedsDrain
  }

  pause(): void {
    this.readStatus = 'paused'
  }

  resume(): void {
    this.readStatus = 'readable'
    for (const data of this.held.splice(0)) this.deliver(data)
  }

  abort(error: Error): void {
    this.end('aborted', error)
  }

  async close(): Promise<void> {
    if (this.remoteWriteStatus === 'closed') this.end('closed')
  }

  deliver(data: Uint8Array): void {
    if (this.readStatus === 'paused') this.held.push(data)
    else this.dispatchEvent(new StreamMessageEvent(data))
  }

  drain(): void {
    this.writableNeedsDrain = false
    this.dispatchEvent(new Event('drain'))
  }

  remoteDone(): void {
    this.remoteWriteStatus = 'closed'
    this.dispatchEvent(new Event('remoteCloseWrite'))
  }

  end(status: string, error?: Error): void {
    this.status = status
    this.dispatchEvent(Object.assign(new Event('close'), { error }))
  }
}

function framed(wire = new Wire(), agreement: Uint8Array[] = []) {
  const clock = new FakeClock()
  const faults: PeerError[] = []
  const stream = new Libp2pFrameStream({
    stream: wire as unknown as Stream,
    peerId: 'other',
    clock,
    onFault: (error) => faults.push(error),
    agreement,
  })
  return { wire, clock, stream, faults }
}

test('what is written in one go is sent in one piece, and a lone frame at once', async () => {
  const { wire, stream } = framed()
  const frames = Array.from({ length: 40 }, (_, index) => bytes(index))
  for (const frame of frames) stream.write(frame)
  expect(wire.sent).toEqual([])
  await Promise.resolve()
  expect(wire.sent).toEqual([joinFrames(frames)])
  stream.write(bytes(7))
  await Promise.resolve()
  expect(wire.sent).toHaveLength(2)
})

test('a piece is not larger than it pays', () => {
  const { wire, stream } = framed()
  for (let index = 0; index < 8; index++) stream.write(new Uint8Array(limits.sendBytes / 2))
  expect(wire.sent).toHaveLength(4)
})

test('a writer waits for the drain, each time', async () => {
  const { wire, stream } = framed()
  for (let round = 0; round < 3; round++) {
    wire.writableNeedsDrain = true
    stream.write(bytes(1))
    let free = false
    const waited = stream.writable(wait()).then(() => {
      free = true
    })
    await settled()
    expect(free).toBe(false)
    wire.drain()
    await waited
  }
})

test('a reader that takes nothing for too long loses the stream, one that is slow does not', async () => {
  const { wire, clock, stream } = framed()
  for (let round = 0; round < 3; round++) {
    wire.writableNeedsDrain = true
    stream.write(bytes(1))
    await clock.advance(limits.stallMs - 1)
    wire.drain()
  }
  expect(stream.ended.aborted).toBe(false)
  wire.writableNeedsDrain = true
  stream.write(bytes(1))
  const writable = expect(stream.writable(wait())).rejects.toMatchObject({
    code: 'deadline_exceeded',
  })
  await clock.advance(limits.stallMs)
  await writable
  expect(wire.status).toBe('aborted')
  expect(clock.pending).toBe(0)
})

test('a sender is told to wait while nobody reads, and goes on when somebody does', async () => {
  const { wire, stream } = framed()
  const frame = joinFrames([new Uint8Array(32 * 1024)])
  for (let sent = 0; sent < 20; sent++) wire.deliver(frame)
  expect(wire.readStatus).toBe('paused')
  const heldAtFirst = wire.held.length
  expect(heldAtFirst).toBeGreaterThan(10)
  for (let read = 0; read < 20; read++) {
    expect((await stream.read(wait()))?.length).toBe(32 * 1024)
  }
  expect(wire.readStatus).toBe('readable')
  expect(wire.held).toEqual([])
})

test('what came before the end is read, also when it is held back', async () => {
  const { wire, stream } = framed()
  const frame = joinFrames([new Uint8Array(60 * 1024)])
  for (let sent = 0; sent < 9; sent++) wire.deliver(frame)
  wire.remoteDone()
  for (let read = 0; read < 9; read++) expect(await stream.read(wait())).toBeDefined()
  expect(await stream.read(wait())).toBeUndefined()
})

test('the end that came before anybody listened is the end', async () => {
  const wire = new Wire()
  wire.remoteWriteStatus = 'closed'
  const { stream } = framed(wire)
  expect(await stream.read(wait())).toBeUndefined()
})

test('a connection that is gone is no end, and no fault', async () => {
  const { wire, stream, faults } = framed()
  wire.deliver(joinFrames([bytes(1)]))
  const reading = [await stream.read(wait()), stream.read(wait())]
  wire.end('closed')
  await expect(reading[1]).rejects.toMatchObject({ code: 'connection_lost' })
  expect(stream.ended.reason).toMatchObject({ code: 'connection_lost' })
  expect(faults).toEqual([])
})

test('a frame that does not come whole in time is a fault, a late first one is none by itself', async () => {
  const { wire, clock, stream, faults } = framed()
  await clock.advance(10 * limits.frameMs)
  const reading = expect(stream.read(wait())).rejects.toMatchObject({ code: 'slow_frame' })
  wire.deliver(bytes(3, 1))
  await clock.advance(limits.frameMs / 2)
  wire.deliver(bytes(2))
  await clock.advance(limits.frameMs / 2)
  await reading
  expect(faults).toMatchObject([{ code: 'slow_frame', action: 'penalise' }])
})

test('the time of one frame is not that of the next', async () => {
  const { wire, clock, stream } = framed()
  for (let frame = 0; frame < 5; frame++) {
    const reading = stream.read(wait())
    wire.deliver(bytes(2, 1))
    await clock.advance(limits.frameMs - 1)
    wire.deliver(bytes(2))
    expect(await reading).toEqual(bytes(1, 2))
  }
  expect(clock.pending).toBe(0)
})

test('after a reset nothing is read, written or waited for', async () => {
  const { wire, clock, stream } = framed()
  wire.deliver(joinFrames([bytes(1)]))
  stream.write(bytes(2))
  const reason = new PeerError('enough', 'enough')
  stream.reset(reason)
  await Promise.resolve()
  expect(wire.sent).toEqual([])
  await expect(stream.read(wait())).rejects.toBe(reason)
  await expect(stream.writable(wait())).rejects.toBe(reason)
  expect(() => stream.write(bytes(3))).toThrow(reason)
  await stream.close()
  expect([stream.ended.reason, clock.pending]).toEqual([reason, 0])
})

test('what is to be agreed on goes out with the first frame, and comes in before it', async () => {
  const agreement = [bytes(1, 1), bytes(2, 2)]
  const { wire, stream } = framed(new Wire(), agreement)
  stream.write(bytes(3))
  await Promise.resolve()
  expect(wire.sent).toEqual([joinFrames([...agreement, bytes(3)])])
  const reading = stream.read(wait())
  const answer = joinFrames([...agreement, bytes(4)])
  wire.deliver(answer.subarray(0, 4))
  wire.deliver(answer.subarray(4))
  expect(await reading).toEqual(bytes(4))
})

test('more is written only to one that agrees', async () => {
  const { wire, stream, clock } = framed(new Wire(), [bytes(1, 1)])
  let free = false
  const waited = stream.writable(wait()).then(() => {
    free = true
  })
  await settled()
  expect(free).toBe(false)
  wire.deliver(joinFrames([bytes(1, 1)]))
  await waited
  await clock.advance(60_000)
  expect(stream.ended.aborted).toBe(false)
})

test('one that does not agree speaks something else', async () => {
  const { wire, stream, faults } = framed(new Wire(), [bytes(1, 1), bytes(2, 2)])
  const reading = stream.read(wait())
  wire.deliver(joinFrames([bytes(1, 1), bytes(9)]))
  await expect(reading).rejects.toMatchObject({ code: 'unsupported_protocol' })
  expect(wire.status).toBe('aborted')
  expect(faults).toEqual([])
})

test('a signal that has ended one wait does not end the next', async () => {
  const { wire, stream } = framed()
  const stop = new AbortController()
  const reading = stream.read(stop)
  stop.abort(new Error('enough'))
  await expect(reading).rejects.toThrow('enough')
  const next = stream.read(wait())
  wire.deliver(joinFrames([bytes(1)]))
  expect(await next).toEqual(bytes(1))
})

test('any number of tiny frames leaves others their turn', async () => {
  const { wire, stream } = framed()
  const count = 20 * limits.framesPerTurn
  wire.deliver(joinFrames(Array.from({ length: count }, () => bytes(1))))
  let turns = 0
  let over = false
  const others = () => {
    turns++
    if (!over) setImmediate(others)
  }
  setImmediate(others)
  for (let read = 0; read < count; read++) expect(await stream.read(wait())).toEqual(bytes(1))
  over = true
  expect(turns).toBeGreaterThanOrEqual(19)
})
