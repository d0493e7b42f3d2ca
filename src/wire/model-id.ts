import { base32 } from 'multiformats/bases/base32'
import { modelIdPattern } from './model-id-pattern.ts'

/** CIDv1, raw bytes, SHA-256 of 32 bytes. */
const CID_HEADER = Uint8Array.of(0x01, 0x55, 0x12, 0x20)

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
