import { createCipheriv, createDecipheriv } from 'node:crypto'
import { damaged } from './errors.ts'
import type { BackupKey } from './header.ts'

// The STREAM construction: every chunk says by its nonce which one it is, and whether it is the last.
// What is cut off, changed, left out or put elsewhere is found before its bytes are used.

export const CHUNK_BYTES = 64 * 1024
const TAG_BYTES = 16
const NONCE_BYTES = 12
const CIPHER = 'chacha20-poly1305'
const options = { authTagLength: TAG_BYTES } as const

type Bytes = AsyncIterable<Uint8Array>

export async function* sealed(plain: Bytes, { key, header }: BackupKey): AsyncGenerator<Buffer> {
  let count = 0
  for await (const { bytes, isLast } of inPieces(plain, CHUNK_BYTES)) {
    const cipher = createCipheriv(CIPHER, key, nonceOf(count++, isLast), options)
    cipher.setAAD(header, { plaintextLength: bytes.length })
    yield Buffer.concat([cipher.update(bytes), cipher.final(), cipher.getAuthTag()])
  }
}

/** Throws `backup_damaged` instead of the first chunk that is not as it was written. */
export async function* opened(chunks: Bytes, { key, header }: BackupKey): AsyncGenerator<Buffer> {
  let count = 0
  for await (const { bytes, isLast } of inPieces(chunks, CHUNK_BYTES + TAG_BYTES)) {
    const end = bytes.length - TAG_BYTES
    // Only a backup of nothing has a chunk of nothing.
    if (end < 0 || (end === 0 && count > 0)) throw damaged('it is cut off')
    const decipher = createDecipheriv(CIPHER, key, nonceOf(count, isLast), options)
    decipher.setAAD(header, { plaintextLength: end })
    decipher.setAuthTag(bytes.subarray(end))
    const plain = decipher.update(bytes.subarray(0, end))
    try {
      decipher.final()
    } catch {
      throw damaged(isLast ? 'its end is missing or changed' : `in its part ${count + 1} of 64 KiB`)
    }
    count += 1
    yield plain
  }
}

function nonceOf(count: number, isLast: boolean): Buffer {
  const nonce = Buffer.alloc(NONCE_BYTES)
  nonce.writeBigUInt64BE(BigInt(count), NONCE_BYTES - 9)
  nonce[NONCE_BYTES - 1] = isLast ? 1 : 0
  return nonce
}

/** The same bytes in pieces of this size, and a last one that may be shorter. */
async function* inPieces(
  source: Bytes,
  size: number,
): AsyncGenerator<{ bytes: Buffer; isLast: boolean }> {
  const held: Uint8Array[] = []
  let length = 0
  for await (const bytes of source) {
    held.push(bytes)
    length += bytes.length
    // One more byte must be there: which one is the last must be known when it is sealed.
    if (length <= size) continue
    const all = Buffer.concat(held.splice(0))
    let from = 0
    for (; all.length - from > size; from += size) {
      yield { bytes: all.subarray(from, from + size), isLast: false }
    }
    held.push(all.subarray(from))
    length = all.length - from
  }
  yield { bytes: Buffer.concat(held), isLast: true }
}
