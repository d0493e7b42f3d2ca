import { jsonValue, textKey } from '../../storage/codec.ts'
import type { TableCodec } from '../../storage/table.ts'
import { netOf } from '../net-of.ts'
import type { KnownPeer } from './peer-cache.ts'

/** How known peers are kept in the database, by peer id. */
export const knownPeerRows: TableCodec<string, KnownPeer> = {
  key: textKey,
  value: jsonValue((value) => {
    const { addresses, lastHeardAt, since, net } = value as Partial<KnownPeer>
    const texts = Array.isArray(addresses) && addresses.every((text) => typeof text === 'string')
    if (!texts || !Number.isSafeInteger(lastHeardAt)) throw new TypeError('not a known peer')
    // Earlier rows have neither.
    const first = addresses?.[0] ?? ''
    return {
      addresses: addresses ?? [],
      lastHeardAt: Number(lastHeardAt),
      since: Number.isSafeInteger(since) ? Number(since) : Number(lastHeardAt),
      net: typeof net === 'string' ? net : (netOf(first) ?? 'unknown'),
    }
  }),
}

/** How the sequence of this peer's own adverts is kept, by peer id. */
export const sequenceRows: TableCodec<string, number> = {
  key: textKey,
  value: jsonValue((value) => {
    if (!Number.isSafeInteger(value)) throw new TypeError('not a sequence')
    return value as number
  }),
}
