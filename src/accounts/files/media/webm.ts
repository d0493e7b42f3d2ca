import type { ByteSource } from './byte-source.ts'

export interface WebmFacts {
  /** `webm`, or `matroska`. */
  docType: string
  /** Undefined where it was recorded live. */
  durationMs: number | undefined
}

const EBML = 0x1a45dfa3
const DOC_TYPE = 0x4282
const SEGMENT = 0x18538067
const INFO = 0x1549a966
const CLUSTER = 0x1f43b675
const TIMESTAMP_SCALE = 0x2ad7b1
const DURATION = 0x4489

/** In all: what stands before the pictures is far less. */
const ELEMENTS_MAX = 256
const NANOSECONDS_PER_MS = 1e6

interface Element {
  id: number
  from: number
  to: number
}

/** What a Matroska file says of itself; undefined where it is none. */
export async function webmFacts(source: ByteSource): Promise<WebmFacts | undefined> {
  const header = await elementAt(source, 0, source.size)
  if (header?.id !== EBML) return undefined
  const left = { elements: ELEMENTS_MAX }
  const facts: WebmFacts = { docType: '', durationMs: undefined }
  for await (const { id, from, to } of elements(source, header.from, header.to, left)) {
    if (id === DOC_TYPE) facts.docType = await textAt(source, from, to)
  }
  const segment = await elementAt(source, header.to, source.size)
  if (segment?.id !== SEGMENT) return facts
  for await (const { id, from, to } of elements(source, segment.from, segment.to, left)) {
    if (id === CLUSTER) break
    if (id === INFO) facts.durationMs = await durationIn(source, from, to, left)
  }
  return facts
}

async function durationIn(
  source: ByteSource,
  from: number,
  to: number,
  left: { elements: number },
): Promise<number | undefined> {
  let scale = NANOSECONDS_PER_MS
  let units: number | undefined
  for await (const element of elements(source, from, to, left)) {
    const { id } = element
    const length = element.to - element.from
    const bytes = await source.read(element.from, Math.min(length, 8))
    if (id === TIMESTAMP_SCALE && bytes.length === length && length > 0 && length <= 6) {
      scale = bytes.readUIntBE(0, length)
    }
    if (id === DURATION && bytes.length === length) {
      units = length === 4 ? bytes.readFloatBE(0) : length === 8 ? bytes.readDoubleBE(0) : undefined
    }
  }
  return units === undefined ? undefined : (units * scale) / NANOSECONDS_PER_MS
}

async function* elements(
  source: ByteSource,
  from: number,
  to: number,
  left: { elements: number },
): AsyncGenerator<Element> {
  for (let at = from; at < to && left.elements > 0; left.elements--) {
    const element = await elementAt(source, at, to)
    if (element === undefined) return
    yield element
    at = element.to
  }
}

/** An id and a size, each as long as the zeros before its first one say. */
async function elementAt(
  source: ByteSource,
  at: number,
  end: number,
): Promise<Element | undefined> {
  const head = await source.read(at, 12)
  const idLength = lengthOf(head[0])
  if (idLength > 4 || head.length <= idLength) return undefined
  const sizeLength = lengthOf(head[idLength])
  const from = at + idLength + sizeLength
  if (sizeLength > 8 || head.length < idLength + sizeLength) return undefined
  let size = (head[idLength] as number) & (0xff >> sizeLength)
  let isUnknown = size === 0xff >> sizeLength
  for (let next = idLength + 1; next < idLength + sizeLength; next++) {
    const byte = head[next] as number
    size = size * 256 + byte
    isUnknown &&= byte === 0xff
  }
  // One that was written as it was recorded ends with the file.
  const to = isUnknown ? end : from + size
  return to > end ? undefined : { id: head.readUIntBE(0, idLength), from, to }
}

const lengthOf = (byte = 0): number => Math.clz32(byte) - 23

async function textAt(source: ByteSource, from: number, to: number): Promise<string> {
  const bytes = await source.read(from, Math.min(16, to - from))
  return bytes.toString('latin1').replace(/\0+$/, '')
}
