import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { identityFromSeed } from '../../../src/identity/identity.ts'
import { ryv1Cid } from '../../../src/wire/cid.ts'
import { proofJson } from '../../../src/wire/proof.ts'
import { receiptDigest, signReceipt } from '../../../src/wire/receipt.ts'
import type { Answer } from '../../../testnet/scenario/answer.ts'
import { checkReceipts, PRICE } from '../../../testnet/scenario/receipts-check.ts'
import { stubServer } from './stub-server.ts'

const { signal } = new AbortController()
const identities = [1, 2, 3].map((seed) => identityFromSeed(new Uint8Array(32).fill(seed)))
const [coordinator, lost, last] = identities as [Id, Id, Id]
type Id = ReturnType<typeof identityFromSeed>

const INPUT = 5
/** What the first wrote, what of that it signed, and what the other wrote. */
const [WRITTEN, SIGNED, REST] = [40, 32, 20]
const text = 'the whole answer'

function receiptOf(by: Id, jobId: string, units: number, about: string) {
  const resultHash = new Uint8Array(createHash('sha256').update(about).digest())
  const fields = { jobId, nodePk: by.publicKey, resultHash, meteringUnits: units }
  const receipt = signReceipt(fields, (message) => by.sign(message))
  const proof = proofJson({ network: 'test', receipt, entries: [] })
  const cid = ryv1Cid(receiptDigest(receipt))
  return { cid, shown: { object: 'receipt', version: 'RYV1', ...proof.receipt, proof } }
}

const whole = receiptOf(coordinator, 'job_1', INPUT + WRITTEN + REST, text)
const first = receiptOf(lost, `job_1.1#${SIGNED - 1}`, INPUT + SIGNED, 'the')
const second = receiptOf(last, 'job_1.2', INPUT + REST, 'whole answer')

const amounts = [
  Math.floor((SIGNED * PRICE.output) / 1000),
  Math.ceil((INPUT * PRICE.input + REST * PRICE.output) / 1000),
] as const

function routing() {
  const part = (by: Id, { cid }: typeof whole, status: string, output: number) => ({
    ...{ cid, node: by.peerId, status, tokens: { input: INPUT, output } },
  })
  return {
    ...{ ryv1_cid: whole.cid, verified: true, verdict: 'ok' },
    usage: { input_tokens: INPUT, output_tokens: WRITTEN + REST },
    payment: {
      amount: String(amounts[0] + amounts[1]),
      payouts: amounts.map((amount) => ({ amount: String(amount) })),
    },
    parts: [part(lost, first, 'segment', WRITTEN), part(last, second, 'final', REST)],
  }
}

const answer = {
  ...{ requestId: 'req_1', receipt: whole.cid, text, resumed: 1 },
  nodes: [lost.peerId, last.peerId],
  ...{ inputTokens: INPUT, outputTokens: WRITTEN + REST },
} as Answer

/** What is found where a log says this, and shows these. */
async function problems(
  said: ReturnType<typeof routing>,
  changes: { shown?: object; answer?: Partial<Answer> } = {},
): Promise<string[]> {
  const all = [whole, first, second].map(({ cid, shown }) => [cid, shown] as const)
  const shown = { ...Object.fromEntries(all), ...changes.shown }
  const routes = Object.entries(shown).map(([cid, json]) => [`/v8/receipts/${cid}`, json] as const)
  const peer = await stubServer(
    Object.fromEntries(
      [...routes, ['/v1/receipts/req_1', said] as const].map(([path, json]) => [
        path,
        (response) => void response.end(JSON.stringify(json)),
      ]),
    ),
  )
  return (await checkReceipts(peer, { ...answer, ...changes.answer }, { signal })).problems
}

describe('the receipts of an answer', () => {
  it('are found to add up', async () => {
    expect(await problems(routing())).toEqual([])
  })

  type Said = ReturnType<typeof routing>
  const lastPart = ({ parts }: Said) => parts[1] as Said['parts'][number]

  it.each<[what: string, change: (said: Said) => void, problem: RegExp]>([
    ['another receipt', (said) => (said.ryv1_cid = first.cid), /another receipt/],
    ['a bad signature', (said) => (said.verified = false), /does not hold/],
    ['a dispute', (said) => (said.verdict = 'dispute'), /disputed/],
    ['a count', (said) => said.usage.output_tokens++, /61 tokens, the client was told 60/],
    ['a sum', (said) => (said.payment.amount = '1'), /the parts cost 110, the whole 1/],
    ['a lost token', (said) => void lastPart(said).tokens.output--, /have 59 tokens/],
    ['a price', (said) => void lastPart(said).tokens.input++, /should cost 111/],
    ['a stranger', (said) => Object.assign(lastPart(said), { node: 'x' }), /did nothing/],
    ['a receipt that is nowhere', (said) => Object.assign(lastPart(said), { cid: 'x' }), /404/],
  ])('are found not to, by %s', async (_what, change, problem) => {
    const said = routing()
    change(said)
    expect((await problems(said)).join('\n')).toMatch(problem)
  })

  it('are found not to be about another text, or not to be signed', async () => {
    const other = { answer: { text: 'another answer' } }
    expect((await problems(routing(), other)).join()).toMatch(/the one that the receipt is about/)
    const signature = second.shown.signature.replace(/^./, (each) => (each === 'A' ? 'B' : 'A'))
    const unsigned = { ...second.shown, signature, proof: undefined }
    const shown = { [second.cid]: unsigned }
    expect((await problems(routing(), { shown })).join()).toMatch(second.cid)
  })
})
