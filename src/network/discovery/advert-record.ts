import { openAdvert } from '../../wire/advert-codec.ts'
import type { Verifying } from '../../wire/signed.ts'
import type { RecordCheck } from '../network.ts'

/** The kind of record under which the DHT keeps a peer's advert. */
export const ADVERT_RECORD = 'advert'

/** A record of the DHT is the advert of the peer whose name it goes by, or it is not kept. */
export function advertRecordCheck(verifying: Verifying): RecordCheck {
  return (peerId, value) => openAdvert(value, { ...verifying, from: peerId }).sequence
}
