import { access, constants } from 'node:fs/promises'
import { readOwnerKey } from './accounts/owner-key.ts'
import { type Clock, systemClock } from './base/clock.ts'
import { InvalidError, messageOf } from './base/errors.ts'
import {
  type Config,
  type ConfigSources,
  environment,
  findDataDir,
  readConfig,
} from './config/config.ts'
import { bootstrap, type Knocked, knockAll } from './doctor/bootstrap.ts'
import { dataFolder } from './doctor/data-folder.ts'
import { database } from './doctor/database.ts'
import { disk, diskHangs } from './doctor/disk.ts'
import { type Finding, type Found, fail, ok, skip, warn } from './doctor/finding.ts'
import { gpu, usedBy, usedIn } from './doctor/gpu.ts'
import { readGraphics } from './doctor/graphics.ts'
import { lockHolder, tellsHolder } from './doctor/lock-holder.ts'
import { models, notFetched } from './doctor/models.ts'
import { nat, ownAddresses } from './doctor/nat.ts'
import { nodeVersion } from './doctor/node-version.ts'
import type { LogHead, PeerSeen } from './doctor/peer-seen.ts'
import { type Place, placeOf, ports } from './doctor/ports.ts'
import { type Check, runChecks } from './doctor/run-checks.ts'
import { running } from './doctor/running.ts'
import { newestFile, offsetsOf, time } from './doctor/time.ts'
import { isTimeSynced } from './doctor/time-sync.ts'
import { readSystem } from './engines/hardware.ts'
import { probeEngine } from './engines/llama/probe.ts'
import { listModels, type ModelFile } from './engines/model-store.ts'
import { readIdentity } from './identity/key-file.ts'
import { OwnModels } from './own-models.ts'
import { lookAtStore } from './storage/look.ts'
import { nodeNeeded, version } from './version.ts'

export interface ExamineOptions {
  sources: ConfigSources
  /** Asks the peer on the data folder, if one runs there. */
  lookForPeer(dataDir: string, wait: { ms: number; signal: AbortSignal }): Promise<PeerSeen>
  signal: AbortSignal
  clock?: Clock
  /** Where the file system begins, for what is read of the machine's devices. */
  root?: string
  /** Names of checks; all of them without. */
  only?: readonly string[]
  /** For each check, and so for all, as they are done side by side. */
  ms?: number
}

/** With the start of the program less than five seconds. */
const CHECK_MS = 4_000
/** What a check does in steps may take so much of its time for each. */
const STEP = 0.5
/** Between two looks at the logs of other peers. */
const LOOK_AGAIN = 0.4

/** Looks for what keeps a peer of this configuration from working, running or not. Changes nothing. */
export async function examine(options: ExamineOptions): Promise<Finding[]> {
  const { signal, clock = systemClock, ms = CHECK_MS, only } = options
  const late = new AbortController()
  const cancel = clock.after(ms, () => late.abort())
  try {
    const soon = AbortSignal.any([signal, late.signal])
    const checks = checksOf(new Examination({ ...options, clock, ms, signal: soon }))
    const wanted = checks.filter(({ name }) => only?.includes(name) ?? true)
    return await runChecks(wanted, clock, { ms, signal })
  } finally {
    cancel()
    late.abort()
  }
}

/** What several checks need, found out once, when the first of them asks. */
class Examination {
  readonly config: Config
  /** What is wrong with the configuration; `config` is then the default one. */
  readonly fault: InvalidError | undefined
  readonly clock: Clock
  readonly env: Readonly<Record<string, string | undefined>>
  readonly ms: number
  /** Aborts when the time is up: what several checks share is nobody's alone. */
  readonly signal: AbortSignal
  readonly #options: ExamineOptions
  readonly #answers = new Map<string, Promise<unknown>>()

  constructor(options: ExamineOptions & { clock: Clock; ms: number }) {
    const { sources, clock, ms, signal } = options
    this.#options = options
    this.clock = clock
    this.ms = ms
    this.signal = signal
    this.env = sources.env ?? environment
    try {
      this.config = readConfig(sources)
    } catch (error) {
      if (!(error instanceof InvalidError)) throw error
      this.fault = error
      const flags = { 'data-dir': findDataDir(sources) }
      this.config = readConfig({ flags, env: {}, readFile: () => undefined })
    }
  }

  get dataDir(): string {
    return this.config.dataDir
  }

  seen = () =>
    this.#once('seen', async (): Promise<PeerSeen> => {
      const { ms, signal } = this
      const seen = await this.#options.lookForPeer(this.dataDir, { ms: ms * STEP, signal })
      if (seen.type !== 'silent' || !tellsHolder || (await this.holder()) !== undefined) return seen
      // A process that was given the number of a peer that crashed.
      return { type: 'none' }
    })

  holder = () => this.#once('holder', () => lockHolder(this.dataDir))

  graphics = () =>
    this.#once('graphics', () => {
      const { env, ms, signal } = this
      return readGraphics({ env, root: this.#options.root, ms: ms * STEP, signal })
    })

  /** Some 0.5 s, and a moment's memory: only where no peer has said it. */
  probe = () =>
    this.#once('probe', async () => {
      const { env, signal } = this
      return probeEngine({ env, models: filesOf(await this.files()), signal })
    })

  knocked = () => this.#once('knocked', () => this.#knock())

  located = () =>
    this.#once('located', async () => {
      const { models, drafts, demo } = this.config
      const own = new OwnModels(this.config, { clock: this.clock })
      const there = await own.locate(models)
      const drafting = await own.locate(drafts)
      const specs = [...models, ...drafts]
      const missing = specs.filter((_, at) => [...there, ...drafting][at] === undefined)
      const found = there.filter((each) => each !== undefined)
      // A drafter whose model is still to come drafts for nobody.
      const small = missing.length > 0 ? [] : drafting.filter((each) => each !== undefined)
      return {
        files: listModels({ models: found, drafts: small, demo }),
        missing: missing.flatMap(({ from }) => from ?? []),
      }
    })

  /** Without those that are still to be fetched. */
  files = async (): Promise<ModelFile[]> => (await this.located()).files

  #once<T>(name: string, find: () => Promise<T>): Promise<T> {
    const known = this.#answers.get(name) as Promise<T> | undefined
    const found = known ?? find()
    this.#answers.set(name, found)
    // Whoever asked may not wait for it any more.
    found.catch(() => {})
    return found
  }

  async #knock(): Promise<Knocked[]> {
    const { bootstrap, network } = this.config
    if (this.fault !== undefined || bootstrap.length === 0) return []
    const own = await readIdentity(this.dataDir).catch(() => undefined)
    // A testnet gives one list to all.
    const others = bootstrap.filter((address) => !address.endsWith(`/p2p/${own?.peerId}`))
    // All of libp2p, for this alone.
    const { Knocker } = await import('./network/host/knock.ts')
    const { ms, signal } = this
    const knocker = new Knocker(this.clock, { network, ms, signal })
    try {
      return await knockAll(others, (address) => knocker.knock(address))
    } finally {
      await knocker.stop()
    }
  }
}

function checksOf(about: Examination): Check[] {
  const { config, dataDir, clock } = about
  const keys = [() => readIdentity(dataDir), () => readOwnerKey(dataDir)]
  return [
    { name: 'node', look: async () => nodeVersion(process.versions.node, nodeNeeded) },
    { name: 'config', look: async () => configuration(about) },
    {
      name: 'peer',
      look: async () =>
        running(await about.seen(), { dataDir, version, holder: await about.holder() }),
    },
    { name: 'data folder', look: () => dataFolder(dataDir, keys) },
    {
      name: 'database',
      look: async (signal) => {
        const [seen, holder] = await Promise.all([about.seen(), about.holder()])
        const inUse = seen.type !== 'none' || holder !== undefined
        return database(seen, await lookAtStore(dataDir, { inUse, signal }))
      },
    },
    { name: 'disk', look: (signal) => disk(dataDir, clock, signal), late: diskHangs },
    {
      name: 'ports',
      look: async (signal) => ports(await about.seen(), placesOf(config), signal),
    },
    { name: 'network', look: () => joining(about) },
    { name: 'nat', look: () => reachability(about) },
    { name: 'gpu', look: () => graphicsCard(about) },
    { name: 'models', look: () => servedModels(about) },
    { name: 'clock', look: (signal) => timeOf(about, signal) },
  ]
}

async function configuration({ fault, config }: Examination): Promise<Found | Found[]> {
  if (fault !== undefined) {
    const next = 'Correct it there; what depends on it was looked at with the defaults.'
    return fail('config_invalid', fault.message, next)
  }
  const { dataDir, notices, tls } = config
  for (const path of tls === null ? [] : [tls.certFile, tls.keyFile]) {
    const error = await access(path, constants.R_OK).catch(messageOf)
    const next = 'Correct --tls-cert and --tls-key, or let the user of the peer read the file.'
    if (error !== undefined) return fail('tls_unreadable', `${path} can't be read: ${error}.`, next)
  }
  if (notices.length === 0) return ok(`Nothing is wrong with it (config.toml in ${dataDir}).`)
  return notices.map((notice) => warn('config_odd', notice, 'Correct or remove it.'))
}

function placesOf({ listen, http }: Config): Place[] {
  const peers = listen.flatMap((address) => placeOf(address) ?? [])
  return http === null ? peers : [...peers, { option: '--http', ...http }]
}

async function joining(about: Examination): Promise<Found[]> {
  const [seen, met] = await Promise.all([about.seen(), about.knocked()])
  if (about.fault !== undefined && seen.type !== 'answers') {
    return [skip('How to join others stands in the configuration, which is to be corrected first.')]
  }
  return bootstrap(seen, about.config, met)
}

async function reachability(about: Examination): Promise<Found> {
  const [seen, met] = await Promise.all([about.seen(), about.knocked()])
  const seenAs = met.flatMap((each) => each.seenAs ?? [])
  const told = seen.type === 'answers' ? seen.peer.network.bootstrap : about.config.bootstrap.length
  return nat(seen, { own: ownAddresses(), seenAs, joins: told > 0 })
}

async function graphicsCard(about: Examination): Promise<Found> {
  const [seen, there] = await Promise.all([about.seen(), about.graphics()])
  const said = seen.type === 'answers' ? usedBy(seen.peer) : undefined
  if (said !== undefined && (said.backend !== 'cpu' || there.makers.length === 0)) {
    return gpu(said, there, undefined)
  }
  const probe = await about.probe()
  return gpu(said ?? usedIn(probe), there, probe)
}

/** Those of models, and of what drafts for them. */
const filesOf = (models: readonly ModelFile[]): string[] =>
  models.flatMap(({ path, draft }) => (draft === undefined ? [path] : [path, draft]))

async function servedModels(about: Examination): Promise<Found[]> {
  const seen = await about.seen()
  const files = await about.files()
  if (seen.type === 'answers') return models(seen, files, [], { ramBytes: 0, vramBytes: 0 })
  if (files.length === 0 && about.config.upstreams.length > 0) {
    return [skip('Its models are run by other servers: the peer says how they are once it runs.')]
  }
  const probe = await about.probe()
  const { ramBytes } = readSystem()
  const vramBytes = probe.hardware?.vramTotalBytes ?? 0
  const { missing } = await about.located()
  const found = models(seen, files, probe.models, { ramBytes, vramBytes })
  if (missing.length === 0) return found
  const toCome = missing.map(notFetched)
  return files.length > 0 ? [...found, ...toCome] : toCome
}

async function timeOf(about: Examination, signal: AbortSignal): Promise<Found> {
  const { clock, dataDir, env } = about
  const [newestFileMs, isSynced, offsets] = await Promise.all([
    newestFile(dataDir),
    isTimeSynced(env, signal),
    peerClocks(about, signal),
  ])
  return time({ now: clock.now(), newestFileMs, offsets, isSynced })
}

async function peerClocks(about: Examination, signal: AbortSignal): Promise<number[]> {
  const { clock } = about
  const seen = await about.seen()
  if (seen.type !== 'answers') return []
  const { heads, later, network } = seen.peer
  const before = { heads, now: clock.now() }
  await clock.sleep(about.ms * LOOK_AGAIN, signal)
  const again: LogHead[] = await later()
  return offsetsOf(before, { heads: again, now: clock.now() }, network.peerId)
}
