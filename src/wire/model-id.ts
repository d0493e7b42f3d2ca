import { base32 } from 'multiformats/bases/base32'

/** CIDv1, raw bytes, SHA-256 of 32 bytes. */
const CID_HEADER = Uint8Array.of(0x01, 0x55, 0x12, 0x20)

/** What `shown` allows, without spaces: it stands in URLs and on command lines. */
const NAME = '[^\\u0000-\\u0020\\u007f-\\u00a0\\u2028-\\u202e\\u2066-\\u2069]+'
const PEER_ID = '12D3Koo[1-9A-HJ-NP-Za-km-z]{45}'
/** The only spelling of such a CID: base32, with zeros as the bits that are left over. */
const CID = 'bafkrei[a-h][a-z2-7]{50}[aeimquy4]'

export const modelNamePattern = new RegExp(`^${NAME}$`)
export const modelIdPattern = new RegExp(`^(cid:${CID}|declared:${NAME}@${PEER_ID})$`)

/** What runs: a GGUF file by its content, or what a peer says it has behind a name. */
export type ModelId =
  | { type: 'cid'; sha256: Uint8Array }
  | { type: 'declared'; name: string; peerId: string }

/** The id of a GGUF file with this SHA-256. */
export function cidModelId(digest: Uint8Array): string {
  const bytes = new Uint8Array(CID_HEADER.length + digest.length)
  bytes.set(CID_HEADER)
  bytes.set(digest, CID_HEADER.length)
  return `cid:${base32.encode(bytes)}`
}

/** The id of what `peerId` serves by that name, its weights unseen. */
export const declaredModelId = (name: string, peerId: string): string =>
  `declared:${name}@${peerId}`

/** Undefined for what is no model id. */
export function parseModelId(id: string): ModelId | undefined {
  if (!modelIdPattern.test(id)) return undefined
  if (id.startsWith('cid:')) {
    return { type: 'cid', sha256: base32.decode(id.slice(4)).slice(CID_HEADER.length) }
  }
  const at = id.lastIndexOf('@')
  return { type: 'declared', name: id.slice('declared:'.length, at), peerId: id.slice(at + 1) }
}

export type LookupKind = 'model-id' | 'model-name' | 'role'

/** Under what the DHT is told, and asked, who has it. */
export function lookupKey(kind: LookupKind, text: string): Uint8Array {
  return new TextEncoder().encode(`PNV1|${kind}|${text}`)
}
