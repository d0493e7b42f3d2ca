import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { PeerError } from '../../src/base/errors.ts'
import type { WireJob } from '../../src/wire/generate.ts'
import { type ChatWork, limits, type Sampling, type Work } from '../../src/wire/job.ts'
import {
  decodeWork,
  encodeWork,
  openBody,
  openResumes,
  packBody,
  packResumes,
  promptRoot,
} from '../../src/wire/job-body.ts'
import { rounds } from '../campaign.ts'
import { completionWork, embeddingWork, resumes, wireJob } from './arbitraries.ts'
import { chatWork } from './chat-arbitraries.ts'
import { refusalOf } from './hostile.ts'

/** No schema can say this. */
const isBeyond = ({ message, param = '' }: PeerError): boolean =>
  /times prompts|\bgo(es)? (with|together)\b/.test(message) ||
  (/\.(parameters|schema)$/.test(param) && !message.includes('is not a string'))

const work: fc.Arbitrary<Work> = fc.oneof(chatWork, completionWork, embeddingWork)
const nonce = new Uint8Array(32).fill(7)
const [someJob] = fc.sample(wireJob, { seed: 1, numRuns: 1 }) as [WireJob]

const schema = JSON.parse(readFileSync('protocols/generate/body.schema.json', 'utf8'))
const ajv = new Ajv2020({ strict: true, allowUnionTypes: true })
ajv.addSchema(schema, 'body')
const kinds = ['chat', 'completion', 'embedding'] as const
const checks = Object.fromEntries(
  kinds.map((kind) => [kind, ajv.compile({ $ref: `body#/$defs/${kind}` })]),
)

describe('the body of a job', () => {
  it('comes back as it was', () => {
    fc.assert(
      fc.property(work, (value) => {
        const body = encodeWork(value)
        // JSON has no minus zero.
        expect(decodeWork(value.kind, body)).toEqual(withoutMinusZero(value))
        expect(encodeWork(decodeWork(value.kind, body))).toEqual(body)
      }),
    )
  })

  it('changed, is read or refused as the JSON schema says', () => {
    const part = fc.oneof(
      fc.jsonValue({ maxDepth: 1 }),
      fc.constantFrom(0, 1, -1, 2.5, 129, 2 ** 53, '', 'user', [], {}, null, undefined),
    )
    fc.assert(
      fc.property(work, fc.nat(), part, fc.boolean(), (value, at, replacement, add) => {
        const body = JSON.parse(Buffer.from(encodeWork(value)).toString())
        change(body, at, replacement, add)
        const refusal = refusalOf(() => decodeWork(value.kind, canonical(body)))
        const beyond = refusal !== undefined && isBeyond(refusal)
        expect(checks[value.kind]?.(JSON.parse(JSON.stringify(body)))).toBe(
          refusal === undefined || beyond,
        )
      }),
      { numRuns: rounds(300, 20_000) },
    )
  })

  it('has no fields that are not known: they would change what is asked for', () => {
    const base = JSON.parse(Buffer.from(encodeWork(simple)).toString())
    const strange: [unknown, string][] = [
      [{ ...base, tools: [] }, 'tools'],
      [{ ...base, sampling: { ...base.sampling, min_p: 0.1 } }, 'sampling.min_p'],
      [{ ...base, messages: [{ role: 'user', content: '', name: 'x' }] }, 'messages[0].name'],
    ]
    for (const [body, param] of strange) {
      expect(refusalOf(() => decodeWork('chat', canonical(body)))).toMatchObject({
        code: 'unsupported_field',
        action: 'ignore',
        param,
      })
    }
    const proto = Buffer.from('{"__proto__":[],"inputs":["a"]}')
    expect(refusalOf(() => decodeWork('embedding', proto))?.code).toBe('unsupported_field')
    const tool = { ...base, messages: [{ role: 'tool', content: '' }] }
    expect(refusalOf(() => decodeWork('chat', canonical(tool)))?.code).toBe('unsupported_value')
  })

  it('of a kind that this version does not do is refused by that name', () => {
    for (const kind of ['unknown', 'image', 'score'] as const) {
      expect(refusalOf(() => decodeWork(kind, encodeWork(simple)))).toMatchObject({
        code: 'unsupported_kind',
        action: 'ignore',
      })
    }
  })

  it('of a draft is that of the job that is drafted for', () => {
    const prompts: Work = { kind: 'completion', prompts: ['a'], sampling }
    for (const work of [simple, prompts]) {
      const { bytes, fields } = packBody(work, new Uint8Array(32), 'draft')
      expect(fields.kind).toBe('draft')
      expect(decodeWork('draft', bytes)).toEqual(work)
    }
    const vectors = encodeWork({ kind: 'embedding', inputs: ['a'] })
    expect(refusalOf(() => decodeWork('draft', vectors))?.code).toBe('unsupported_field')
  })

  it('is bounded as a client’s request is', () => {
    const stops = (stop: string[]) => ({ ...simple, sampling: { ...sampling, stop } })
    const accepts = (value: Work) => refusalOf(() => decodeWork(value.kind, encodeWork(value)))
    expect(accepts(stops(['é'.repeat(limits.stopBytesMax / 2)]))).toBeUndefined()
    expect(accepts(stops(['é'.repeat(limits.stopBytesMax / 2 + 1)]))?.code).toBe('malformed')
    const prompts = Array.from({ length: 64 }, () => 'x')
    const times = (choices: number): Work => ({
      kind: 'completion',
      prompts,
      sampling: { ...sampling, choices },
    })
    expect(accepts(times(2))).toBeUndefined()
    expect(accepts(times(3))?.code).toBe('malformed')
    const messages = Array.from({ length: limits.messagesMax }, () => ({
      role: 'user' as const,
      content: '[{,',
    }))
    const logitBias = Array.from({ length: limits.logitBiasMax }, (_, n) => [n, 1] as const)
    const largest = { ...simple, messages, sampling: { ...sampling, logitBias } }
    expect(accepts(largest as Work)).toBeUndefined()
    expect(accepts({ ...simple, messages: [...messages, ...messages] })?.code).toBe('malformed')
  })

  it('has schemas of so much text together', () => {
    const parameters = JSON.stringify({ description: 'd'.repeat(600_000) })
    const offers = (count: number) => {
      const functions = Array.from({ length: count }, (_, at) => ({ name: `f${at}`, parameters }))
      return refusalOf(() => decodeWork('chat', encodeWork({ ...simple, functions })))
    }
    expect(offers(1)).toBeUndefined()
    expect(offers(2)?.param).toBe('functions[1].parameters')
  })

  it('asks for no more tokens than a job can', () => {
    const greedy = { ...simple, sampling: { ...sampling, maxTokens: 1e15 } }
    const { bytes, fields } = packBody(greedy, nonce)
    expect(fields.maxOutputTokens).toBe(2 ** 32 - 1)
    expect(openBody({ ...someJob, ...fields }, bytes)).toMatchObject({
      sampling: { maxTokens: 2 ** 32 - 1 },
    })
  })

  it('has half characters replaced, as it is sent in UTF-8', () => {
    const half: Work = { kind: 'embedding', inputs: ['a\ud83d'] }
    expect(decodeWork('embedding', encodeWork(half))).toEqual({ ...half, inputs: ['a\ufffd'] })
  })
})

describe('a job and its body', () => {
  it('belong together', () => {
    fc.assert(
      fc.property(work, wireJob, (value, other) => {
        const { bytes, fields } = packBody(value, nonce)
        const job = { ...other, ...fields }
        expect(encodeWork(openBody(job, bytes))).toEqual(bytes)
        const hmac = createHmac('sha256', nonce).update(bytes).digest()
        expect(Buffer.from(promptRoot(nonce, bytes))).toEqual(hmac)
      }),
    )
  })

  it('are refused when they do not', () => {
    const { bytes, fields } = packBody(simple, nonce)
    const job = { ...someJob, ...fields }
    const misfits: [Partial<WireJob>, string][] = [
      [{ bodyBytes: bytes.length + 1 }, 'Job.body_bytes'],
      [{ promptNonce: new Uint8Array(32) }, 'Job.prompt_root'],
      [{ seed: 6 }, 'Job.seed'],
      [{ maxOutputTokens: 9 }, 'Job.max_output_tokens'],
    ]
    for (const [change, param] of misfits) {
      expect(refusalOf(() => openBody({ ...job, ...change }, bytes))).toMatchObject({
        code: 'malformed',
        param,
      })
    }
    expect(refusalOf(() => openBody({ ...job, kind: 'image' }, bytes))?.code).toBe(
      'unsupported_kind',
    )
  })
})

describe('resumes', () => {
  it('belong to their job', () => {
    fc.assert(
      fc.property(resumes, (value) => {
        const { bytes, fields } = packResumes(value)
        const job = { ...someJob, ...fields }
        expect(openResumes(job, bytes)).toEqual(value)
        const longer = Buffer.concat([bytes, Uint8Array.of(0)])
        expect(refusalOf(() => openResumes(job, longer))?.param).toBe('Job.resume_bytes')
        if (bytes.length === 0) return
        const changed = bytes.with(0, 0x12)
        expect(refusalOf(() => openResumes(job, changed))?.param).toBe('Job.resume_hash')
      }),
    )
  })
})

const sampling: Sampling = {
  temperature: 0.7,
  topP: 1,
  seed: 5,
  choices: 1,
  stop: [],
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: [],
}

const simple: ChatWork = { kind: 'chat', messages: [{ role: 'user', content: 'Hi' }], sampling }

function withoutMinusZero<T>(value: T): T {
  return JSON.parse(JSON.stringify(value))
}

function canonical(body: unknown): Uint8Array {
  const sorted = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(sorted)
    if (typeof value !== 'object' || value === null) return value
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
    return Object.fromEntries(entries.map(([key, member]) => [key, sorted(member)]))
  }
  return Buffer.from(JSON.stringify(sorted(body)))
}

/** Replaces one of the values in `body`, or adds a member beside it. */
function change(body: unknown, at: number, replacement: unknown, add: boolean): void {
  const places: [holder: Record<string, unknown>, key: string][] = []
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return
    for (const key of Object.keys(value)) {
      const holder = value as Record<string, unknown>
      places.push([holder, key])
      visit(holder[key])
    }
  }
  visit(body)
  const [holder, key] = places[at % places.length] ?? [{}, '']
  if (Array.isArray(holder)) holder[Number(key)] = replacement ?? null
  else holder[add ? `${key}x` : key] = replacement
}
