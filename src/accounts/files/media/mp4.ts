import type { ByteSource } from './byte-source.ts'

export interface Mp4Facts {
  /** `qt  ` for QuickTime. */
  brand: string
  hasVideo: boolean
  hasAudio: boolean
  /** Undefined where the header does not say it: of films that were sent in fragments. */
  durationMs: number | undefined
}

/** In all: a film has a few dozen before its samples are listed, and those are not looked at. */
const BOXES_MAX = 4096

interface Box {
  type: string
  from: number
  to: number
}

/** What an ISO base media file says of itself; undefined where it is none, or cut off. */
export async function mp4Facts(source: ByteSource): Promise<Mp4Facts | undefined> {
  const left = { boxes: BOXES_MAX }
  const facts: Mp4Facts = { brand: '', hasVideo: false, hasAudio: false, durationMs: undefined }
  facts.brand = (await source.read(8, 4)).toString('latin1')
  for await (const box of boxes(source, 0, source.size, left)) {
    if (box.type !== 'moov') continue
    for await (const inner of boxes(source, box.from, box.to, left)) {
      if (inner.type === 'mvhd') facts.durationMs = await durationOf(source, inner)
      if (inner.type === 'trak') await readTrack(source, inner, facts, left)
    }
    return facts
  }
  return undefined
}

async function* boxes(
  source: ByteSource,
  from: number,
  to: number,
  left: { boxes: number },
): AsyncGenerator<Box> {
  for (let at = from; at + 8 <= to && left.boxes > 0; left.boxes--) {
    const head = await source.read(at, 16)
    if (head.length < 8) return
    const short = head.readUInt32BE(0)
    const isLong = short === 1 && head.length === 16
    // 0: it goes on to the end.
    const size = isLong ? Number(head.readBigUInt64BE(8)) : short === 0 ? to - at : short
    const end = at + size
    if (size < (isLong ? 16 : 8) || end > to) return
    yield { type: head.toString('latin1', 4, 8), from: at + (isLong ? 16 : 8), to: end }
    at = end
  }
}

async function readTrack(
  source: ByteSource,
  track: Box,
  facts: Mp4Facts,
  left: { boxes: number },
): Promise<void> {
  for await (const media of boxes(source, track.from, track.to, left)) {
    if (media.type !== 'mdia') continue
    for await (const box of boxes(source, media.from, media.to, left)) {
      if (box.type !== 'hdlr') continue
      const handler = (await source.read(box.from + 8, 4)).toString('latin1')
      facts.hasVideo ||= handler === 'vide'
      facts.hasAudio ||= handler === 'soun'
    }
  }
}

async function durationOf(source: ByteSource, { from, to }: Box): Promise<number | undefined> {
  const head = await source.read(from, Math.min(32, to - from))
  const isLong = head[0] === 1
  if (head.length < (isLong ? 32 : 20)) return undefined
  const scale = head.readUInt32BE(isLong ? 20 : 12)
  const units = isLong ? Number(head.readBigUInt64BE(24)) : head.readUInt32BE(16)
  const isUnknown = units === 0 || units >= (isLong ? 2 ** 64 : 2 ** 32 - 1)
  return scale === 0 || isUnknown ? undefined : (units / scale) * 1000
}
