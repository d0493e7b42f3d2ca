import { base64pad } from 'multiformats/bases/base64'
import { type Call, callOf } from '../client/call.ts'
import type { CallOptions } from '../client/operation.ts'
import { PinaivuError } from '../client/pinaivu-error.ts'
import type { Transport } from '../client/transport.ts'
import type { Embeddings as Embedded, EmbeddingRequest } from '../types/completions.ts'

type WithVectors<V> = Omit<Embedded, 'data'> & {
  data: { object: 'embedding'; index: number; embedding: V }[]
}
export type EmbeddingAnswer = WithVectors<number[]>
export type EncodedEmbeddingAnswer = WithVectors<string>

/** Texts as vectors. */
export class Embeddings {
  readonly #transport: Transport

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /** Vectors are sent as base64, a third as long as their numbers, and come as numbers. */
  create(
    body: EmbeddingRequest & { encoding_format: 'base64' },
    options?: CallOptions,
  ): Call<EncodedEmbeddingAnswer>
  create(
    body: EmbeddingRequest & { encoding_format?: 'float' | null },
    options?: CallOptions,
  ): Call<EmbeddingAnswer>
  create(
    body: EmbeddingRequest,
    options?: CallOptions,
  ): Call<EmbeddingAnswer | EncodedEmbeddingAnswer>
  create(
    body: EmbeddingRequest,
    options: CallOptions = {},
  ): Call<EmbeddingAnswer | EncodedEmbeddingAnswer> {
    const isPlain = body.encoding_format != null
    const asked = isPlain ? body : { ...body, encoding_format: 'base64' as const }
    const to = { method: 'POST', path: '/v1/embeddings', body: asked } as const
    if (isPlain) return this.#transport.json(to, options)
    const encoded = this.#transport.json<EncodedEmbeddingAnswer>(to, options)
    return callOf(
      encoded.withResponse().then(({ data, response }) => ({ data: decoded(data), response })),
    )
  }
}

function decoded(answer: EncodedEmbeddingAnswer): EmbeddingAnswer {
  try {
    const data = answer.data.map((each) => ({ ...each, embedding: numbersIn(each.embedding) }))
    return { ...answer, data }
  } catch (cause) {
    throw new PinaivuError('malformed', 'The answer is no embeddings in base64.', { cause })
  }
}

/** Little-endian 32-bit floats. */
function numbersIn(base64: unknown): number[] {
  if (typeof base64 !== 'string') throw new TypeError('an embedding is no text')
  const bytes = base64pad.baseDecode(base64)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Array.from({ length: bytes.length / 4 }, (_, at) => view.getFloat32(4 * at, true))
}
