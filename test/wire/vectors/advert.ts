import type { Advert, AdvertModel } from '../../../src/wire/advert.ts'
import { encodeAdvertRequest, signAdvert, signDeparture } from '../../../src/wire/advert-codec.ts'
import { advertShape, departureShape } from '../../../src/wire/advert-shape.ts'
import { cidModelId, declaredModelId, lookupKey } from '../../../src/wire/model-id.ts'
import { peerIdOf } from '../../../src/wire/peer-id.ts'
import { encode } from '../../../src/wire/shape.ts'
import {
  alice,
  type Bad,
  bad,
  bob,
  type Good,
  good,
  malleated,
  network,
  signature,
  smallOrder,
} from './cases.ts'
import { content, fixed32, fixed64, group, join, lying, number, padded, unknown } from './raw.ts'

const signing = { network, sign: (message: Uint8Array) => alice.sign(message) }
const id = cidModelId(new Uint8Array(32).fill(0xab))

const minimal: Advert = {
  peerId: alice.peerId,
  sequence: 1,
  ttlS: 1,
  addresses: [],
  roles: [],
  hardware: { gpus: [], cpu: '', cpuThreads: 0, ramBytes: 0, backend: 'cpu' },
  models: [],
  version: '',
}

const smallModel: AdvertModel = {
  name: 'm',
  id,
  kind: 'chat',
  family: '',
  parameters: 0,
  quant: '',
  contextLength: 0,
  embeddingLength: 0,
  capabilities: [],
  slots: 0,
  price: { input: 0, output: 0 },
}

const full: Advert = {
  peerId: alice.peerId,
  sequence: 1_790_000_000_000,
  ttlS: 60,
  addresses: ['/ip4/192.0.2.1/tcp/7463', '/ip6/2001:db8::1/tcp/7463', '/dns4/a.example/tcp/443'],
  roles: ['provider', 'coordinator', 'auditor', 'role-of-tomorrow'],
  region: 'DE',
  hardware: {
    gpus: [{ name: 'NVIDIA H200', vramTotalBytes: 150_754_820_096, vramFreeBytes: 1 }],
    cpu: 'Prozessor mit Ümlaut ✓ 😀',
    cpuThreads: 16,
    ramBytes: 137_438_953_472,
    backend: 'cuda',
  },
  models: [
    {
      name: 'llama-3.2-3b',
      id,
      kind: 'chat',
      family: 'llama',
      parameters: 3_212_749_888,
      quant: 'Q4_K_M',
      contextLength: 131_072,
      embeddingLength: 0,
      capabilities: ['logprobs', 'seed'],
      slots: 4,
      price: { input: 40, output: 120 },
    },
    {
      ...smallModel,
      name: 'org/draft:1b',
      id: declaredModelId('org/draft:1b', alice.peerId),
      draftsFor: id,
    },
    { ...smallModel, name: 'embed', kind: 'kind-of-tomorrow', embeddingLength: 384 },
  ],
  version: '0.2.0',
}

const word = (length: number) => 'w'.repeat(length)
const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value)

const largest: Advert = {
  ...minimal,
  sequence: Number.MAX_SAFE_INTEGER,
  ttlS: 3600,
  addresses: times(16, '/ip4/192.0.2.1/tcp/65535'),
  roles: times(16, word(32)),
  region: 'ZZ',
  hardware: {
    gpus: times(16, { name: 'g', vramTotalBytes: Number.MAX_SAFE_INTEGER, vramFreeBytes: 0 }),
    cpu: 'é'.repeat(64),
    cpuThreads: 2 ** 32 - 1,
    ramBytes: Number.MAX_SAFE_INTEGER,
    backend: word(32),
  },
  models: [
    {
      ...smallModel,
      name: 'n'.repeat(256),
      id: declaredModelId('n'.repeat(256), alice.peerId),
      price: { input: 1_000_000_000_000, output: 1_000_000_000_000 },
      parameters: Number.MAX_SAFE_INTEGER,
      contextLength: 2 ** 32 - 1,
      capabilities: times(16, word(32)),
    },
    ...times(49, smallModel),
  ],
  version: 'v'.repeat(128),
}

type Flat = Parameters<typeof advertShape.write>[1]
const flatModel = ({ price, draftsFor, ...rest }: AdvertModel) => ({
  ...rest,
  priceInput: price.input,
  priceOutput: price.output,
  draftsFor: draftsFor ?? '',
})
const flat: Flat = { ...minimal, region: '', models: [flatModel(smallModel)] }

const signed = (payload: Uint8Array, signed = signature('advert', payload)) =>
  join(content(1, payload), content(2, signed))

const payload = encode(advertShape, flat)
const valid = signed(payload)
const departure = signDeparture({ peerId: alice.peerId, sequence: 7 }, signing)

const withUnknown = join(unknown(), payload, unknown())
const tcp = '/ip4/192.0.2.1/tcp/7463'
const withTcp = encode(advertShape, { ...flat, addresses: [tcp] })
const withUdp = encode(advertShape, {
  ...flat,
  addresses: ['/ip4/192.0.2.1/udp/7463/quic-v1', tcp],
})

/** By their spelling, the first three are for this version. */
const spelled = [
  '/ip4/999.9.9.9/tcp/99999',
  '/ip6/::ffff:192.0.2.1/tcp/0',
  '/dnsaddr/-a_b..c/tcp/00443',
]
const notForUs = [
  '/ip4/a.example/tcp/1',
  '/ip6/fe80::1%eth0/tcp/1',
  '/dns/a.example/tcp/123456',
  '/dns/a.example/tcp/https',
  '/dns5/a.example/tcp/1',
  '/dns/a.example/tcp/1/ws',
  `${tcp}/p2p/${alice.peerId}`,
]
const withAddresses = (addresses: string[]) => signed(encode(advertShape, { ...flat, addresses }))

export const advertGood: Good[] = [
  good('SignedAdvert', 'minimal', signAdvert(minimal, signing)),
  good('SignedAdvert', 'every field', signAdvert(full, signing)),
  good('SignedAdvert', 'at its bounds', signAdvert(largest, signing)),
  good(
    'SignedAdvert',
    'fields of a newer version',
    join(unknown(), signed(withUnknown), unknown()),
    signed(payload),
  ),
  good('SignedAdvert', 'an address of another transport', signed(withUdp), signed(withTcp)),
  good(
    'SignedAdvert',
    'addresses that lead nowhere',
    withAddresses([...spelled, ...notForUs]),
    withAddresses(spelled),
  ),
  good('AnswerToAsk', 'of the peer that was asked', valid),
  good('SignedDeparture', 'minimal', signDeparture({ peerId: alice.peerId, sequence: 1 }, signing)),
  good('SignedDeparture', 'a departure', departure),
  good('SignedDeparture', 'of 8 KiB', padded(departure, 8192), departure),
  good('Request', 'ask', encodeAdvertRequest({ type: 'ask' })),
  good('Request', 'departure', encodeAdvertRequest({ type: 'departure', signed: departure })),
  good(
    'Request',
    'a departure with fields of a newer version, which are passed on',
    encodeAdvertRequest({ type: 'departure', signed: join(unknown(), departure) }),
  ),
  good('Request', 'a request of a newer version', unknown()),
  good('ModelId', 'by content', join(id)),
  good('ModelId', 'declared', join(declaredModelId('a@b', alice.peerId))),
  good('LookupKey', 'of a model id', lookupKey('model-id', id)),
  good('LookupKey', 'of a model name', lookupKey('model-name', 'modèle')),
  good('LookupKey', 'of a role', lookupKey('role', 'archive')),
]

const model = (changes: object): Partial<Flat> => ({
  models: [{ ...flatModel(smallModel), ...changes }],
})
const hardware = (changes: object): Partial<Flat> => ({
  hardware: { ...minimal.hardware, ...changes },
})
const gpu = (changes: object) =>
  hardware({ gpus: [{ name: '', vramTotalBytes: 0, vramFreeBytes: 0, ...changes }] })

const outOfBounds: [name: string, change: Partial<Flat>][] = [
  ['no peer id', { peerId: '' }],
  ['a peer id of 51 characters', { peerId: alice.peerId.slice(1) }],
  ['a peer id with a letter that base58 lacks', { peerId: `${alice.peerId.slice(0, 51)}l` }],
  ['sequence 0', { sequence: 0 }],
  ['sequence 2^53', { sequence: 2 ** 53 }],
  ['ttl 0', { ttlS: 0 }],
  ['ttl 3601', { ttlS: 3601 }],
  ['17 addresses', { addresses: times(17, '/ip4/192.0.2.1/tcp/1') }],
  ['an address of 257 bytes', { addresses: [`/dns/${'a'.repeat(246)}/tcp/1`] }],
  ['an address that is a URL', { addresses: ['http://192.0.2.1/'] }],
  ['an empty address', { addresses: [''] }],
  ['17 roles', { roles: times(17, 'provider') }],
  ['a role in capital letters', { roles: ['Provider'] }],
  ['a role of 33 characters', { roles: [word(33)] }],
  ['an empty role', { roles: [''] }],
  ['a region in small letters', { region: 'de' }],
  ['a region of three letters', { region: 'DEU' }],
  ['17 graphics cards', hardware({ gpus: times(17, { name: '', vramTotalBytes: 0 }) })],
  ['a graphics card with a line break', gpu({ name: 'a\nb' })],
  ['a graphics card of 129 bytes', gpu({ name: 'a'.repeat(129) })],
  ['memory of 2^53', gpu({ vramTotalBytes: 2 ** 53 })],
  ['a processor with an escape', hardware({ cpu: '\u001b[2J' })],
  ['a processor with a C1 control', hardware({ cpu: '\u009b2J' })],
  ['a processor written backwards', hardware({ cpu: '\u202eUPC' })],
  ['a processor with a line separator', hardware({ cpu: 'a\u2028b' })],
  ['a processor of 65 two-byte letters', hardware({ cpu: 'é'.repeat(65) })],
  ['threads above 32 bits', hardware({ cpuThreads: 2 ** 32 })],
  ['no backend', hardware({ backend: '' })],
  ['a backend with a space', hardware({ backend: 'cuda 12' })],
  ['65 models', { models: times(65, flatModel(smallModel)) }],
  ['a model without a name', model({ name: '' })],
  ['a model with a space in its name', model({ name: 'a b' })],
  ['a model of 257 bytes', model({ name: 'n'.repeat(257) })],
  ['a model without an id', model({ id: '' })],
  ['a model whose id is its name', model({ id: 'm' })],
  ['a model id in capital letters', model({ id: `cid:${id.slice(4).toUpperCase()}` })],
  ['a model id with bits left over', model({ id: `${id.slice(0, -1)}b` })],
  ['a model declared by another peer', model({ id: declaredModelId('m', bob.peerId) })],
  ['a model of no kind', model({ kind: '' })],
  ['a family with a null', model({ family: '\0' })],
  ['a quantisation of 129 bytes', model({ quant: 'q'.repeat(129) })],
  ['context above 32 bits', model({ contextLength: 2 ** 32 })],
  ['17 capabilities', model({ capabilities: times(17, 'a') })],
  ['a price above 10^12', model({ priceOutput: 1_000_000_000_001 })],
  ['drafts for what is no model id', model({ draftsFor: 'm' })],
  ['a version with a tab', { version: 'a\tb' }],
  ['more than 8 KiB', { models: times(60, flatModel({ ...smallModel, family: 'f'.repeat(128) })) }],
]

const forged = signature('advert', payload)
const noKey = `12D3Koo${'1'.repeat(45)}`
const inNameOf = (peerId: string, by: Uint8Array) =>
  signed(encode(advertShape, { ...flat, peerId }), by)

const bobs = { ...flat, peerId: bob.peerId }
const bobsPayload = encode(advertShape, bobs)
const ofBob = signed(bobsPayload, signature('advert', bobsPayload, { by: bob }))
const ofBobsKey = signature('advert', payload, { by: bob })

const bytesOf = (...values: number[]) => Uint8Array.from(values)
const nines = new Array<number>(9).fill(0x80)
const unknownNumber = (...values: number[]) => bytesOf(0xc0, 0x0c, ...values)
/** Of an advert, behind its sequence. */
const rest = join(number(3, 1), content(7, content(5, 'cpu')))

const payloads: [name: string, payload: Uint8Array][] = [
  ['no hardware', join(content(1, alice.peerId), number(2, 1), number(3, 1))],
  ['an empty payload', new Uint8Array()],
  ['a payload that is cut off', payload.subarray(0, -1)],
  ['a field that is cut off', lying(1, 52, alice.peerId.slice(0, 20))],
  ['a field of 4 GiB', lying(9, 2 ** 32 - 1, 'v')],
  ['a field of 2^63 bytes', lying(9, 2 ** 63, 'v')],
  ['a string where a number belongs', join(payload, content(2, '1'))],
  ['a number where a string belongs', join(payload, number(9, 1))],
  ['a fixed number where a varint belongs', join(payload, fixed32(3, 1, 0, 0, 0))],
  ['a sequence twice', join(payload, number(2, 5))],
  ['hardware twice', join(payload, content(7, content(5, 'cpu')))],
  ['a number longer than it needs to be', join(number(2, 1).with(1, 0x81), '\0', payload)],
  ['a number of eleven bytes', join(payload, endless())],
  ['text that is not UTF-8', join(payload, content(9, Uint8Array.of(0xc3, 0x28)))],
  ['half a surrogate pair in UTF-8', join(payload, content(9, Uint8Array.of(0xed, 0xa0, 0x80)))],
  ['a character longer than it needs to be', join(payload, content(9, Uint8Array.of(0xc0, 0x80)))],
  ['a group', join(payload, group(200))],
  ['a field with number 0', join(payload, Uint8Array.of(0, 0))],
  ['a field with number 2^29', join(payload, number(2 ** 29, 1))],
  ['a wire type that there is none of', join(payload, Uint8Array.of(0xc6, 0x0c))],
  ['an unknown number longer than it needs to be', join(payload, unknownNumber(0x81, 0))],
  ['an unknown number of ten bytes that needs nine', join(payload, unknownNumber(...nines, 0))],
  ['an unknown number of 2^64', join(payload, unknownNumber(...nines, 2))],
  ['an unknown fixed number that is cut off', join(payload, fixed64(203).subarray(0, -1))],
  ['an unknown length longer than it needs to be', join(payload, bytesOf(0xca, 0x0c, 0x81, 0, 1))],
  ['an unknown field with a long number', join(payload, bytesOf(0xc0, 0x8c, 0, 1))],
  ['a field with a number written long', join(content(1, alice.peerId), bytesOf(0x90, 0, 1), rest)],
  ['a length longer than it needs to be', join(payload, bytesOf(0x4a, 0x80, 0))],
]

/** An unknown number that does not end within ten bytes. */
function endless(): Uint8Array {
  return join(Uint8Array.of(0xc0, 0x0c), new Uint8Array(10).fill(0x80), Uint8Array.of(1))
}

export const advertBad: Bad[] = [
  ...outOfBounds.map(([name, change]) =>
    bad('SignedAdvert', name, signed(encode(advertShape, { ...flat, ...change }))),
  ),
  ...payloads.map(([name, payload]) => bad('SignedAdvert', name, signed(payload))),
  bad('SignedAdvert', 'nothing', new Uint8Array()),
  bad('SignedAdvert', 'no signature', content(1, payload)),
  bad('SignedAdvert', 'a signature of 63 bytes', signed(payload, forged.slice(1))),
  bad('SignedAdvert', 'a signature of 65 bytes', signed(payload, join(forged, '\0'))),
  bad('SignedAdvert', 'two payloads', join(content(1, payload), valid)),
  bad('SignedAdvert', 'cut off', valid.subarray(0, -1)),
  ...(
    [
      ['a signature of zeros', signed(payload, new Uint8Array(64))],
      ['a bit of the signature changed', signed(payload, forged.with(3, (forged[3] ?? 0) ^ 1))],
      ['S + L', signed(payload, malleated(forged))],
      ['another payload', signed(encode(advertShape, { ...flat, sequence: 2 }), forged)],
      ['signed by another peer', signed(payload, signature('advert', payload, { by: bob }))],
      ['in the name of another peer', inNameOf(bob.peerId, forged)],
      ['for another network', signed(payload, signature('advert', payload, { of: 'main' }))],
      ['signed as a departure', signed(payload, signature('departure', payload))],
      ['signed without a prefix', signed(payload, alice.sign(payload))],
      ['a peer id without a key', inNameOf(noKey, forged)],
      ['a key of small order', inNameOf(peerIdOf(smallOrder.key), smallOrder.signature)],
    ] as const
  ).map(([name, bytes]) => bad('SignedAdvert', name, bytes, 'bad_signature')),
  ...(
    [
      ['no peer id', { peerId: '', sequence: 1 }],
      ['sequence 0', { peerId: alice.peerId, sequence: 0 }],
    ] as const
  ).map(([name, value]) => {
    const payload = encode(departureShape, value)
    return bad('SignedDeparture', name, signed(payload, signature('departure', payload)))
  }),
  bad('SignedDeparture', 'an advert', valid, 'bad_signature'),
  bad('SignedDeparture', 'of more than 8 KiB', padded(departure, 8193)),
  bad('AnswerToAsk', 'of another peer', ofBob, 'not_yours'),
  bad(
    'AnswerToAsk',
    'of another peer, without its signature',
    inNameOf(bob.peerId, forged),
    'not_yours',
  ),
  bad(
    'AnswerToAsk',
    'of another peer, and malformed',
    signed(encode(advertShape, { ...bobs, ttlS: 0 })),
  ),
  bad('AnswerToAsk', 'signed by another peer', signed(payload, ofBobsKey), 'bad_signature'),
  bad('Request', 'two contents', join(content(1, ''), content(2, departure))),
  bad('Request', 'ask in a wrong wire type', number(1, 1)),
  bad('Request', 'a departure of more than 8 KiB', content(2, new Uint8Array(8193))),
  bad('Request', 'a departure without a signature', content(2, content(1, payload))),
  bad('Request', 'cut off', content(2, departure).subarray(0, -1)),
  bad('ModelId', 'of 31 bytes', join(cidModelId(new Uint8Array(31)))),
  bad('ModelId', 'of another codec', join(`cid:bafyrei${id.slice(11)}`)),
  bad('ModelId', 'without a peer', join('declared:m')),
]
