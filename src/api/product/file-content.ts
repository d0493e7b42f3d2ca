import type { FastifyReply, FastifyRequest } from 'fastify'
import type { FileRecord } from '../../accounts/files/file-record.ts'
import type { FileStore } from '../../accounts/files/file-store.ts'
import { PeerError } from '../../base/errors.ts'

/** Sends the bytes of a file, or the range of them that was asked for, as they come from the disk. */
export async function sendContent(
  request: FastifyRequest,
  reply: FastifyReply,
  record: FileRecord,
  files: Pick<FileStore, 'open'>,
): Promise<FastifyReply> {
  const etag = `"${record.sha256}"`
  reply.headers(contentHeaders(record, etag))
  if (request.headers['if-none-match'] === etag) return reply.code(304).send()
  const range = rangeOf(request, etag, record.bytes)
  const { from, to } = range ?? { from: 0, to: record.bytes - 1 }
  if (range !== undefined) {
    reply.code(206).header('content-range', `bytes ${from}-${to}/${record.bytes}`)
  }
  reply.header('content-length', String(to - from + 1))
  const file = await files.open(record)
  if (request.method === 'HEAD') {
    await file.close()
    reply.hijack()
    reply.raw.writeHead(reply.statusCode, reply.getHeaders() as Record<string, string>).end()
    return reply
  }
  // Closes the file at its end, or when the client leaves.
  return reply.send(file.createReadStream({ start: from, end: to }))
}

/** Whatever the bytes are, no browser is to run them, nor take them for anything else. */
function contentHeaders({ mimeType, filename }: FileRecord, etag: string): Record<string, string> {
  const plain = filename.replace(/[^\x20-\x7e]|["\\%]/g, '_')
  const encoded = encodeURIComponent(filename).replace(/['()*]/g, percent)
  return {
    'content-type': mimeType,
    'content-disposition': `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`,
    'content-security-policy': "sandbox; default-src 'none'",
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cache-control': 'private, no-cache',
    'accept-ranges': 'bytes',
    etag,
  }
}

const percent = (character: string): string =>
  `%${character.charCodeAt(0).toString(16).toUpperCase()}`

interface ByteRange {
  from: number
  /** Its last byte. */
  to: number
}

/** Undefined for the whole: also where several ranges are asked for, or those of another content. */
function rangeOf({ headers }: FastifyRequest, etag: string, bytes: number): ByteRange | undefined {
  const { range, 'if-range': condition } = headers
  const asked = /^bytes=(\d*)-(\d*)$/.exec(range ?? '')
  if (asked === null || (condition !== undefined && condition !== etag)) return undefined
  const [, first = '', last = ''] = asked
  if (first === '' && last === '') return undefined
  const from = first === '' ? Math.max(0, bytes - Number(last)) : Number(first)
  const to = first === '' || last === '' ? bytes - 1 : Math.min(Number(last), bytes - 1)
  // Backwards: then it is none, and means the whole.
  if (first !== '' && last !== '' && Number(last) < Number(first)) return undefined
  if (from < bytes && from <= to) return { from, to }
  throw new PeerError('range_not_satisfiable', `The file has ${bytes} bytes.`)
}
