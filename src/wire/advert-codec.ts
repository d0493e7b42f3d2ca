import { PeerError } from '../base/errors.ts'
import type { Advert, AdvertModel } from './advert.ts'
import {
  ADVERT_BYTES_MAX,
  advertRequestShape,
  advertShape,
  departureShape,
} from './advert-shape.ts'
import { malformed } from './malformed.ts'
import { parseModelId } from './model-id.ts'
import { circuitAddress, tcpAddress } from './rules.ts'
import { decode, encode } from './shape.ts'
import { checkSignature, type Signing, signedShape, signPayload, type Verifying } from './signed.ts'

export { ADVERT_BYTES_MAX } from './advert-shape.ts'

export interface Departure {
  peerId: string
  /** Higher than that of the last advert. */
  sequence: number
}

export type AdvertRequest = { type: 'ask' } | { type: 'departure'; signed: Uint8Array }

interface Opening extends Verifying {
  /** Whose it must be; a relayed one may be anybody's. */
  from?: string
}

/** Throws for an advert that others would refuse. */
export function signAdvert(advert: Advert, signing: Signing): Uint8Array {
  const payload = encode(advertShape, toFlat(advert))
  const bytes = encode(signedShape, signPayload('advert', payload, signing))
  if (bytes.length > ADVERT_BYTES_MAX) throw malformed('Advert', tooLong)
  checkModels(decode(advertShape, payload, ADVERT_BYTES_MAX))
  return bytes
}

const tooLong = `is longer than ${ADVERT_BYTES_MAX} bytes`

/** Whether its sequence is the newest and how long it lasts, the reader decides. */
export function openAdvert(bytes: Uint8Array, opening: Opening): Advert {
  const signed = decode(signedShape, bytes, ADVERT_BYTES_MAX)
  const flat = decode(advertShape, signed.payload, ADVERT_BYTES_MAX)
  checkModels(flat)
  checkOwner(flat.peerId, opening)
  checkSignature('advert', signed, flat.peerId, opening)
  return fromFlat(flat)
}

export function signDeparture(departure: Departure, signing: Signing): Uint8Array {
  return encode(signedShape, signPayload('departure', encode(departureShape, departure), signing))
}

export function openDeparture(bytes: Uint8Array, opening: Opening): Departure {
  const signed = decode(signedShape, bytes, ADVERT_BYTES_MAX)
  const departure = decode(departureShape, signed.payload, ADVERT_BYTES_MAX)
  checkOwner(departure.peerId, opening)
  checkSignature('departure', signed, departure.peerId, opening)
  return departure
}

export function encodeAdvertRequest(request: AdvertRequest): Uint8Array {
  return request.type === 'ask'
    ? advertRequestShape.encode('ask', {})
    : advertRequestShape.encode('departure', request.signed)
}

/** Undefined for a request that only a newer version knows. */
export function decodeAdvertRequest(bytes: Uint8Array): AdvertRequest | undefined {
  const request = advertRequestShape.decode(bytes)
  if (request === undefined) return undefined
  return request.type === 'ask'
    ? { type: 'ask' }
    : { type: 'departure', signed: request.value as Uint8Array }
}

function checkOwner(peerId: string, { from }: Opening): void {
  if (from === undefined || from === peerId) return
  throw new PeerError('not_yours', 'A peer speaks here for another.', { action: 'penalise' })
}

type FlatAdvert = ReturnType<typeof advertShape.read>
type FlatModel = FlatAdvert['models'][number]

/** A peer can declare its own models alone: with another's id it would be taken for that peer's. */
function checkModels({ peerId, models }: FlatAdvert): void {
  for (const { id } of models) {
    const parsed = parseModelId(id)
    if (parsed?.type === 'declared' && parsed.peerId !== peerId) {
      throw malformed('Model.id', 'is declared in the name of another peer')
    }
  }
}

function toFlat({ region, models, ...rest }: Advert): FlatAdvert {
  return { ...rest, region: region ?? '', models: models.map(toFlatModel) }
}

function toFlatModel({ price, draftsFor, ...rest }: AdvertModel): FlatModel {
  const { input, output } = price
  return { ...rest, priceInput: input, priceOutput: output, draftsFor: draftsFor ?? '' }
}

function fromFlat({ region, models, addresses, ...rest }: FlatAdvert): Advert {
  return {
    ...rest,
    // Those of other transports are for newer versions.
    addresses: addresses.filter(
      (address) => tcpAddress.test(address) || circuitAddress.test(address),
    ),
    models: models.map(fromFlatModel),
    ...(region === '' ? {} : { region }),
  }
}

function fromFlatModel({ priceInput, priceOutput, draftsFor, ...rest }: FlatModel): AdvertModel {
  const price = { input: priceInput, output: priceOutput }
  return { ...rest, price, ...(draftsFor === '' ? {} : { draftsFor }) }
}
