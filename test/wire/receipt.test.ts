import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { identityFromSeed } from '../../src/identity/identity.ts'
import { verify } from '../../src/identity/verify.ts'
import { createVerifyNative } from '../../src/identity/verify-native.ts'
import { canonicalJson } from '../../src/wire/canonical-json.ts'
import { Cid, entryCid, parseCid, rawCid, readCid, ryv1Cid } from '../../src/wire/cid.ts'
import {
  openDigest,
  openPayload,
  openReceiptHolds,
  type Receipt,
  receiptDigest,
  receiptHolds,
  receiptPayload,
  segmentJobId,
  segmentReceipt,
  signOpenReceipt,
  signReceipt,
} from '../../src/wire/receipt.ts'
import { ResultHasher, vectorsHash } from '../../src/wire/result-hash.ts'
import { me, other } from './arbitraries.ts'
import { refusalOf } from './hostile.ts'

const native = createVerifyNative()
const sha256 = (...parts: (string | Uint8Array)[]): Uint8Array => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return new Uint8Array(hash.digest())
}
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

describe('the published vector', () => {
  const node = identityFromSeed(Uint8Array.from({ length: 32 }, (_, at) => at + 1))
  const hasher = new ResultHasher({ choices: 1 })
  for (const piece of ['Hello! How can', ' I help you ', 'today?']) hasher.text(0, piece)
  const fields = {
    jobId: 'job_1',
    nodePk: node.publicKey,
    resultHash: hasher.digest(),
    meteringUnits: 1,
  }
  const receipt = signReceipt(fields, (message) => node.sign(message))

  it('comes out bit for bit', () => {
    const digest = '9eeb6b2c601d2e5b5ab411b6f526c20a154d86030f6096fdd75ce5e844f3600a'
    expect(hex(node.publicKey)).toBe(
      '79b5562e8fe654f94078b112e8a98ba7901f853ae695bed7e0e3910bad049664',
    )
    expect(hex(receipt.resultHash)).toBe(
      'fda564ba3f7a0f028106d468420f674898ed99ac5bf2765ac9586206e39d73c5',
    )
    expect(receiptPayload(receipt)).toBe(
      `RYV1|receipt|job_1|${hex(node.publicKey)}|${hex(receipt.resultHash)}|1`,
    )
    expect(hex(receiptDigest(receipt))).toBe(digest)
    expect(Buffer.from(receipt.signature).toString('base64')).toBe(
      '00teUGCEvvOooZXgywR57qXQSy3oiLPOioaCM+d7WUU4bJNzzT/LzP/L/uvVOhnCMU2nLxmWINZvjLh/iSDsDg==',
    )
    expect(ryv1Cid(receiptDigest(receipt))).toBe(`ryv1:sha256:${digest}`)
  })

  it('holds for both verifiers', () => {
    expect(receiptHolds(receipt, native)).toBe(true)
    expect(receiptHolds(receipt, verify)).toBe(true)
  })
})

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const fields = fc.record({
  jobId: fc.stringMatching(/^[A-Za-z0-9_.#-]{1,128}$/),
  nodePk: fc.constant(me.publicKey),
  resultHash: bytes(32),
  meteringUnits: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
})

describe('a receipt', () => {
  it('holds, and no longer once anything in it is another', () => {
    fc.assert(
      fc.property(fields, fc.nat({ max: 31 }), (fields, at) => {
        const receipt = signReceipt(fields, (message) => me.sign(message))
        expect(receiptHolds(receipt, native)).toBe(true)
        const flipped = (bytes: Uint8Array) => bytes.with(at, (bytes[at] ?? 0) ^ 1)
        const changes: Partial<Receipt>[] = [
          { jobId: `${receipt.jobId.slice(1)}~` },
          { jobId: `x${receipt.jobId}`.slice(0, 128) },
          { nodePk: other.publicKey },
          { resultHash: flipped(receipt.resultHash) },
          { meteringUnits: receipt.meteringUnits - 1 },
          { signature: flipped(receipt.signature) },
          { signature: receipt.signature.slice(1) },
        ]
        for (const change of changes) {
          const changed = { ...receipt, ...change }
          if (changed.jobId === receipt.jobId && change.jobId !== undefined) continue
          expect(receiptHolds(changed, native)).toBe(false)
        }
      }),
    )
  })

  it('is none where a field could reach into the next', () => {
    const good = { jobId: 'a', nodePk: me.publicKey, resultHash: me.publicKey, meteringUnits: 1 }
    const wrong = [
      { jobId: '' },
      { jobId: 'a|b' },
      { jobId: 'a\n' },
      { jobId: 'ä' },
      { jobId: 'a'.repeat(129) },
      { nodePk: me.publicKey.slice(1) },
      { resultHash: new Uint8Array(33) },
      { meteringUnits: 0 },
      { meteringUnits: -1 },
      { meteringUnits: 1.5 },
      { meteringUnits: Number.NaN },
      { meteringUnits: 2 ** 53 },
    ]
    for (const change of wrong) {
      const fields = { ...good, ...change }
      expect(refusalOf(() => receiptPayload(fields))?.code).toBe('malformed')
      expect(receiptHolds({ ...fields, signature: new Uint8Array(64) }, () => true)).toBe(false)
    }
  })

  it('of no work counts one unit', () => {
    const none = { jobId: 'a', nodePk: me.publicKey, resultHash: me.publicKey, meteringUnits: 0 }
    const receipt = signReceipt(none, (message) => me.sign(message))
    expect(receipt.meteringUnits).toBe(1)
    expect(receiptHolds(receipt, native)).toBe(true)
  })

  it('of a segment is named by the last token in it', () => {
    expect(segmentJobId('job_1.2', 32)).toBe('job_1.2#31')
    const resultHash = sha256('so far')
    const jobId = segmentJobId('job_1', 1)
    const whole = { jobId, nodePk: me.publicKey, resultHash, meteringUnits: 9 }
    const { signature } = signReceipt(whole, (message) => me.sign(message))
    const segment = { end: 1, units: 9, resultHash, signature }
    const receipt = segmentReceipt({ jobId: 'job_1', nodePk: me.publicKey }, segment)
    expect(receipt.jobId).toBe('job_1#0')
    expect(receiptHolds(receipt, native)).toBe(true)
  })
})

describe('an open receipt', () => {
  const fields = {
    jobId: 'job_1',
    nodePk: me.publicKey,
    promptRoot: sha256('root'),
    inputTokens: 0,
  }
  const receipt = signOpenReceipt(fields, (message) => me.sign(message))

  it('is signed over its own text', () => {
    const payload = `RYV1|open|job_1|${hex(me.publicKey)}|${hex(fields.promptRoot)}|0`
    expect(openPayload(fields)).toBe(payload)
    expect(openDigest(fields)).toEqual(sha256(payload))
    expect(openReceiptHolds(receipt, native)).toBe(true)
  })

  it('does not hold for anything else', () => {
    const changes = [
      { inputTokens: 1 },
      { inputTokens: -1 },
      { jobId: 'job_2' },
      { promptRoot: sha256('other') },
      { nodePk: other.publicKey },
    ]
    for (const change of changes) {
      expect(openReceiptHolds({ ...receipt, ...change }, native)).toBe(false)
    }
    const final = { ...receipt, resultHash: receipt.promptRoot, meteringUnits: 0 }
    expect(receiptHolds(final, native)).toBe(false)
  })
})

describe('the hash of a result', () => {
  const texts = fc.array(fc.string({ unit: 'binary', maxLength: 12 }), { maxLength: 12 })
  const salts = fc.oneof(bytes(0), bytes(32))

  it('of one plain text is that of its UTF-8, however it was cut', () => {
    fc.assert(
      fc.property(texts, fc.array(fc.nat({ max: 150 })), salts, (pieces, cuts, nonce) => {
        const text = pieces.join('')
        const hasher = new ResultHasher({ choices: 1, nonce })
        const ends = [...cuts.filter((cut) => cut < text.length).sort((a, b) => a - b), text.length]
        let from = 0
        for (const end of ends) {
          hasher.text(0, text.slice(from, end))
          from = end
          const utf8 = new TextEncoder().encode(text.slice(0, end))
          expect(hasher.digest()).toEqual(sha256(nonce, utf8))
        }
      }),
    )
  })

  it('of anything else is that of the canonical JSON of all choices', () => {
    const hasher = new ResultHasher({ choices: 1 })
    hasher.text(0, 'Grüße ')
    expect(hasher.digest()).toEqual(sha256('Grüße '))
    hasher.tool(0, 0, { name: 'look_up', piece: '{"b":' })
    hasher.tool(0, 0, { name: '', piece: '1}' })
    hasher.tool(0, 1, { name: 'end', piece: '' })
    hasher.reasoning(0, 'why ')
    hasher.reasoning(0, 'not')
    const json =
      '[{"content":"Grüße ","reasoning_content":"why not","tool_calls":' +
      '[{"arguments":"{\\"b\\":1}","name":"look_up"},{"arguments":"","name":"end"}]}]'
    expect(hasher.digest()).toEqual(sha256(json))
  })

  it('of several choices has them in their order, also the empty ones', () => {
    const hasher = new ResultHasher({ choices: 3 })
    hasher.text(2, 'c')
    hasher.text(0, 'a')
    const choice = (content: string) => ({ content, reasoning_content: '', tool_calls: [] })
    expect(hasher.digest()).toEqual(sha256(canonicalJson([choice('a'), choice(''), choice('c')])))
  })

  it('is that of the nonce and the same bytes where it is salted', () => {
    const nonce = new Uint8Array(32).fill(5)
    const plain = new ResultHasher({ choices: 1, nonce })
    plain.text(0, 'yes')
    expect(plain.digest()).toEqual(sha256(nonce, 'yes'))
    const many = new ResultHasher({ choices: 2, nonce })
    const none = '{"content":"","reasoning_content":"","tool_calls":[]}'
    expect(many.digest()).toEqual(sha256(nonce, `[${none},${none}]`))
  })

  it('of vectors is that of their numbers, little-endian', () => {
    const vectors = [Float32Array.of(1, -0.5), new Float32Array([9, 2, 3]).subarray(1)]
    const numbers = '0000803f000000bf0000004000004040'
    expect(vectorsHash(vectors)).toEqual(sha256(Buffer.from(numbers, 'hex')))
    const nonce = new Uint8Array(32).fill(5)
    expect(vectorsHash(vectors, nonce)).toEqual(sha256(nonce, Buffer.from(numbers, 'hex')))
  })

  it('takes no choice and no call that there is none of', () => {
    const hasher = new ResultHasher({ choices: 1 })
    expect(() => hasher.text(1, 'x')).toThrow(RangeError)
    expect(() => hasher.tool(0, 1, { name: 'x', piece: '' })).toThrow(RangeError)
  })
})

describe('a CID', () => {
  it('is read in every spelling that it is written in', () => {
    fc.assert(
      fc.property(bytes(32), (digest) => {
        const receipt = new Cid('receipt', digest)
        expect(parseCid(ryv1Cid(digest))).toEqual(receipt)
        expect(parseCid(rawCid(digest))).toEqual(receipt)
        const entry = new Cid('entry', digest)
        expect(parseCid(`${entry}`)).toEqual(entry)
        for (const cid of [receipt, entry]) expect(readCid(cid.bytes, 'Test.cid')).toEqual(cid)
      }),
    )
  })

  it('is what others make of the same bytes', () => {
    expect(rawCid(sha256('hello'))).toBe(
      'bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq',
    )
    expect(`${entryCid(Uint8Array.of(0xa0))}`).toBe(
      'bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua',
    )
  })

  const good = rawCid(sha256('hello'))
  it.each([
    '',
    'ryv1:sha256:',
    `ryv1:sha256:${'a'.repeat(63)}`,
    `ryv1:sha256:${'A'.repeat(64)}`,
    `RYV1:sha256:${'a'.repeat(64)}`,
    `ryv1:sha512:${'a'.repeat(64)}`,
    ` ${good}`,
    `${good}\n`,
    good.toUpperCase(),
    good.slice(0, -1),
    `${good}a`,
    `${good.slice(0, -1)}r`,
    'bafkqaaa',
    'bafkqabdjmq',
    'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG',
    'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi',
    `z${good}`,
    'a'.repeat(100_000),
  ])('%j is none', (text) => {
    expect(refusalOf(() => parseCid(text))?.code).toBe('invalid_cid')
  })

  it.each([
    '',
    '01551220',
    `01551220${'00'.repeat(31)}`,
    `01551220${'00'.repeat(33)}`,
    `01550020${'00'.repeat(32)}`,
    `01701220${'00'.repeat(32)}`,
    `1220${'00'.repeat(32)}`,
  ])('the bytes %s are none', (hex) => {
    const refusal = refusalOf(() => readCid(Buffer.from(hex, 'hex'), 'Get.cid'))
    expect(refusal?.code).toBe('malformed')
  })
})
