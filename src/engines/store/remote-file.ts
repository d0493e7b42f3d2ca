/** A file that can be fetched, and what its owner says of it. */
export interface RemoteFile {
  /** Its last part alone: where it is kept has no folders. */
  name: string
  url: string
  /** Undefined where that is only known once it is asked for. */
  sizeBytes?: number | undefined
  /** Undefined where nobody says it. */
  sha256?: string | undefined
}

/** What must be agreed to, in the words of who publishes it. */
export interface Licence {
  /** `apache-2.0`, or the name of one of their own. */
  id: string
  /** Where it can be read. */
  link?: string
}

/** A model as it is offered somewhere. */
export interface RemoteModel {
  files: readonly RemoteFile[]
  licence?: Licence | undefined
  /** The exact state of the repo. */
  commit?: string | undefined
}

const sha256 = /^[0-9a-f]{64}$/

/** Of a header such as `"8f3c…"`, where that is a hash: others count there with words of their own. */
export function hashOf(text: string | null | undefined): string | undefined {
  const plain = (text ?? '').replace(/^W\//, '').replaceAll('"', '').toLowerCase()
  return sha256.test(plain) ? plain : undefined
}

/** Of a header or a field. */
export function sizeOf(text: unknown): number | undefined {
  const size = typeof text === 'string' && /^\d{1,15}$/.test(text) ? Number(text) : text
  return typeof size === 'number' && Number.isSafeInteger(size) && size >= 0 ? size : undefined
}
