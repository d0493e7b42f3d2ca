import { createHash } from 'node:crypto'
import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { PeerError } from '../../base/errors.ts'
import { cidModelId } from '../../wire/model-id.ts'
import type { Download, DownloadWatch } from './download.ts'
import { hashFile, sha256OfFile } from './hashing.ts'
import { type Licences, needsAgreement, notAgreed } from './licences.ts'
import type { StoredFile } from './manifest.ts'
import type { Plan, StoredModel } from './model-folder.ts'
import { offerOf, stemOf } from './offer.ts'
import { PartFile } from './part-file.ts'
import type { PullComponents, PullWatch, Wanted } from './pull.ts'
import type { Licence, RemoteFile, RemoteModel } from './remote-file.ts'
import type { Needs } from './room.ts'

export interface PullParts extends PullComponents {
  download: Download
  licences: Licences
  claimRoom(claim: { needs: Needs; plan: Plan; signal: AbortSignal }): Promise<void>
}

/** One model on its way. */
export class OnePull {
  readonly #parts: PullParts
  readonly #wanted: Wanted & { uri: string }
  /** What was stored of it, and is damaged. */
  readonly #before: StoredModel | undefined
  readonly #watch: PullWatch
  /** Of files that are whole, in this pull. */
  #done = 0
  #sizes: (number | undefined)[] = []

  constructor(
    parts: PullParts,
    wanted: Wanted & { uri: string },
    before: StoredModel | undefined,
    watch: PullWatch,
  ) {
    this.#parts = parts
    this.#wanted = wanted
    this.#before = before
    this.#watch = watch
  }

  async run(): Promise<StoredModel> {
    const { folder, hub, clock, download } = this.#parts
    const { source, uri } = this.#wanted
    const { signal } = this.#watch
    const offer = await download.patiently({ signal, onTrouble: this.#onTrouble }, () =>
      offerOf(source, hub, signal),
    )
    const name = await this.#nameOf(offer)
    this.#assertPinned(offer)
    await this.#agree(offer.licence)
    this.#sizes = offer.files.map(({ sizeBytes }) => sizeBytes)
    const sizeBytes = this.#total()
    // Of what it needs nothing is said before there is room: two at once would keep each other out.
    const place = await folder.begin({ name, uri })
    this.#watch.onEvent({ type: 'begins', name, sizeBytes, files: offer.files.length })
    const files: StoredFile[] = []
    try {
      for (const [at, file] of offer.files.entries()) {
        files.push(await this.#fetch(place, name, file, at))
      }
      const facts = await this.#parts.inspect(join(place, files[0]?.name ?? ''), signal)
      const id = await this.#idOf(place, files)
      const { commit, licence } = offer
      const pulledAt = clock.now()
      const manifest = { name, uri, files, id, pulledAt, commit, licence, facts }
      return await folder.finish(manifest, signal)
    } catch (error) {
      const isOver = error instanceof PeerError && isHopeless.includes(error.code)
      if (isOver || (await this.#isEmpty())) await folder.abandon(uri)
      throw error
    }
  }

  async #isEmpty(): Promise<boolean> {
    const all = await this.#parts.folder.unfinished()
    return all.every(({ uri, receivedBytes }) => uri !== this.#wanted.uri || receivedBytes === 0)
  }

  async #nameOf({ files }: RemoteModel): Promise<string> {
    const { folder } = this.#parts
    const { uri, source } = this.#wanted
    const [first] = files
    const given = this.#wanted.name ?? this.#before?.name
    if (given === undefined && first?.name === 'model.gguf' && source.type === 'web') {
      throw new PeerError('invalid_value', `This address has no name in it. Give one: NAME=${uri}`)
    }
    const name = given ?? stemOf(first?.name ?? '')
    await folder.assertFree(name, uri)
    return name
  }

  /** What has changed where it came from is another model: it does not take the old one's place unseen. */
  #assertPinned({ files }: RemoteModel): void {
    for (const { name, sha256 } of files) {
      const pinned = this.#before?.files.find((file) => file.name === name)?.sha256
      if (sha256 === undefined || pinned === undefined || pinned === sha256) continue
      throw changed(this.#before?.name ?? name, pinned, sha256)
    }
  }

  async #agree(licence: Licence | undefined): Promise<void> {
    if (licence === undefined) return
    const { licences } = this.#parts
    const { uri } = this.#wanted
    const isAgreed = !needsAgreement(licence) || (await licences.isAgreed(uri, licence))
    this.#watch.onEvent({ type: 'licence', licence, agreed: isAgreed })
    if (isAgreed) return
    if (!(await this.#watch.agree(licence))) throw notAgreed(licence)
    await licences.agree(uri, licence)
  }

  async #fetch(place: string, name: string, file: RemoteFile, at: number): Promise<StoredFile> {
    const kept = await this.#kept(place, file)
    const stored = kept ?? (await this.#fetchPart(place, name, file, at))
    const pinned = this.#before?.files.find((other) => other.name === file.name)?.sha256
    if (pinned !== undefined && pinned !== stored.sha256) {
      await this.#parts.folder.abandon(this.#wanted.uri)
      throw changed(this.#before?.name ?? file.name, pinned, stored.sha256)
    }
    this.#sizes[at] = stored.sizeBytes
    this.#done += stored.sizeBytes
    return stored
  }

  /** Of an earlier try; checked again, as somebody could have been at it. */
  async #kept(place: string, { name, sha256 }: RemoteFile): Promise<StoredFile | undefined> {
    const path = join(place, name)
    const found = await stat(path).catch(() => undefined)
    if (found === undefined || sha256 === undefined) return undefined
    const measured = await sha256OfFile(path, this.#watch.signal)
    return measured === sha256 ? { name, sizeBytes: found.size, sha256 } : undefined
  }

  async #fetchPart(place: string, name: string, file: RemoteFile, at: number): Promise<StoredFile> {
    const part = await PartFile.open(place, file.name, file)
    const resumed = part.size > 0
    try {
      const { sizeBytes, sha256 } = await this.#rest(part, file, this.#watchOf(name, part, at))
      await part.finish()
      return { name: file.name, sizeBytes, sha256 }
    } catch (error) {
      const isWrong = error instanceof PeerError && error.code === 'model_hash_wrong'
      if (!isWrong) throw error
      await part.discard()
      // A power cut may have left holes in what was there: that is not the network's fault.
      if (!resumed) throw error
      this.#watch.onEvent({
        type: 'trouble',
        message: `${file.name} is fetched from its beginning.`,
      })
      return await this.#fetchPart(place, name, file, at)
    } finally {
      await part.close()
    }
  }

  async #rest(part: PartFile, file: RemoteFile, watch: DownloadWatch) {
    const { source } = this.#wanted
    if (source.type !== 'file') {
      const repo = source.type === 'hub' ? source.repo : undefined
      return await this.#parts.download.run(file, part, watch, repo)
    }
    await watch.onSize(file.sizeBytes ?? 0)
    await part.restart()
    await copyInto(part, file.url, watch)
    return { sizeBytes: part.size, sha256: part.sha256() }
  }

  #watchOf(name: string, part: PartFile, at: number): DownloadWatch {
    const { uri } = this.#wanted
    const { signal } = this.#watch
    const claim = async (sizes: readonly (number | undefined)[]) => {
      const claimedBytes = sizes.reduce<number>((sum, each) => sum + (each ?? 0), 0)
      const missingBytes = Math.max(0, claimedBytes - this.#done - part.size)
      const plan = { name, uri, sizeBytes: this.#total(), claimedBytes }
      const needs = { uri, sizeBytes: claimedBytes, missingBytes }
      await this.#parts.claimRoom({ needs, plan, signal })
    }
    return {
      signal,
      onSize: async (size) => {
        this.#sizes[at] = size
        await claim(this.#sizes)
      },
      onGrowth: (size) => claim(this.#sizes.with(at, size)),
      onBytes: (received) => {
        const receivedBytes = this.#done + received
        const sizeBytes = this.#total()
        this.#watch.onEvent({ type: 'progress', name, receivedBytes, sizeBytes })
      },
      onTrouble: this.#onTrouble,
    }
  }

  #onTrouble = (message: string): void => this.#watch.onEvent({ type: 'trouble', message })

  /** Undefined while one of them does not say. */
  #total(): number | undefined {
    const isKnown = this.#sizes.every((size) => size !== undefined)
    return isKnown ? this.#sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0) : undefined
  }

  async #idOf(place: string, files: readonly StoredFile[]): Promise<string> {
    const [first] = files
    if (files.length === 1) return cidModelId(Buffer.from(first?.sha256 ?? '', 'hex'))
    const hash = createHash('sha256')
    const { signal } = this.#watch
    for (const { name } of files) await hashFile(join(place, name), [hash], { signal })
    return cidModelId(hash.digest())
  }
}

/** After these, what is there is of no use to another try. */
const isHopeless: readonly string[] = [
  'model_hash_wrong',
  'model_file_invalid',
  'model_unsupported',
  'model_changed',
]

function changed(name: string, pinned: string, now: string): PeerError {
  return new PeerError(
    'model_replaced',
    `What ${name} was pulled from has another file now (SHA-256 ${now.slice(0, 12)}…, not ` +
      `${pinned.slice(0, 12)}…). If you want that one: models rm ${name}, then pull again.`,
  )
}

const COPY_BYTES = 1024 * 1024

async function copyInto(part: PartFile, path: string, watch: DownloadWatch): Promise<void> {
  await using file = await open(path)
  const buffer = Buffer.allocUnsafe(COPY_BYTES)
  for (;;) {
    watch.signal.throwIfAborted()
    const { bytesRead } = await file.read(buffer, 0, buffer.length)
    if (bytesRead === 0) break
    await part.append(buffer.subarray(0, bytesRead))
    watch.onBytes(part.size)
  }
  if (part.head.toString() === 'GGUF') return
  throw new PeerError('model_file_invalid', `${path} is not a GGUF file. Give the path of one.`)
}
