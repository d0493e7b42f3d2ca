import { randomBytes } from 'node:crypto'

/** As much as an answer brings to a log: what was done, and who had it done. Its keys stand in their order. */
const key = randomBytes(32)
const signature = randomBytes(64)
const tokens = { input: 32, cached: 0, output: 20 }
const times = { started: 1.79e12, finished: 1.79e12, received: 1.79e12, first_token: 1.79e12 }
const said = { privacy: 'plain', model_name: 'whole', coordinator: key }
const model = 'declared:whole@12D3KooWJqhNqCPB4ZNsmLPZDJtTsEuUqjoyPLPHSMYGUFSVLQwR'

const executionOf = (jobId: string) => ({
  v: 1,
  at: 1.79e12,
  body: {
    open: { signature, prompt_root: key, input_tokens: 32 },
    ...{
      work: 'chat',
      model,
      price: { input: 1000, output: 2000 },
      times,
      finish: ['stop'],
      tokens,
    },
    receipt: { job_id: jobId, node_pk: key, signature, result_hash: key, units: 52 },
    ...{ drafting: [], segments: [], ...said },
  },
  kind: 'execution',
})

const part = { node: key, amount: 72, owed_total: 0, unsigned_tail: 0 }
const routingOf = (jobId: string) => ({
  v: 1,
  at: 1.79e12,
  body: {
    parts: [
      { ...part, job_id: jobId, tokens, price: { input: 1000, output: 2000 }, execution: key },
    ],
    ...{ work: 'chat', count: 'verified', model, times, amount: 72, tokens, verdict: 'ok' },
    ...{ request: key, job_id: jobId, prompt_root: key, endpoint: '/v1/chat/completions' },
    attempts: [{ node: key, outcome: 'ok', ms: 3 }],
    ...{ attestation: 'none', signature, ...said },
  },
  kind: 'routing',
})

type Value = number | string | Uint8Array | readonly Value[] | { readonly [key: string]: Value }

const room = Buffer.alloc(4096)
let end = 0

/** Both in CBOR, and once more what the second one's signature covers. */
export function encodeEntries(jobId: string): void {
  const routing = routingOf(jobId)
  for (const entry of [executionOf(jobId), routing, routing.body]) {
    end = 0
    put(entry)
    room.subarray(0, end)
  }
}

function put(value: Value): void {
  if (typeof value === 'number') head(0, value)
  else if (typeof value === 'string') {
    head(3, value.length)
    end += room.write(value, end, 'latin1')
  } else if (value instanceof Uint8Array) {
    head(2, value.length)
    room.set(value, end)
    end += value.length
  } else if (Array.isArray(value)) {
    head(4, value.length)
    for (const each of value) put(each)
  } else {
    const entries = Object.entries(value)
    head(5, entries.length)
    for (const [name, each] of entries) {
      put(name)
      put(each)
    }
  }
}

function head(major: number, value: number): void {
  if (value < 24) end = room.writeUInt8((major << 5) | value, end)
  else if (value < 256) end = room.writeUInt16BE((major << 13) | (24 << 8) | value, end)
  else if (value < 65_536) {
    end = room.writeUInt16BE(value, room.writeUInt8((major << 5) | 25, end))
  } else end = room.writeDoubleBE(value, room.writeUInt8((major << 5) | 27, end))
}
