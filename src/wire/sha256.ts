import { sha256 as portable } from '@noble/hashes/sha2.js'
import { utf8ToBytes } from '@noble/hashes/utils.js'

/** A text stands for its UTF-8; it must be well-formed. */
export type Sha256 = (data: Uint8Array | string) => Uint8Array<ArrayBuffer>

/** Runs anywhere. */
export const portableSha256: Sha256 = (data) =>
  portable(typeof data === 'string' ? utf8ToBytes(data) : data) as Uint8Array<ArrayBuffer>

/** The hash of the program that this runs in, eight times as fast; a browser's would have to wait. */
const hash = globalThis.process?.getBuiltinModule?.('node:crypto')?.hash

/** Undefined where there is none. */
export const nativeSha256: Sha256 | undefined =
  hash &&
  ((data) => {
    // As bytes it would come in memory of its own, which costs more than all the rest.
    const digest = hash('sha256', data, 'binary')
    const bytes = new Uint8Array(32)
    for (let at = 0; at < 32; at++) bytes[at] = digest.charCodeAt(at)
    return bytes
  })

export const sha256: Sha256 = nativeSha256 ?? portableSha256
