import { type ByteSource, inWindows } from './byte-source.ts'

/** Sound in frames that follow each other, each of which says its own length. */
interface Frame {
  bytes: number
  ms: number
}

/** A day of the shortest ones. */
const FRAMES_MAX = 20_000_000
/** Of one frame's head: a tag behind the last one is none. */
const HEAD_BYTES = 7
/** Before them somebody may have put what players are to show. */
const TAG_HEAD_BYTES = 10

/** Milliseconds; undefined where not even the first frame is one. */
export async function mp3Duration(source: ByteSource): Promise<number | undefined> {
  return lengthOfAll(source, await tagBytes(source), mp3Frame)
}

export function aacDuration(source: ByteSource): Promise<number | undefined> {
  return lengthOfAll(source, 0, adtsFrame)
}

async function lengthOfAll(
  source: ByteSource,
  from: number,
  frameOf: (head: Buffer) => Frame | undefined,
): Promise<number | undefined> {
  const bytes = inWindows(source)
  let ms: number | undefined
  let at = from
  for (let count = 0; count < FRAMES_MAX && at < source.size; count++) {
    const frame = frameOf(await bytes.read(at, HEAD_BYTES))
    // Whatever stands behind the last frame is not played.
    if (frame === undefined || at + frame.bytes > source.size) break
    at += frame.bytes
    ms = (ms ?? 0) + frame.ms
  }
  return ms
}

/** Of an ID3v2 tag with its own ten bytes: its size is written with seven bits a byte. */
async function tagBytes(source: ByteSource): Promise<number> {
  const head = await source.read(0, TAG_HEAD_BYTES)
  if (head.length < TAG_HEAD_BYTES || head.toString('latin1', 0, 3) !== 'ID3') return 0
  const size = head.subarray(6).reduce((sum, byte) => sum * 128 + (byte & 0x7f), 0)
  const hasFooter = ((head[5] ?? 0) & 0x10) !== 0
  return TAG_HEAD_BYTES + size + (hasFooter ? TAG_HEAD_BYTES : 0)
}

const MP3_RATES = [44_100, 48_000, 32_000]
const MPEG1_KBITS = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320]
const MPEG2_KBITS = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160]

/** Layer III of MPEG 1, 2 and 2.5. */
function mp3Frame(head: Buffer): Frame | undefined {
  if (head.length < 4 || (head.readUInt16BE(0) & 0xffe6) !== 0xffe2) return undefined
  const version = (head.readUInt8(1) >> 3) & 3
  const third = head.readUInt8(2)
  const kbits = (version === 3 ? MPEG1_KBITS : MPEG2_KBITS)[third >> 4]
  const base = MP3_RATES[(third >> 2) & 3]
  // 1 is no version.
  if (kbits === undefined || kbits === 0 || base === undefined || version === 1) return undefined
  const rate = version === 3 ? base : version === 2 ? base / 2 : base / 4
  const samples = version === 3 ? 1152 : 576
  const padding = (third >> 1) & 1
  const bytes = Math.floor((samples * kbits * 125) / rate) + padding
  return { bytes, ms: (samples / rate) * 1000 }
}

const AAC_RATES = [
  96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
  7_350,
]
const ADTS_HEAD_BYTES = 7

function adtsFrame(head: Buffer): Frame | undefined {
  if (head.length < ADTS_HEAD_BYTES || (head.readUInt16BE(0) & 0xfff6) !== 0xfff0) return undefined
  const rate = AAC_RATES[(head.readUInt8(2) >> 2) & 15]
  const bytes = (head.readUIntBE(3, 3) >> 5) & 0x1fff
  if (rate === undefined || bytes < ADTS_HEAD_BYTES) return undefined
  const blocks = (head.readUInt8(6) & 3) + 1
  return { bytes, ms: ((1024 * blocks) / rate) * 1000 }
}
