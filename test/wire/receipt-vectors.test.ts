import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { PeerError } from '../../src/base/errors.ts'
import { verify } from '../../src/identity/verify.ts'
import { createVerifyNative } from '../../src/identity/verify-native.ts'
import { parseCid, rawCid, ryv1Cid } from '../../src/wire/cid.ts'
import { readProof } from '../../src/wire/proof.ts'
import {
  openDigest,
  openPayload,
  openReceiptHolds,
  receiptDigest,
  receiptHolds,
  receiptPayload,
} from '../../src/wire/receipt.ts'
import { guessesHash, ResultHasher, vectorsHash } from '../../src/wire/result-hash.ts'

interface Choice {
  content: string
  reasoning_content: string
  tool_calls: { name: string; arguments: string }[]
}

interface OpenJson {
  job_id: string
  node_pk: string
  prompt_root: string
  input_tokens: number
  signature: string
}

/** Those of the fields are there that its message says. */
interface Case {
  name: string
  message: string
  receipt: OpenJson
  payload: string
  digest: string
  cid: string
  multiformats_cid: string
  text: string
  kind: string
  choices?: Choice[]
  vectors?: string[]
  guesses?: number[]
  nonce?: string
  hash: string
  error: string
}

const read = (name: string): Case[] =>
  JSON.parse(readFileSync(`protocols/receipt/vectors/${name}.json`, 'utf8')).cases

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'))
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const native = createVerifyNative()

/** Through the file of a proof, whose reader is the one for receipts as JSON. */
function readReceipt(receipt: object) {
  const file = {
    object: 'receipt_proof',
    version: 'PNV1',
    network: 'vectors',
    receipt,
    entries: [],
  }
  return readProof(JSON.stringify(file)).receipt
}

const readOpen = (json: OpenJson) => ({
  jobId: json.job_id,
  nodePk: bytes(json.node_pk),
  promptRoot: bytes(json.prompt_root),
  inputTokens: json.input_tokens,
  signature: new Uint8Array(Buffer.from(json.signature, 'base64')),
})

function hashOf({ choices, vectors, guesses, nonce }: Case): Uint8Array {
  if (vectors !== undefined) {
    return vectorsHash(vectors.map((vector) => new Float32Array(bytes(vector).buffer)))
  }
  if (guesses !== undefined) return guessesHash(guesses, nonce === undefined ? nonce : bytes(nonce))
  const salt = nonce === undefined ? {} : { nonce: bytes(nonce) }
  const hasher = new ResultHasher({ choices: choices?.length ?? 0, ...salt })
  choices?.forEach(({ content, reasoning_content, tool_calls }, at) => {
    hasher.reasoning(at, reasoning_content)
    hasher.text(at, content)
    tool_calls.forEach((call, index) => {
      hasher.tool(at, index, { name: call.name, piece: call.arguments })
    })
  })
  return hasher.digest()
}

const checks: Record<string, (vector: Case) => void> = {
  Receipt({ receipt, payload, digest, cid, multiformats_cid }) {
    const found = readReceipt(receipt)
    expect(receiptPayload(found)).toBe(payload)
    expect(hex(receiptDigest(found))).toBe(digest)
    expect(ryv1Cid(receiptDigest(found))).toBe(cid)
    expect(rawCid(receiptDigest(found))).toBe(multiformats_cid)
    expect(receiptHolds(found, native) && receiptHolds(found, verify)).toBe(true)
  },
  OpenReceipt({ receipt, payload, digest }) {
    const found = readOpen(receipt)
    expect(openPayload(found)).toBe(payload)
    expect(hex(openDigest(found))).toBe(digest)
    expect(openReceiptHolds(found, native)).toBe(true)
  },
  Cid({ text, kind, digest }) {
    const cid = parseCid(text)
    expect([cid.kind, hex(cid.digest)]).toEqual([kind, digest])
  },
  Result: (vector) => expect(hex(hashOf(vector))).toBe(vector.hash),
}

/** The code with which a bad one is refused. */
function codeOf(vector: Case): string | undefined {
  try {
    if (vector.message === 'Cid') parseCid(vector.text)
    if (vector.message === 'OpenReceipt') {
      const open = readOpen(vector.receipt)
      openPayload(open)
      return openReceiptHolds(open, native) ? undefined : 'bad_signature'
    }
    if (vector.message === 'Receipt') {
      const receipt = readReceipt(vector.receipt)
      const verdicts = [receiptHolds(receipt, native), receiptHolds(receipt, verify)]
      expect(verdicts[0]).toBe(verdicts[1])
      return verdicts[0] ? undefined : 'bad_signature'
    }
  } catch (error) {
    return error instanceof PeerError ? error.code : `${error}`
  }
  return undefined
}

describe('the vectors of receipt', () => {
  it.each(read('good').map((each) => [each.message, each.name, each] as const))(
    '%s: %s',
    (message, _, vector) => {
      expect(checks).toHaveProperty(message)
      checks[message]?.(vector)
    },
  )

  it.each(read('bad').map((each) => [each.message, each.name, each] as const))(
    '%s: %s is refused',
    (_, __, vector) => expect(codeOf(vector)).toBe(vector.error),
  )
})
