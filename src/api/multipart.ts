import { Busboy, type BusboyFileStream, type BusboyInstance } from '@fastify/busboy'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { InvalidError, PeerError } from '../base/errors.ts'
import { clientGone } from './client-signal.ts'

export interface FormLimits {
  /** Of the body as a whole. */
  bodyBytesMax: number
}

/** A form has a handful of fields with a line each; OpenAI's clients send no more. */
const limits = {
  files: 1,
  fields: 16,
  parts: 17,
  fieldSize: 4096,
  headerPairs: 16,
  headerSize: 8192,
} as const

/** Beside its file, a form is never larger. */
export const FORM_OVERHEAD_BYTES = 128 * 1024

const incomplete = () =>
  new PeerError('invalid_request', 'The body is not a complete multipart/form-data form.')

/** Lets routes of this scope read forms: their bodies are left to them, and never held whole. */
export function acceptForms(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('multipart/form-data', (_request, payload, done) => done(null, payload))
}

export interface FormFile {
  filename: string | undefined
  chunks: AsyncIterable<Uint8Array>
}

/**
 * Reads a form with one file, called `file`, and gives that to `onFile` as it comes. Returns the
 * fields. A form with anything else in it is refused; what `onFile` throws ends the reading.
 */
export async function readForm(
  request: FastifyRequest,
  { bodyBytesMax }: FormLimits,
  onFile: (file: FormFile) => Promise<void>,
): Promise<ReadonlyMap<string, string>> {
  const { raw } = request
  checkHead(request, bodyBytesMax)
  const parser = parserOf(request)
  const form = new Form(parser, onFile)
  let bytes = 0
  const count = (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > bodyBytesMax) form.fail(tooLarge(bodyBytesMax))
  }
  const cut = () => {
    if (!raw.readableEnded) form.fail(incomplete())
  }
  raw.on('data', count)
  raw.once('close', cut)
  raw.once('error', cut)
  raw.pipe(parser)
  try {
    return await form.read()
  } finally {
    raw.off('data', count)
    raw.off('close', cut)
    raw.off('error', cut)
    raw.unpipe(parser)
    parser.destroy()
    // What is left of a refused body is read away, by whoever ends the connection.
    raw.resume()
  }
}

function checkHead({ headers, raw }: FastifyRequest, bodyBytesMax: number): void {
  const coding = headers['content-encoding'] ?? 'identity'
  if (coding.toLowerCase() !== 'identity') {
    throw new PeerError('unsupported_media_type', 'Send the body as it is, not compressed.')
  }
  if (Number(headers['content-length'] ?? 0) > bodyBytesMax) throw tooLarge(bodyBytesMax)
  if (clientGone(raw as never)) throw incomplete()
}

function parserOf({ headers }: FastifyRequest): BusboyInstance {
  try {
    const contentType = headers['content-type'] ?? ''
    return new Busboy({ headers: { 'content-type': contentType }, limits })
  } catch {
    const message =
      'The Content-Type names no usable boundary. Leave it to your client to write it.'
    throw new PeerError('unsupported_media_type', message)
  }
}

/** One form on its way through the parser; the first thing wrong with it is what counts. */
class Form {
  readonly #fields = new Map<string, string>()
  readonly #ending = Promise.withResolvers<void>()
  readonly #onFile: (file: FormFile) => Promise<void>
  #file: { stream: BusboyFileStream; taken: Promise<void> } | undefined

  constructor(parser: BusboyInstance, onFile: (file: FormFile) => Promise<void>) {
    this.#onFile = onFile
    // A failure that nobody waits for yet must not end the process.
    this.#ending.promise.catch(() => {})
    // A part may come without a name.
    parser.on('field', (name: string | undefined, value, _isNameCut, isCut) =>
      this.#guard(() => this.#onField(name ?? '', value, isCut)),
    )
    parser.on('file', (name: string | undefined, stream, filename) =>
      this.#guard(() => this.#onPart(name ?? '', stream, filename)),
    )
    parser.on('filesLimit', () => this.fail(new InvalidError('file', 'Send one file at a time.')))
    for (const limit of ['partsLimit', 'fieldsLimit'] as const) {
      parser.on(limit, () => this.fail(new PeerError('invalid_request', 'The form is too long.')))
    }
    parser.on('error', () => this.fail(incomplete()))
    parser.on('finish', () => this.#ending.resolve())
  }

  async read(): Promise<ReadonlyMap<string, string>> {
    await this.#ending.promise.finally(() => this.#file?.taken.catch(() => {}))
    // The form may end before the last bytes are where they go, and they may not get there.
    await this.#file?.taken
    if (this.#file === undefined) {
      const message = "Missing required parameter: 'file', a part with a file name."
      throw new InvalidError('file', message, 'missing_required_parameter')
    }
    return this.#fields
  }

  fail(error: unknown): void {
    this.#ending.reject(error)
    this.#file?.stream.destroy(error as Error)
  }

  #guard(task: () => void): void {
    try {
      task()
    } catch (error) {
      this.fail(error)
    }
  }

  #onField(name: string, value: string, isCut: boolean): void {
    if (isCut) throw new InvalidError(name, `Invalid '${shown(name)}': the field is too long.`)
    if (this.#fields.has(name)) {
      throw new InvalidError(name, `Invalid '${shown(name)}': it was sent twice.`)
    }
    this.#fields.set(name, value)
  }

  #onPart(name: string, stream: BusboyFileStream, filename: string): void {
    // What breaks off here is heard of where it is read.
    stream.on('error', () => {})
    if (name !== 'file') {
      stream.resume()
      throw new InvalidError(name, `Unknown file: '${shown(name)}'.`, 'unknown_parameter')
    }
    const taken = this.#onFile({ filename, chunks: stream })
    taken.catch((error: unknown) => this.fail(error))
    this.#file = { stream, taken }
  }
}

const shown = (name: string): string => name.slice(0, 64)

const tooLarge = (bodyBytesMax: number) =>
  new PeerError('request_too_large', `The body is larger than ${bodyBytesMax} bytes.`)
