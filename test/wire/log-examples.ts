import { sha256 } from '@noble/hashes/sha2.js'
import { type Identity, identityFromSeed } from '../../src/identity/identity.ts'
import {
  encodeEntry,
  executionEntry,
  routingEntry,
  type SealedEntry,
} from '../../src/wire/entry.ts'
import type { Execution } from '../../src/wire/execution.ts'
import type { Signed } from '../../src/wire/generate.ts'
import { signHead } from '../../src/wire/head.ts'
import type { Batch } from '../../src/wire/log-batch.ts'
import { leafHash, Peaks } from '../../src/wire/merkle.ts'
import { proveConsistency, proveInclusion, type ReadNodes } from '../../src/wire/merkle-proof.ts'
import { cidModelId } from '../../src/wire/model-id.ts'
import { segmentJobId, signOpenReceipt, signReceipt } from '../../src/wire/receipt.ts'
import { type Routing, signRouting } from '../../src/wire/routing.ts'
import type { Found } from '../../src/wire/sync.ts'

// Two peers, and one job that the one did for the other.

export const network = 'vectors'
export const provider = identityFromSeed(new Uint8Array(32).fill(1))
export const coordinator = identityFromSeed(new Uint8Array(32).fill(2))
export const signing = { network, sign: (message: Uint8Array) => coordinator.sign(message) }

export const filled = (byte: number, length = 32): Uint8Array => new Uint8Array(length).fill(byte)

const tokens = { input: 14, cached: 0, output: 312 }
const prices = { input: 40, output: 120 }
const times = {
  received: 1_790_000_000_000,
  started: 1_790_000_000_004,
  finished: 1_790_000_009_000,
}
const model = { model: cidModelId(filled(0xab)), modelName: 'llama-3.2-3b', work: 'chat' }

const sign = (message: Uint8Array) => provider.sign(message)
const nodePk = provider.publicKey

export function execution(jobId = 'job_1.1'): Execution {
  const {
    jobId: _,
    nodePk: __,
    ...open
  } = signOpenReceipt({ jobId, nodePk, promptRoot: filled(7), inputTokens: 14 }, sign)
  const resultHash = sha256(new TextEncoder().encode(jobId))
  const fields = { jobId: segmentJobId(jobId, 32), nodePk, resultHash, meteringUnits: 46 }
  const { signature } = signReceipt(fields, sign)
  return {
    receipt: signReceipt({ jobId, nodePk, resultHash, meteringUnits: 326 }, sign),
    open,
    segments: [{ end: 32, units: 46, resultHash, signature }],
    coordinator: coordinator.publicKey,
    ...model,
    tokens,
    price: prices,
    times: { ...times, firstToken: 1_790_000_000_100 },
    finish: ['stop'],
    privacy: 'plain',
    drafting: [],
    region: 'DE',
  }
}

export const routing = (
  parts: Pick<Routing['parts'][number], 'execution' | 'receipt'>[],
): Omit<Routing, 'signature'> => ({
  request: filled(9),
  jobId: 'job_1',
  promptRoot: filled(7),
  coordinator: coordinator.publicKey,
  ...model,
  verdict: 'ok',
  count: 'verified',
  parts: parts.map((part, at) => ({
    node: nodePk,
    jobId: `job_1.${at + 1}`,
    ...part,
    tokens,
    unsignedTail: 0,
    price: prices,
    amount: 39,
    owedTotal: 1000 + at,
    region: 'DE',
  })),
  tokens,
  amount: 39,
  attempts: [{ node: nodePk, outcome: 'ok', ms: 9000 }],
  jurisdiction: 'EU',
  region: 'DE',
  times,
  privacy: 'plain',
  endpoint: '/v1/chat/completions',
  attestation: 'none',
})

/** A log in memory: what a peer that has all of it can show. */
export class ExampleLog {
  readonly entries: SealedEntry[] = []
  readonly #author: Identity
  readonly #epoch: Uint8Array
  readonly #peaks: Peaks[] = [new Peaks()]
  readonly #nodes = new Map<string, Uint8Array>()

  constructor(author: Identity, epoch: Uint8Array = filled(3, 8)) {
    this.#author = author
    this.#epoch = epoch
  }

  append(...entries: SealedEntry[]): this {
    for (const entry of entries) {
      const peaks = this.peaks().copy()
      peaks.append(leafHash(entry.cid.bytes), ({ level, index }, hash) =>
        this.#nodes.set(`${level}/${index}`, hash),
      )
      this.#peaks.push(peaks)
      this.entries.push(entry)
    }
    return this
  }

  peaks(size = this.entries.length): Peaks {
    return this.#peaks[size] ?? new Peaks()
  }

  head(size = this.entries.length): Signed {
    const head = { author: this.#author.publicKey, epoch: this.#epoch, size }
    const sign = (message: Uint8Array) => this.#author.sign(message)
    const root = this.peaks(size).root()
    return signHead({ ...head, root, at: times.finished }, { network, sign })
  }

  read: ReadNodes = (nodes) =>
    nodes.map(({ level, index }) => this.#nodes.get(`${level}/${index}`) ?? new Uint8Array())

  async found(index: number, size = this.entries.length): Promise<Found> {
    const path = await proveInclusion(index, size, this.read)
    return { head: this.head(size), index, entry: this.entries[index]?.bytes ?? filled(0), path }
  }

  async batch(first: number, end: number, size = this.entries.length): Promise<Batch> {
    const entries = this.entries.slice(first, end).map(({ bytes }) => bytes)
    const path = end === size ? [] : await proveConsistency(end, size, this.read)
    return { head: this.head(size), first, entries, path, peaks: [] }
  }
}

/** A job that one provider did: both logs, with other entries around. */
export function oneJob() {
  const note = (at: number) => encodeEntry({ kind: 'note', at, body: { n: at } })
  const done = executionEntry(times.finished, execution())
  const told = routingEntry(
    times.finished,
    signRouting(routing([{ execution: done.cid }]), signing),
  )
  return {
    done,
    told,
    providerLog: new ExampleLog(provider).append(note(1), note(2), done, note(3)),
    coordinatorLog: new ExampleLog(coordinator).append(note(4), told),
  }
}
