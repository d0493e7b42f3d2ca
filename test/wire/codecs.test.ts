import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type AdvertRequest,
  type Departure,
  decodeAdvertRequest,
  encodeAdvertRequest,
  openAdvert,
  openDeparture,
  signAdvert,
  signDeparture,
} from '../../src/wire/advert-codec.ts'
import type { WireJob } from '../../src/wire/generate.ts'
import {
  decodeFromProvider,
  decodeResumes,
  decodeToProvider,
  encodeFromProvider,
  encodeResumes,
  encodeToProvider,
  openJob,
  signJob,
} from '../../src/wire/generate-codec.ts'
import { decodeStatus, encodeStatus } from '../../src/wire/status-codec.ts'
import { rounds } from '../campaign.ts'
import {
  advert,
  fromProvider,
  me,
  other,
  resumes,
  status,
  toProvider,
  wireJob,
} from './arbitraries.ts'
import { refusalOf, unknownFields } from './hostile.ts'

const network = 'tests'
const ends = { coordinator: me.peerId, provider: other.peerId }

/** One message: how it is made, written and read. */
interface Codec<T> {
  name: string
  any: fc.Arbitrary<T>
  write(value: T): Uint8Array
  read(bytes: Uint8Array): T | undefined
}

const codec = <T>(of: Codec<T>) => of as Codec<unknown>

const request: fc.Arbitrary<AdvertRequest> = fc.oneof(
  fc.constant({ type: 'ask' } as const),
  fc.record({ type: fc.constant('departure'), signed: fc.uint8Array({ maxLength: 40 }) }),
)

const frames = [
  codec({ name: 'ToProvider', any: toProvider, write: encodeToProvider, read: decodeToProvider }),
  codec({
    name: 'FromProvider',
    any: fromProvider,
    write: encodeFromProvider,
    read: decodeFromProvider,
  }),
  codec({ name: 'Request', any: request, write: encodeAdvertRequest, read: decodeAdvertRequest }),
]

const plain = [
  codec({ name: 'Status', any: status, write: encodeStatus, read: decodeStatus }),
  codec({ name: 'Resumes', any: resumes, write: encodeResumes, read: decodeResumes }),
]

const departure: fc.Arbitrary<Departure> = fc.record({
  peerId: fc.constant(me.peerId),
  sequence: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
})

/** Whatever was signed: here it is the payload that counts. */
const unsigned = { network, sign: () => new Uint8Array(64) }
const believing = { network, verify: () => true }

const signed = [
  codec({
    name: 'Advert',
    any: advert,
    write: (value) => signAdvert(value, unsigned),
    read: (bytes) => openAdvert(bytes, believing),
  }),
  codec({
    name: 'Departure',
    any: departure,
    write: (value) => signDeparture(value, unsigned),
    read: (bytes) => openDeparture(bytes, believing),
  }),
  codec<WireJob>({
    name: 'Job',
    any: wireJob,
    write: (value) => encodeToProvider({ type: 'job', job: signJob(value, unsigned) }),
    read(bytes) {
      const frame = decodeToProvider(bytes)
      return frame?.type === 'job' ? openJob(frame.job, { ...ends, ...believing }) : undefined
    },
  }),
]

const all = [...frames, ...plain, ...signed]

describe.each(all)('$name', ({ any, write, read }) => {
  it('comes back as it was', () => {
    fc.assert(
      fc.property(any, (value) => {
        const bytes = write(value)
        expect(read(bytes)).toEqual(value)
        expect(read(Buffer.concat([bytes]))).toEqual(value)
      }),
    )
  })

  it('comes back from the middle of a larger piece of memory, and shares none with it', () => {
    fc.assert(
      fc.property(any, (value) => {
        const bytes = write(value)
        const large = new Uint8Array(bytes.length + 20).fill(255)
        large.set(bytes, 7)
        const back = read(large.subarray(7, 7 + bytes.length))
        large.fill(0)
        expect(back).toEqual(value)
      }),
    )
  })

  it('random bytes are read or refused, never worse', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        refusalOf(() => read(bytes))
      }),
      { numRuns: rounds(300, 20_000) },
    )
  })

  it('changed bytes are read or refused, with a code and what to do', () => {
    const change = fc.record({ at: fc.nat(), byte: fc.nat({ max: 255 }), remove: fc.boolean() })
    fc.assert(
      fc.property(any, fc.array(change, { minLength: 1, maxLength: 4 }), (value, changes) => {
        const bytes = Array.from(write(value))
        for (const { at, byte, remove } of changes) {
          bytes.splice(at % bytes.length || 0, remove ? 1 : 0, byte)
        }
        const refusal = refusalOf(() => read(Uint8Array.from(bytes)))
        if (refusal === undefined) return
        expect(refusal.code).toMatch(
          /^(malformed|unsupported_value|not_yours|not_for_me|bad_signature)$/,
        )
        expect(refusal.action).toBe(refusal.code === 'unsupported_value' ? 'ignore' : 'penalise')
      }),
      { numRuns: rounds(200, 20_000) },
    )
  })

  it('fields of a newer version are passed over', () => {
    fc.assert(
      fc.property(any, unknownFields, (value, strangers) => {
        expect(read(Buffer.concat([strangers, write(value), strangers]))).toEqual(value)
      }),
    )
  })
})

describe('what is cut off', () => {
  it.each(frames)('$name is refused; nothing at all says nothing', ({ any, write, read }) => {
    fc.assert(
      fc.property(any, (value) => {
        const bytes = write(value)
        expect(read(bytes.subarray(0, 0))).toBeUndefined()
        for (let length = 1; length < bytes.length; length++) {
          expect(refusalOf(() => read(bytes.subarray(0, length)))?.code).toBe('malformed')
        }
      }),
    )
  })

  // A message ends where its bytes end: cut between two fields it is a shorter one.
  it.each(plain)('$name is refused, or is a shorter one', ({ any, write, read }) => {
    fc.assert(
      fc.property(any, (value) => {
        const bytes = write(value)
        for (let length = 0; length < bytes.length; length++) {
          const part = bytes.subarray(0, length)
          const refusal = refusalOf(() => expect(write(read(part))).toEqual(part.slice()))
          if (refusal !== undefined) expect(refusal.code).toBe('malformed')
        }
      }),
    )
  })

  it.each(signed)('$name is refused: a signature stands at its end', ({ any, write, read }) => {
    fc.assert(
      fc.property(any, (value) => {
        const bytes = write(value)
        for (let length = 1; length < bytes.length; length++) {
          expect(refusalOf(() => read(bytes.subarray(0, length)))?.code).toBe('malformed')
        }
      }),
      { numRuns: 20 },
    )
  })
})

describe('frames of a newer version', () => {
  it.each(frames)('$name: say nothing to this one', ({ read }) => {
    fc.assert(
      fc.property(unknownFields, (strangers) => {
        expect(read(strangers)).toBeUndefined()
      }),
    )
  })

  it('have at most one content that is known', () => {
    const two = Buffer.concat([
      encodeToProvider({ type: 'cancel', received: [1] }),
      encodeToProvider({ type: 'cancel', received: [2] }),
    ])
    expect(refusalOf(() => decodeToProvider(two))?.message).toMatch(/two contents/)
  })
})

it('a message of a refusal is made fit to be shown', () => {
  const message = `line 1\nline 2 \u202e${'é'.repeat(2000)}`
  const frame = encodeFromProvider({
    type: 'refuse',
    code: 'busy',
    message,
    param: 'a\u0000b',
    retryAfterMs: 5,
  })
  const read = decodeFromProvider(frame)
  expect(read).toMatchObject({ code: 'busy', param: 'a b' })
  expect(read?.type === 'refuse' && read.message).toMatch(/^line 1 line 2 {2}é{504}$/)
})
