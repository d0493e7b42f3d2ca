import { AnswerStream, bytesIn } from './answer-stream.ts'
import { blobOf } from './blob-of.ts'
import type { Exchange } from './exchange.ts'

/** The bytes of a file, while they come or all at once. */
export class FileContent extends AnswerStream<Uint8Array> {
  /** By what the peer found in it. */
  readonly mimeType: string
  /** Bytes of this answer, where the peer says it. */
  readonly length: number | undefined
  readonly #bytesMax: number

  constructor(exchange: Exchange, response: Response) {
    super(exchange, response, bytesIn)
    const length = this.headers.get('content-length')
    this.mimeType = this.headers.get('content-type') ?? 'application/octet-stream'
    this.length = length === null ? undefined : Number(length)
    this.#bytesMax = exchange.setting.answerBytesMax
  }

  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    return new Uint8Array(await (await this.blob()).arrayBuffer())
  }

  async blob(): Promise<Blob> {
    return blobOf(this, this.#bytesMax, this.mimeType)
  }
}
