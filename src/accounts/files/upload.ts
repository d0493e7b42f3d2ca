import { PeerError } from '../../base/errors.ts'
import type { Holding } from '../holdings.ts'
import type { BlobDraft } from './blob-folder.ts'
import { type FileKind, fileKinds, inspect, type Media } from './media/media-type.ts'
import { type Container, SNIFFED_BYTES, sniff } from './media/sniff.ts'

/** Bytes, for each kind of file. */
export type KindLimits = Readonly<Record<FileKind, number>>

export interface UploadLimits {
  fileBytesMax: KindLimits
  accountBytesMax: number
}

/** A file that is coming in: it counts from its first byte on, and is looked at as soon as can be. */
export class Upload {
  readonly #draft: BlobDraft
  readonly #holding: Holding
  readonly #limits: UploadLimits
  /** Lets the next one in. */
  readonly leave: () => void
  #head: Uint8Array = new Uint8Array(0)
  #container: Container | undefined
  #bytesMax: number
  /** What the account's holding has of it. */
  #counted = 0

  /** The holding counts it already. */
  constructor(draft: BlobDraft, holding: Holding, leave: () => void, limits: UploadLimits) {
    this.#draft = draft
    this.#holding = holding
    this.leave = leave
    this.#limits = limits
    this.#bytesMax = Math.max(...Object.values(limits.fileBytesMax))
  }

  get bytes(): number {
    return this.#draft.size
  }

  get draft(): BlobDraft {
    return this.#draft
  }

  /** Throws as soon as it is known that the file will not be taken. */
  async write(chunk: Uint8Array): Promise<void> {
    if (this.#draft.size + chunk.length > this.#bytesMax) throw tooLarge(this.#bytesMax)
    if (this.#holding.bytes + chunk.length > this.#limits.accountBytesMax) {
      throw quotaExceeded(this.#limits.accountBytesMax)
    }
    this.#holding.bytes += chunk.length
    this.#counted += chunk.length
    if (this.#head.length < SNIFFED_BYTES) this.#sniff(chunk)
    await this.#draft.write(chunk)
  }

  /** What it is, once it is all there. Throws where that is not what was said, or too large. */
  async media(kind: FileKind): Promise<Media> {
    this.#container ??= sniff(this.#head)
    const media = this.#container && (await inspect(this.#container, this.#draft))
    if (media === undefined) throw unsupported()
    if (media.kind !== kind) {
      throw new PeerError(
        'invalid_value',
        `The file holds ${media.mimeType}, so its 'kind' is '${media.kind}', not '${kind}'.`,
        { param: 'kind' },
      )
    }
    const bytesMax = this.#limits.fileBytesMax[kind]
    if (this.#draft.size > bytesMax) throw tooLarge(bytesMax)
    return media
  }

  /** Takes it back, as if it had never come. */
  async discard(): Promise<void> {
    this.#holding.count -= 1
    this.#holding.bytes -= this.#counted
    await this.#draft.discard()
  }

  #sniff(chunk: Uint8Array): void {
    this.#head = Buffer.concat([this.#head, chunk.subarray(0, SNIFFED_BYTES - this.#head.length)])
    if (this.#head.length < SNIFFED_BYTES) return
    this.#container = sniff(this.#head)
    if (this.#container === undefined) throw unsupported()
    const kinds = fileKinds.filter((kind) => mayBe[kind].includes(this.#container as Container))
    const { fileBytesMax } = this.#limits
    this.#bytesMax = Math.max(...kinds.map((kind) => fileBytesMax[kind]))
  }
}

const mayBe: Readonly<Record<FileKind, readonly Container[]>> = {
  image: ['jpeg', 'png', 'webp'],
  video: ['mp4', 'webm'],
  audio: ['mp3', 'mp4', 'wav', 'aac', 'ogg'],
}

const MIB = 1024 * 1024

const tooLarge = (bytesMax: number) =>
  new PeerError('request_too_large', `The file is too large: at most ${bytesMax / MIB} MiB.`, {
    param: 'file',
  })

const quotaExceeded = (bytesMax: number) =>
  new PeerError(
    'file_quota_exceeded',
    `The files of an account have ${bytesMax / MIB} MiB at most. Delete some that nobody needs.`,
    { param: 'file' },
  )

const unsupported = () =>
  new PeerError(
    'unsupported_file',
    'The file is none of those taken here, by its content: JPEG, PNG or WebP pictures; MP4, ' +
      'QuickTime or WebM films; MP3, MP4, WAV, AAC or Ogg sound.',
    { param: 'file' },
  )
