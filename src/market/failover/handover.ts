import type { AnswerHash } from '../../receipts/answer-hash.ts'
import type { Done, RolledBack, Tokens, Vectors } from '../../wire/chunk.ts'
import type { Resume } from '../../wire/generate.ts'
import { RESUME_BYTES_MAX } from '../../wire/generate-shape.ts'
import { packResumes } from '../../wire/job-body.ts'
import type { Effort } from '../effort.ts'
import type { Request } from '../request.ts'
import type { Share } from './share.ts'

/** Losses after which another goes on: where so many go wrong, one more would not help. */
export const LOSSES_MAX = 8

/** A provider that was lost behind its first token or vector. */
export interface Lost {
  effort: Pick<Effort, 'node' | 'model' | 'times'>
  /** Of all that came from it. */
  hash: AnswerHash
  /** Undefined where nothing that counts came from it. */
  share: Share | undefined
  /** What was wrong with it, in a word; undefined of this machine. */
  dispute: string | undefined
  /** What the client is told if nobody goes on. */
  told: unknown
}

/** Where the next provider goes on, in our words and in those of the wire. */
export interface Begun {
  resumes: readonly Resume[]
  packed: ReturnType<typeof packResumes>
}

/**
 * An answer whose provider was lost in the middle: what the client has of it, for the next one to
 * go on with, and what is owed for it.
 */
export class Handover {
  /** Whose work it was that came first. */
  readonly first: Lost['effort']
  /** Those whose work is in the answer, in turn. */
  readonly nodes: string[]
  /** Undefined for vectors: what is missing of them is asked for together with the rest. */
  begun: Begun | undefined
  /** An effort that is still at its end writes down what the others did, too. */
  isLeft = false
  /** Where in the answer the tokens begin of who is at work: its receipts count those alone. */
  partStart = 0
  /** Of all that the client has. */
  readonly #hash: AnswerHash
  #last: Lost
  #losses = 0
  #shares: Share[] = []

  constructor(lost: Lost) {
    this.first = lost.effort
    this.nodes = [lost.effort.node.id]
    this.#hash = lost.hash
    this.#last = lost
  }

  get last(): Lost {
    return this.#last
  }

  /** So often another went on. */
  get times(): number {
    return this.nodes.length - 1
  }

  get outputTokens(): number {
    return this.#hash.received.reduce((sum, tokens) => sum + tokens, 0)
  }

  /** Another has gone on. */
  resumed({ report }: Request, { node, times }: Lost['effort']): void {
    this.nodes.push(node.id)
    this.partStart = this.outputTokens
    report.resumed(node.id, (times.firstAt ?? times.startedAt) - times.startedAt)
  }

  /** False where nobody can be asked to go on. */
  lost(lost: Lost): boolean {
    this.#last = lost
    if (lost.share !== undefined) this.#shares.push(lost.share)
    const resumes = this.#hash.resumes()
    if (resumes === undefined || ++this.#losses > LOSSES_MAX) return false
    if (resumes.length === 0) return true
    const packed = packResumes(resumes)
    this.begun = { resumes, packed }
    return packed.bytes.length <= RESUME_BYTES_MAX
  }

  tokens(tokens: Tokens): void {
    this.#hash.tokens(tokens)
  }

  /** Of each choice that has begun: what was drafted behind it was the lost one's. */
  get rollbacks(): RolledBack[] {
    return (this.#hash.resumes() ?? []).map(({ choice, ids }) => {
      return { type: 'rollback', choice, from: ids.length, reason: 'node_lost' }
    })
  }

  /** Those of them that the client does not have. */
  missing({ first, vectors }: Vectors): Vectors[] {
    const news: Vectors[] = []
    for (const [at, vector] of vectors.entries()) {
      if (this.#hash.has(first + at)) continue
      news.push({ type: 'vectors', first: first + at, vectors: [vector] })
    }
    for (const each of news) this.#hash.vectors(each)
    return news
  }

  /** What the others did goes into one entry, with what came after it. */
  takeShares(): Share[] {
    return this.#shares.splice(0)
  }

  /** The end of an attempt as that of the whole answer. */
  whole(done: Done, inputTokens: number): Done {
    const { usage } = done
    const counted = {
      inputTokens: usage.inputTokens || inputTokens,
      outputTokens: this.outputTokens,
    }
    return { ...done, usage: { ...usage, ...counted } }
  }

  /** Of what the client has. */
  digest(): Uint8Array {
    return this.#hash.digest()
  }
}
