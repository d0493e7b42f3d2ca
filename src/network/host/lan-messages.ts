import { type Answer, AUTHORITATIVE_ANSWER, decode, encode } from 'dns-packet'

// What libp2p's peers say to each other by mDNS: one asks for the service's name, and each of the
// others answers with a pointer to its own name and its addresses as texts under that. All texts
// stand in one record, as the name would be repeated in each: it must fit one datagram.

/** Of one peer; anybody on the network can send any number. */
const ADDRESSES_MAX = 8
/** A text of DNS has one byte for its length. */
const TEXT_BYTES_MAX = 255
const ADDRESS_PREFIX = 'dnsaddr='

export type LanMessage =
  | { type: 'question' }
  | { type: 'answer'; peerId: string; addresses: string[] }

/** The name under which peers of this network look for each other. */
export const serviceOf = (network: string): string => `_pinaivu-${network}._udp.local`

export function lanQuestion(service: string): Uint8Array {
  return encode({ type: 'query', questions: [{ name: service, type: 'PTR' }] })
}

/** @param addresses each ending in `/p2p/<peer id>` */
export function lanAnswer(
  service: string,
  { peerId, addresses }: { peerId: string; addresses: readonly string[] },
): Uint8Array {
  const name = `${peerId}.${service}`
  const texts = addresses
    .map((address) => ADDRESS_PREFIX + address)
    .filter((text) => Buffer.byteLength(text) <= TEXT_BYTES_MAX)
    .slice(0, ADDRESSES_MAX)
  return encode({
    type: 'response',
    flags: AUTHORITATIVE_ANSWER,
    answers: [
      { name: service, type: 'PTR', ttl: 120, data: name },
      { name, type: 'TXT', ttl: 120, data: texts },
    ],
  })
}

/** Undefined for whatever else is said on a local network. */
export function readLanMessage(bytes: Uint8Array, service: string): LanMessage | undefined {
  let packet: ReturnType<typeof decode>
  try {
    packet = decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  } catch {
    return undefined
  }
  if (packet.type === 'query') {
    const asked = packet.questions?.some(({ name, type }) => name === service && type === 'PTR')
    return asked ? { type: 'question' } : undefined
  }
  const records = [...(packet.answers ?? []), ...(packet.additionals ?? [])]
  if (!records.some(({ type, name }) => type === 'PTR' && name === service)) return undefined
  return peerOf(records.flatMap(addressesOf))
}

function addressesOf(record: Answer): string[] {
  if (record.type !== 'TXT') return []
  return [record.data].flat().flatMap((data) => {
    const text = data.toString()
    return text.startsWith(ADDRESS_PREFIX) ? text.slice(ADDRESS_PREFIX.length) : []
  })
}

/** Whoever is named in the first; an answer is of one peer. */
function peerOf([first = '', ...others]: readonly string[]): LanMessage | undefined {
  const peerId = /\/p2p\/([1-9A-HJ-NP-Za-km-z]+)$/.exec(first)?.[1]
  if (peerId === undefined) return undefined
  const same = others.filter((address) => address.endsWith(`/p2p/${peerId}`))
  return { type: 'answer', peerId, addresses: [first, ...same].slice(0, ADDRESSES_MAX) }
}
