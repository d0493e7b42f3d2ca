import { executionEntry } from '../../../src/wire/entry.ts'
import { signReceipt } from '../../../src/wire/receipt.ts'
import { guessesHash } from '../../../src/wire/result-hash.ts'
import { signRouting } from '../../../src/wire/routing.ts'
import { execution, provider, routing, signing } from '../log-examples.ts'

// What both sides of a paid draft put into their logs.

const drafted = { input: 0, cached: 0, output: 21 }
const draft = {
  ...execution('job_1.d1'),
  receipt: signReceipt(
    {
      ...{ jobId: 'job_1.d1', nodePk: execution().receipt.nodePk, meteringUnits: 21 },
      resultHash: guessesHash([0, 1, 300]),
    },
    (message) => provider.sign(message),
  ),
  ...{ segments: [], work: 'draft', tokens: drafted, finish: ['cancelled'] },
  price: { input: 0, output: 60 },
}
export const draftEntry = executionEntry(5, draft)
const draftTold = {
  ...routing([{ execution: draftEntry.cid }]),
  ...{ jobId: 'job_1.d1', work: 'draft', count: 'bounded' as const, tokens: drafted, amount: 2 },
}
export const draftRouting = signRouting(
  {
    ...draftTold,
    parts: draftTold.parts.map((part) => ({
      ...part,
      ...{ jobId: 'job_1.d1', tokens: drafted, price: draft.price, amount: 2 },
    })),
  },
  signing,
)
