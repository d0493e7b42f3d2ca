import * as fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { verify } from '../../src/identity/verify.ts'
import { createVerifyNative } from '../../src/identity/verify-native.ts'
import { encodeEntry, executionEntry, routingEntry } from '../../src/wire/entry.ts'
import { segmentReceiptsOf } from '../../src/wire/execution.ts'
import { checkProof, type Proof, proofJson, readProof } from '../../src/wire/proof.ts'
import { receiptDigest, signReceipt } from '../../src/wire/receipt.ts'
import { ResultHasher } from '../../src/wire/result-hash.ts'
import { signRouting } from '../../src/wire/routing.ts'
import { rounds } from '../campaign.ts'
import { refusalOf } from './hostile.ts'
import {
  coordinator,
  ExampleLog,
  execution,
  filled,
  network,
  oneJob,
  provider,
  routing,
  signing,
} from './log-examples.ts'

const native = createVerifyNative()
const options = { verify: native }
const { providerLog, coordinatorLog, done } = oneJob()

let proof: Proof
let text = ''
beforeAll(async () => {
  const entries = [await providerLog.found(2), await coordinatorLog.found(1)]
  proof = { network, receipt: execution().receipt, entries }
  text = JSON.stringify(proofJson(proof), null, 2)
})

describe('a proof', () => {
  it('comes back from its file as it was', () => {
    expect(readProof(text)).toEqual(proof)
  })

  it('holds, needs nothing but itself, and says what it does not prove', () => {
    const report = checkProof(readProof(text), { verify })
    expect(report).toEqual(checkProof(proof, options))
    expect(report.holds).toBe(true)
    expect(report.node).toBe(provider.peerId)
    expect(report.findings.map(({ what }) => what)).toEqual([
      'receipt',
      'entry',
      'entry',
      'execution',
      'routing',
    ])
    const said = report.findings.map(({ says }) => says).join('\n')
    expect(said).toContain(`${done.cid} (execution) is entry 2 of 4 in the log of`)
    expect(said).toContain('found it ok; tokens verified; attestation none')
    expect(report.unproved).toHaveLength(3)
  })

  it('of a receipt alone holds, and says how little that is', () => {
    const report = checkProof({ ...proof, entries: [] }, options)
    expect(report.holds).toBe(true)
    expect(report.unproved.join('\n')).toMatch(/Which model it was.*\n.*Who asked/)
  })

  it('tells whether a text is the one, salted or not', () => {
    for (const nonce of [undefined, filled(8)]) {
      const hasher = new ResultHasher({ choices: 1, ...(nonce && { nonce }) })
      hasher.text(0, 'It is so.')
      const fields = { ...proof.receipt, resultHash: hasher.digest() }
      const receipt = signReceipt(fields, (message) => provider.sign(message))
      const alone = { network, receipt, entries: [] }
      const salt = nonce && { nonce }
      const holds = (answer: string) => checkProof(alone, { ...options, answer, ...salt }).holds
      expect(holds('It is so.')).toBe(true)
      expect(holds('It is not.')).toBe(false)
    }
  })

  it('of a dispute holds, and says that it is one', async () => {
    const body = signRouting(
      { ...routing([{ execution: done.cid }]), verdict: 'dispute', dispute: 'bad_hash' },
      signing,
    )
    const log = new ExampleLog(coordinator).append(routingEntry(1, body))
    const entries = [await providerLog.found(2), await log.found(0)]
    const report = checkProof({ ...proof, entries }, options)
    expect(report.holds).toBe(true)
    expect(report.findings.at(-1)?.says).toContain('disputed: bad_hash')
  })

  it('of an answer that several worked on leads to the part of each', async () => {
    const second = executionEntry(1, execution('job_1.2'))
    const [segment = proof.receipt] = segmentReceiptsOf(execution())
    const nodePk = coordinator.publicKey
    const whole = signReceipt(
      { jobId: 'job_1', nodePk, resultHash: filled(4), meteringUnits: 400 },
      signing.sign,
    )
    const fields = routing([{ receipt: segment }, { execution: second.cid }])
    const told = routingEntry(1, signRouting({ ...fields, whole }, signing))
    const entries = [
      await new ExampleLog(coordinator).append(told).found(0),
      await new ExampleLog(provider).append(second).found(0),
    ]
    for (const receipt of [whole, segment, execution('job_1.2').receipt]) {
      expect(checkProof({ network, receipt, entries }, options).holds).toBe(true)
    }
    const stranger = execution('job_7').receipt
    expect(checkProof({ network, receipt: stranger, entries }, options).holds).toBe(false)
  })
})

describe('a proof does not hold', () => {
  const failing = (changed: Proof) => {
    const report = checkProof(changed, options)
    expect(report.holds).toBe(false)
    return report.findings.filter(({ holds }) => !holds).map(({ what }) => what)
  }

  it('once anything in its receipt is another', () => {
    const { receipt } = proof
    for (const change of [{ meteringUnits: 1 }, { jobId: 'job_1.2' }, { resultHash: filled(1) }]) {
      expect(failing({ ...proof, receipt: { ...receipt, ...change } })).toContain('receipt')
    }
    const other = execution('job_2.1').receipt
    expect(failing({ ...proof, receipt: other })).toEqual(['execution', 'routing'])
  })

  it('for another network', () => {
    expect(failing({ ...proof, network: 'main' })).toEqual(['entry', 'entry'])
  })

  it('where entries stand in the log of another peer', async () => {
    const { told } = oneJob()
    const log = new ExampleLog(coordinator).append(done)
    const entries = [await log.found(0)]
    expect(failing({ ...proof, entries })).toEqual(['execution'])
    const foreign = new ExampleLog(provider).append(done, told)
    const both = [await foreign.found(0), await foreign.found(1)]
    expect(failing({ ...proof, entries: both })).toEqual(['routing'])
  })

  it('where the routing is not signed, or is about another job', async () => {
    const body = { ...oneJob().told.entry.body, amount: 0 }
    const log = new ExampleLog(coordinator).append(routingEntry(1, body))
    const entries = [await providerLog.found(2), await log.found(0)]
    expect(failing({ ...proof, entries })).toEqual(['routing'])
    const other = executionEntry(1, execution('job_9.1'))
    const elsewhere = routingEntry(1, signRouting(routing([{ execution: other.cid }]), signing))
    const strange = new ExampleLog(coordinator).append(elsewhere)
    const mixed = [await providerLog.found(2), await strange.found(0)]
    expect(failing({ ...proof, entries: mixed })).toEqual(['routing'])
  })

  it('where a body is not what its kind is', async () => {
    const broken = encodeEntry({ kind: 'execution', at: 1, body: {} })
    const entries = [await new ExampleLog(provider).append(broken).found(0)]
    expect(failing({ ...proof, entries })).toEqual(['entry'])
  })

  it('once any character of its file is another', () => {
    const compact = JSON.stringify(proofJson(proof))
    const characters = fc.constantFrom(...'0123456789abcdefABCDEF+/="{}[],:. xyz')
    fc.assert(
      fc.property(fc.nat({ max: compact.length - 1 }), characters, (at, character) => {
        const changed = compact.slice(0, at) + character + compact.slice(at + 1)
        const refusal = refusalOf(() => {
          const read = readProof(changed)
          const isSame = JSON.stringify(proofJson(read)) === compact
          expect(checkProof(read, options).holds).toBe(isSame)
        })
        expect([undefined, 'malformed']).toContain(refusal?.code)
      }),
      { numRuns: rounds(300, 10_000) },
    )
  })
})

describe('a file', () => {
  it('that is noise is refused with our own error', () => {
    const noise = fc.oneof(
      fc.string(),
      fc.json(),
      fc.jsonValue().map((value) => JSON.stringify({ ...proofJson(proof), entries: value })),
    )
    fc.assert(
      fc.property(noise, (text) => {
        const refusal = refusalOf(() => readProof(text))
        expect([undefined, 'malformed']).toContain(refusal?.code)
      }),
      { numRuns: rounds(300, 10_000) },
    )
  })

  it.each<[string, (json: ReturnType<typeof proofJson>) => object]>([
    ['of another version', (json) => ({ ...json, version: 'PNV2' })],
    ['of another object', (json) => ({ ...json, object: 'receipt' })],
    ['without a receipt', ({ receipt: _, ...json }) => json],
    ['with 34 entries', (json) => ({ ...json, entries: Array(34).fill(json.entries[0]) })],
    ['of no units', (json) => ({ ...json, receipt: { ...json.receipt, metering_units: 0 } })],
    [
      'with a key in capitals',
      (json) => {
        const node_pk = json.receipt.node_pk.toUpperCase()
        return { ...json, receipt: { ...json.receipt, node_pk } }
      },
    ],
  ])('%s is none', (_, change) => {
    const changed = JSON.stringify(change(proofJson(proof)))
    expect(refusalOf(() => readProof(changed))?.code).toBe('malformed')
  })

  it('may have members of a newer version', () => {
    const json = proofJson(proof)
    const newer = { ...json, mood: 'good', receipt: { ...json.receipt, mood: 1 } }
    expect(readProof(JSON.stringify(newer))).toEqual(proof)
  })

  it('names its receipt as everybody does', () => {
    const { cid } = checkProof(proof, options)
    expect(cid).toBe(`ryv1:sha256:${Buffer.from(receiptDigest(proof.receipt)).toString('hex')}`)
  })
})
