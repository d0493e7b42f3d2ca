import type { ByteSource } from './byte-source.ts'

export interface OggFacts {
  /** What its first stream is; undefined where that is no sound. */
  codec: 'opus' | 'vorbis' | 'flac' | 'speex' | undefined
  durationMs: number | undefined
}

const OPUS_RATE = 48_000
const PAGE_HEAD_BYTES = 27
/** A page is a little shorter: the last one begins in here. */
const TAIL_BYTES = 64 * 1024 + 512
const NO_POSITION = 2n ** 64n - 1n

/** What an Ogg file says of itself. */
export async function oggFacts(source: ByteSource): Promise<OggFacts> {
  const head = await source.read(0, 512)
  const first = head.subarray(PAGE_HEAD_BYTES + (head[26] ?? 0))
  const begins = (text: string) => first.toString('latin1', 0, text.length) === text
  if (begins('\x7fFLAC')) return { codec: 'flac', durationMs: undefined }
  if (begins('Speex   ')) return { codec: 'speex', durationMs: undefined }
  const serial = head.length < 18 ? 0 : head.readUInt32LE(14)
  if (begins('OpusHead') && first.length >= 12) {
    const samples = (await lastPosition(source, serial)) - first.readUInt16LE(10)
    return { codec: 'opus', durationMs: durationOf(samples, OPUS_RATE) }
  }
  if (begins('\x01vorbis') && first.length >= 16) {
    const samples = await lastPosition(source, serial)
    return { codec: 'vorbis', durationMs: durationOf(samples, first.readUInt32LE(12)) }
  }
  return { codec: undefined, durationMs: undefined }
}

const durationOf = (samples: number, rate: number): number | undefined =>
  samples > 0 && rate > 0 ? (samples / rate) * 1000 : undefined

/** Samples up to the end of the last page of this stream; 0 where there is none. */
async function lastPosition(source: ByteSource, serial: number): Promise<number> {
  const tail = await source.read(Math.max(0, source.size - TAIL_BYTES), TAIL_BYTES)
  for (let end = tail.length; ; ) {
    const at = end < 0 ? -1 : tail.lastIndexOf('OggS', end)
    if (at < 0) return 0
    end = at - 1
    if (at + PAGE_HEAD_BYTES > tail.length || tail.readUInt32LE(at + 14) !== serial) continue
    const position = tail.readBigUInt64LE(at + 6)
    if (position !== NO_POSITION) return Number(position)
    if (at === 0) return 0
  }
}
