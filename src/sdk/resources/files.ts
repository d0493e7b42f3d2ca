import { piecesOf } from '../answer-body.ts'
import { blobOf } from '../client/blob-of.ts'
import type { Call } from '../client/call.ts'
import { FileContent } from '../client/file-content.ts'
import { type CallOptions, path } from '../client/operation.ts'
import { type Page, type PageQuery, type Pages, pagesOf } from '../client/page.ts'
import { PinaivuError } from '../client/pinaivu-error.ts'
import type { Transport } from '../client/transport.ts'
import type { DeletedFile, FileObject } from '../types/files.ts'

/** A `File` or a `Blob`, bytes, or a stream of them: what `fetch` gives, or what Node reads. */
export type FileSource =
  | Blob
  | ArrayBuffer
  | Uint8Array
  | ReadableStream<Uint8Array>
  | AsyncIterable<Uint8Array>

export interface NewFile {
  file: FileSource
  kind: FileObject['kind']
  /** Default: that of a `File`. */
  filename?: string | undefined
  /** What it is meant for. */
  model?: string | undefined
  client_request_id?: string | undefined
}

/** Which bytes are wanted, the last one included. */
export interface ByteRange {
  from?: number | undefined
  to?: number | undefined
}

const files = '/api/v1/files'
/** More than the largest file that a peer takes. */
const FILE_BYTES_MAX = 64 * 1024 * 1024

/** Pictures, sound and films of an account. */
export class Files {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /** A stream is read to its end first: what is sent can then be sent again. */
  create(body: NewFile, options?: CallOptions): Call<FileObject> {
    return this.#transport.json({ method: 'POST', path: files, form: () => formOf(body) }, options)
  }

  list(query: PageQuery = {}, options?: CallOptions): Pages<FileObject> {
    return pagesOf(query, (cursor) =>
      this.#transport.json<Page<FileObject>>(
        { method: 'GET', path: files, query: { ...query, ...cursor } },
        options,
      ),
    )
  }

  /** Its `url` gives the content to whoever has it, for an hour. */
  get(id: string, options?: CallOptions): Call<FileObject> {
    return this.#transport.json({ method: 'GET', path: files + path`/${id}` }, options)
  }

  content(id: string, range: ByteRange = {}, options: CallOptions = {}): Call<FileContent> {
    return this.#open(files + path`/${id}/content`, range, { options })
  }

  /** The content by its `url`, which needs no key: of this peer, whatever else the `url` says. */
  download(url: string, range: ByteRange = {}, options: CallOptions = {}): Call<FileContent> {
    const [, id, search] = /\/files\/(\w+)\/download\?([^#]*)/.exec(url) ?? []
    if (id === undefined) throw new PinaivuError('invalid_value', 'This is no `url` of a file.')
    const query = Object.fromEntries(new URLSearchParams(search))
    return this.#open(files + path`/${id}/download`, range, { options, query, open: true })
  }

  delete(id: string, options?: CallOptions): Call<DeletedFile> {
    return this.#transport.json({ method: 'DELETE', path: files + path`/${id}` }, options)
  }

  #open(
    to: string,
    { from, to: last }: ByteRange,
    { options, ...more }: { options: CallOptions; query?: Record<string, string>; open?: true },
  ): Call<FileContent> {
    const isPart = from !== undefined || last !== undefined
    const range: Record<string, string> = isPart
      ? { range: `bytes=${from ?? 0}-${last ?? ''}` }
      : {}
    return this.#transport.open(
      { method: 'GET', path: to, headers: { accept: '*/*', ...range }, ...more },
      options,
      (exchange, response) => new FileContent(exchange, response),
    )
  }
}

async function formOf({ file, filename, kind, ...more }: NewFile): Promise<FormData> {
  const form = new FormData()
  form.append('kind', kind)
  for (const [name, value] of Object.entries(more)) if (value != null) form.append(name, value)
  const blob = await asBlob(file)
  const own = blob instanceof File ? blob.name : 'file'
  // The peer reads what is said of it before the bytes.
  form.append('file', blob, filename ?? own)
  return form
}

async function asBlob(file: FileSource): Promise<Blob> {
  if (file instanceof Blob) return file
  if (file instanceof ArrayBuffer) return new Blob([file])
  if (file instanceof Uint8Array) return new Blob([new Uint8Array(file)])
  return blobOf(pieces(file), FILE_BYTES_MAX)
}

async function* pieces(
  stream: ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const each = piecesOf(stream)
  try {
    for (;;) {
      const { value, done } = await each.next()
      if (done) return
      yield value as Uint8Array
    }
  } finally {
    each.return().catch(() => {})
  }
}
