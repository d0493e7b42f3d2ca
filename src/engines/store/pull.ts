import { join } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { Download, type DownloadOptions } from './download.ts'
import { sha256OfFile } from './hashing.ts'
import type { HttpGet } from './http-get.ts'
import type { Hub } from './hub.ts'
import { Licences } from './licences.ts'
import type { HeadFacts } from './manifest.ts'
import type { ModelFolder, StoredModel } from './model-folder.ts'
import { type ModelSource, sourceText } from './model-source.ts'
import { OnePull, type PullParts } from './one-pull.ts'
import type { Licence } from './remote-file.ts'
import { claimRoom, type RoomOptions } from './room.ts'

export interface PullComponents {
  folder: ModelFolder
  hub: Hub
  http: HttpGet
  clock: Clock
  /** Reads the head of a file; throws a PeerError where llama.cpp could not use it. */
  inspect(path: string, signal: AbortSignal): Promise<HeadFacts | undefined>
}

export interface Wanted {
  source: ModelSource
  /** What it is called here; without, as its file is. */
  name?: string | undefined
}

/** What a pull tells while it goes on. */
export type PullEvent =
  | { type: 'waiting' }
  | { type: 'checking'; name: string }
  | { type: 'licence'; licence: Licence; agreed: boolean }
  | { type: 'begins'; name: string; sizeBytes: number | undefined; files: number }
  | { type: 'progress'; name: string; receivedBytes: number; sizeBytes: number | undefined }
  | { type: 'trouble'; message: string }

export interface PullWatch {
  signal: AbortSignal
  onEvent(event: PullEvent): void
  /** Asks the person; false where there is none to ask. */
  agree(licence: Licence): Promise<boolean>
}

export interface Pulled {
  model: StoredModel
  /** It was here, and whole. */
  wasThere: boolean
}

/** Brings models into the store. */
export class Puller {
  readonly #components: PullComponents
  readonly #room: RoomOptions
  readonly #download: Download
  readonly #licences: Licences

  constructor(components: PullComponents, room: RoomOptions, download?: DownloadOptions) {
    this.#components = components
    this.#room = room
    this.#download = new Download(components.http, components.clock, download)
    this.#licences = new Licences(components.folder.root)
  }

  async pull(wanted: Wanted, watch: PullWatch): Promise<Pulled> {
    const { folder } = this.#components
    const uri = sourceText(wanted.source)
    const onWait = () => watch.onEvent({ type: 'waiting' })
    const unlock = await folder.lock(uri, { signal: watch.signal, onWait })
    try {
      await folder.finishLate(uri, watch.signal)
      const there = await folder.findUri(uri)
      if (there !== undefined && (await this.#isWhole(there, watch))) {
        return { model: there, wasThere: true }
      }
      const model = await new OnePull(this.#parts(), { ...wanted, uri }, there, watch).run()
      return { model, wasThere: false }
    } finally {
      await unlock()
    }
  }

  #parts(): PullParts {
    const { folder } = this.#components
    return {
      ...this.#components,
      download: this.#download,
      licences: this.#licences,
      claimRoom: (claim) => claimRoom(folder, claim, this.#room),
    }
  }

  /** Every byte is read. */
  async #isWhole({ name, folder, files, fault }: StoredModel, watch: PullWatch): Promise<boolean> {
    if (fault !== undefined) return false
    watch.onEvent({ type: 'checking', name })
    for (const file of files) {
      const measured = await sha256OfFile(join(folder, file.name), watch.signal)
      if (measured === file.sha256) continue
      watch.onEvent({ type: 'trouble', message: `${file.name} is damaged, and is fetched again.` })
      return false
    }
    return true
  }
}
