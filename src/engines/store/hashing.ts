import { createHash, type Hash } from 'node:crypto'
import { open } from 'node:fs/promises'

/** About a millisecond of hashing, between which everything else has its turn. */
const CHUNK_BYTES = 256 * 1024

/** Reads a file to its end into these. */
export async function hashFile(
  path: string,
  hashes: readonly Hash[],
  { signal, onBytes = () => {} }: { signal: AbortSignal; onBytes?: (read: number) => void },
): Promise<number> {
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES)
  await using file = await open(path)
  for (let size = 0; ; ) {
    signal.throwIfAborted()
    const { bytesRead } = await file.read(buffer, 0, buffer.length)
    if (bytesRead === 0) return size
    for (const hash of hashes) hash.update(buffer.subarray(0, bytesRead))
    size += bytesRead
    onBytes(size)
  }
}

export async function sha256OfFile(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256')
  await hashFile(path, [hash], { signal })
  return hash.digest('hex')
}
