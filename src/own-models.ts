import { realpath, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { type Clock, systemClock } from './base/clock.ts'
import { InvalidError, PeerError } from './base/errors.ts'
import { isLoopback } from './base/loopback.ts'
import { type Config, environment } from './config/config.ts'
import type { DraftSpec, ModelSpec } from './config/model-values.ts'
import { type Fit, type FreeMemory, fitOf } from './engines/fit.ts'
import { defaultScheduler } from './engines/scheduler.ts'
import { freeBytes } from './engines/store/disk-room.ts'
import type { DownloadOptions } from './engines/store/download.ts'
import { defaultHttpGet, HttpGet, type HttpGetOptions } from './engines/store/http-get.ts'
import { defaultHub, Hub } from './engines/store/hub.ts'
import { inspector } from './engines/store/inspect.ts'
import { ModelFolder, type StoredModel, type Unfinished } from './engines/store/model-folder.ts'
import { modelSource, sourceText } from './engines/store/model-source.ts'
import { type Pulled, Puller, type PullWatch } from './engines/store/pull.ts'
import { freeMemory } from './free-memory.ts'
import { mayRun, readPeerInfo } from './peer-file.ts'

export interface OwnModelsOptions {
  env?: Readonly<Record<string, string | undefined>>
  clock?: Clock
  http?: HttpGetOptions
  download?: DownloadOptions
}

/** One that is just ending needs a moment. */
const LOCK_TRIES = 5
const LOCK_MS = 200

type Settings = Pick<Config, 'dataDir' | 'modelQuota'>

/** What is to be fetched. */
type Unnamed = Omit<ModelSpec, 'name'> & { name?: string }

/** A model or a drafter as it was asked for. */
type Spec = ModelSpec | DraftSpec

/** The models that are kept on this machine, in the data folder. */
export class OwnModels {
  readonly #dataDir: string
  readonly #quotaBytes: number | undefined
  readonly #options: OwnModelsOptions
  readonly #clock: Clock
  readonly #folder: ModelFolder
  #memory: Promise<FreeMemory> | undefined

  constructor({ dataDir, modelQuota }: Settings, options: OwnModelsOptions = {}) {
    this.#dataDir = dataDir
    this.#quotaBytes = modelQuota
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#folder = new ModelFolder(join(dataDir, 'models'), this.#clock)
  }

  list(): Promise<StoredModel[]> {
    return this.#folder.list()
  }

  unfinished(): Promise<Unfinished[]> {
    return this.#folder.unfinished()
  }

  /** By its name, or by where it came from. */
  async find(name: string): Promise<StoredModel | undefined> {
    const all = await this.#folder.list()
    const uri = uriOf(name)
    return all.find((model) => model.name === name) ?? all.find((model) => model.uri === uri)
  }

  async get(name: string): Promise<StoredModel> {
    const found = await this.find(name)
    if (found !== undefined) return found
    throw await this.#notStored(name)
  }

  /** Whether it fits into what is free now; undefined where too little is known of it. */
  async fit({ facts, sizeBytes, fault }: StoredModel): Promise<Fit | undefined> {
    if (facts === undefined || fault !== undefined) return undefined
    this.#memory ??= freeMemory(this.#options.env ?? environment)
    const { contextBytesPerToken, contextLength } = facts
    const needs = { weightsBytes: sizeBytes, contextBytesPerToken, contextLength }
    return fitOf({ ...needs, slots: defaultScheduler.slots }, await this.#memory)
  }

  /** Without a name it is called as its file is. */
  async pull({ name, path, from }: Unnamed, watch: PullWatch): Promise<Pulled> {
    const source = (from === undefined ? undefined : modelSource(from)) ?? { type: 'file', path }
    return await this.#puller().pull({ source, name }, watch)
  }

  /** Where each lies, in their order; undefined for one that would have to be fetched first. */
  async locate<T extends Spec>(specs: readonly T[]): Promise<(Located<T> | undefined)[]> {
    if (specs.every(({ from }) => from === undefined)) return [...specs]
    const stored = await this.#folder.list()
    return await Promise.all(
      specs.map(async (spec) => {
        const { path, from } = spec
        if (from === undefined || (path !== '' && (await isThere(path)))) return spec
        const uri = uriOf(from)
        const named = path === '' ? undefined : stored.find((model) => model.name === from)
        const found = named ?? stored.find((model) => model.uri === uri)
        if (found !== undefined && found.fault === undefined) {
          return { ...spec, path: found.path, id: found.id }
        }
        // Neither stored nor known: what was meant is a file, and loading says that there is none.
        return uri === undefined && found === undefined ? spec : undefined
      }),
    )
  }

  /** What a peer serves: those that lie on this machine. Throws for one that does not. */
  async ofConfig({ models, drafts }: Pick<Config, 'models' | 'drafts'>) {
    return { models: await this.#all(models), drafts: await this.#all(drafts) }
  }

  async remove(name: string): Promise<{ name: string; sizeBytes: number }> {
    const found = await this.find(name)
    if (found === undefined) return await this.#removeUnfinished(name)
    await this.#assertNotServed(found)
    const unlock = await this.#lock(found.uri === '' ? found.folder : found.uri)
    try {
      // Another process may have removed it while this one waited.
      const still = await this.find(name)
      if (still?.folder !== found.folder) throw await this.#notStored(name)
      await this.#folder.remove(found)
      // Where it was damaged, another pull of it may have broken off.
      await this.#folder.abandon(found.uri)
    } finally {
      await unlock()
    }
    return found
  }

  async #removeUnfinished(name: string): Promise<{ name: string; sizeBytes: number }> {
    const uri = uriOf(name)
    const all = await this.#folder.unfinished()
    const found = all.find((each) => each.name === name || (uri !== undefined && each.uri === uri))
    if (found === undefined) throw await this.#notStored(name)
    const unlock = await this.#lock(found.uri)
    try {
      await this.#folder.remove(found)
    } finally {
      await unlock()
    }
    return { name: found.name, sizeBytes: found.receivedBytes }
  }

  async #notStored(name: string): Promise<PeerError> {
    const names = (await this.list()).map((model) => model.name)
    const there = names.length > 0 ? ` There are: ${names.join(', ')}.` : ' There is none yet.'
    return new PeerError('model_not_stored', `No model "${name}" is stored here.${there}`)
  }

  async #lock(uri: string): Promise<() => Promise<void>> {
    for (let tries = 0; tries < LOCK_TRIES; tries++) {
      const unlock = await this.#folder.tryLock(uri)
      if (unlock !== undefined) return unlock
      await this.#clock.sleep(LOCK_MS, new AbortController().signal)
    }
    throw new PeerError(
      'model_in_use',
      'It is being pulled just now. End that first (Ctrl-C there).',
    )
  }

  async #assertNotServed({ name, folder }: StoredModel): Promise<void> {
    const info = await readPeerInfo(this.#dataDir).catch(() => undefined)
    if (info === undefined || !mayRun(info)) return
    // By where they are in the end: it may have been started with a link to the folder.
    const inside = `${await trueOf(folder)}${sep}`
    const files = await Promise.all((info.files ?? []).map(trueOf))
    if (!files.some((path) => path.startsWith(inside))) return
    throw new PeerError(
      'model_in_use',
      `The peer that runs here (process ${info.pid}) serves ${name}. Stop it, or start it without ` +
        'that model, and remove it then.',
    )
  }

  async #all<T extends Spec>(specs: readonly T[]): Promise<Located<T>[]> {
    const found = await this.locate(specs)
    return await Promise.all(
      found.map(async (each, at) => {
        const from = specs[at]?.from ?? ''
        if (each !== undefined) {
          if (from === '' || (await isThere(each.path))) return each
          throw new InvalidError(
            'model',
            `"${from}" is no file (${each.path}), no stored model, and no name that is known. ` +
              '"models list" has those that are stored; others are fetched from hf:ORG/REPO:QUANT.',
          )
        }
        const fault = (await this.find(from))?.fault ?? 'It is not on this machine yet.'
        throw new InvalidError('model', `${from}: ${fault} Fetch it with "models pull ${from}".`)
      }),
    )
  }

  #puller(): Puller {
    const { env = environment, http: options = defaultHttpGet, download } = this.#options
    const endpoint = endpointOf(env.HF_ENDPOINT)
    const credential = { origin: new URL(endpoint).origin, token: tokenOf(env.HF_TOKEN) }
    const http = new HttpGet(this.#clock, credential, options)
    const hub = new Hub(http, endpoint)
    const parts = { folder: this.#folder, hub, http, clock: this.#clock, inspect: inspector(env) }
    return new Puller(parts, { quotaBytes: this.#quotaBytes, free: freeBytes }, download)
  }
}

export type Located<T> = T & { id?: string }

function uriOf(text: string): string | undefined {
  try {
    const source = modelSource(text)
    return source === undefined ? undefined : sourceText(source)
  } catch {
    return undefined
  }
}

const trueOf = (path: string): Promise<string> => realpath(path).catch(() => path)

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

/** As the hub's own tools read it. */
function endpointOf(text: string | undefined): string {
  if (text === undefined || text.trim() === '') return defaultHub
  const url = URL.canParse(text.trim()) ? new URL(text.trim()) : undefined
  const isSafe =
    url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url.hostname))
  if (url !== undefined && isSafe) return url.href
  throw new InvalidError('HF_ENDPOINT', `HF_ENDPOINT: expected an https:// address, got "${text}".`)
}

function tokenOf(text: string | undefined): string | undefined {
  const token = text?.trim() ?? ''
  if (token === '') return undefined
  if (/^[\x21-\x7e]{1,500}$/.test(token)) return token
  throw new InvalidError('HF_TOKEN', 'HF_TOKEN: this is no token. Copy it again from the hub.')
}
