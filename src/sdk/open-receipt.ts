import { hexToBytes } from '@noble/hashes/utils.js'
import { base64pad } from 'multiformats/bases/base64'
import type { Json } from '../wire/canonical-json.ts'
import { readInteger, readString } from '../wire/json-reader.ts'
import { malformed } from '../wire/malformed.ts'
import type { OpenReceipt } from '../wire/receipt.ts'

/** The open receipt inside the JSON that a peer shows of it. */
export function readOpenReceipt(claimed: Record<string, Json>): OpenReceipt {
  const counts = { min: 0, max: Number.MAX_SAFE_INTEGER }
  return {
    jobId: readString(claimed.job_id, 'job_id'),
    nodePk: bytesOf(claimed.node_pk, 'node_pk', hexToBytes, 32),
    promptRoot: bytesOf(claimed.prompt_root, 'prompt_root', hexToBytes, 32),
    inputTokens: readInteger(claimed.input_tokens, 'input_tokens', counts),
    signature: bytesOf(claimed.signature, 'signature', (text) => base64pad.baseDecode(text), 64),
  }
}

function bytesOf(
  value: Json | undefined,
  where: string,
  decode: (text: string) => Uint8Array,
  length: number,
): Uint8Array {
  const text = readString(value, where)
  let bytes: Uint8Array | undefined
  try {
    // No spelling of so few bytes is longer.
    bytes = text.length <= 2 * length ? decode(text) : undefined
  } catch {}
  if (bytes?.length === length) return bytes
  throw malformed(where, `is not ${length} bytes as they are written here`)
}
