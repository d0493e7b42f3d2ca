/**
 * Bytes as the name of something in a map. In one piece: a text that is put together byte by byte
 * is kept as all of its pieces, ten times as large.
 */
export const hexName = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
