import { sha256 } from '@noble/hashes/sha2.js'
import { identityFromSeed } from '../../src/identity/identity.ts'
import type { Execution } from '../../src/wire/execution.ts'
import { cidModelId } from '../../src/wire/model-id.ts'
import { segmentJobId, signOpenReceipt, signReceipt } from '../../src/wire/receipt.ts'
import type { Routing } from '../../src/wire/routing.ts'

// Two peers, and one job that the one did for the other.

export const network = 'tests'
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
