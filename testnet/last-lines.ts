import { open } from 'node:fs/promises'

const linesMax = 10
const bytesMax = 16 * 1024

/** The end of a log, which may be long; empty when it cannot be read. */
export async function lastLines(path: string): Promise<string[]> {
  try {
    await using file = await open(path)
    const { size } = await file.stat()
    const length = Math.min(size, bytesMax)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length)
    const lines = buffer.toString('utf8', 0, bytesRead).split('\n')
    return lines.filter((line) => line !== '').slice(-linesMax)
  } catch {
    return []
  }
}
