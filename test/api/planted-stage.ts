import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { base32 } from 'multiformats/bases/base32'
import { onTestFinished } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import type { Service } from '../../src/base/lifecycle.ts'
import type { LogData, Logger } from '../../src/base/logger.ts'
import type { ModelStatus } from '../../src/engines/engine.ts'
import { createVerifyNative } from '../../src/identity/verify-native.ts'
import { createPeer, type FlagValues, readConfig } from '../../src/index.ts'
import { ADVERT_RECORD, advertRecordCheck } from '../../src/network/discovery/advert-record.ts'
import { MemoryHub } from '../../src/network/memory/memory-hub.ts'
import type { MemoryNetwork } from '../../src/network/memory/memory-network.ts'
import type { FrameStream, Network, Wait } from '../../src/network/network.ts'
import { openLevel } from '../../src/storage/level-backend.ts'
import { encodeWork } from '../../src/wire/job-body.ts'
import { cidModelId } from '../../src/wire/model-id.ts'
import { ScriptedEngine } from './scripted-engine.ts'

// Whole peers in one process, of which a test sees everything that they say and keep.

/** Something that came out of a peer, and where. */
export interface Seen {
  where: string
  bytes: Buffer
}

/** Serves models that always say the same, or none. */
class PlantedEngine extends ScriptedEngine implements Service {
  /** The bodies of all jobs, as they are hashed. */
  readonly bodies: Uint8Array[] = []
  readonly #serves: boolean

  constructor(output: readonly string[], serves: boolean) {
    super()
    this.#serves = serves
    const plain = this.script
    this.script = async function* (this: void, job, signal) {
      bodies.push(encodeWork(job.work))
      if (job.work.kind === 'embedding') return yield* plain(job, signal)
      yield { type: 'accepted', inputTokens: 5 }
      for (const [index, text] of output.entries()) {
        yield { type: 'tokens', choice: 0, index, ids: [index], text }
      }
      const usage = { inputTokens: 5, cachedTokens: 0, outputTokens: output.length }
      yield { type: 'done', finish: ['stop'], usage }
    }
    const { bodies } = this
  }

  override status(): ModelStatus[] {
    if (!this.#serves) return []
    return super.status().map((model) => ({ ...model, id: cidModelId(sha256(model.name)) }))
  }

  override resolve(name: string): ModelStatus | undefined {
    return this.status().find((model) => model.name === name)
  }

  async start(): Promise<void> {}
  async stop(): Promise<void> {}
}

export interface PlantedPeer {
  peerId: string
  http: string
  ownerKey: string
  dataDir: string
  network: MemoryNetwork
  engine: PlantedEngine
  stop(): Promise<void>
}

/** Peers that are connected with each other, one for each of the flags. */
export async function startPeers(flags: readonly FlagValues[], output: readonly string[]) {
  const hub = new MemoryHub({ clock: systemClock })
  /** All that was said between peers, and to the log of the program. */
  const frames: Seen[] = []
  const lines: Seen[] = []
  const peers: PlantedPeer[] = []
  for (const each of flags) peers.push(await startOne(hub, each, { output, frames, lines }))
  for (const { network } of peers) {
    for (const { network: other } of peers) {
      if (network.isConnected(other.peerId)) continue
      const signal = AbortSignal.timeout(5_000)
      if (other !== network) await network.connect(other.peerId, [other.address], { signal })
    }
  }
  return { peers, frames, lines }
}

async function startOne(
  hub: MemoryHub,
  flags: FlagValues,
  { output, frames, lines }: { output: readonly string[]; frames: Seen[]; lines: Seen[] },
): Promise<PlantedPeer> {
  const dataDir = mkdtempSync(join(tmpdir(), 'pinaivu-planted-'))
  const free = { http: '127.0.0.1:0', 'no-demo': true, 'data-dir': dataDir, network: 'planted' }
  const check = advertRecordCheck({ network: 'planted', verify: createVerifyNative() })
  const engine = new PlantedEngine(output, String(flags.roles).includes('provider'))
  let inner: MemoryNetwork | undefined
  const peer = await createPeer(readConfig({ flags: { ...free, ...flags }, env: {} }), {
    engine,
    logger: recorded(lines, 'log'),
    network({ peerId }) {
      inner = hub.network(peerId, { records: { [ADVERT_RECORD]: check } })
      return tapped(inner, frames)
    },
  })
  let stopping: Promise<void> | undefined
  const stop = () => {
    stopping ??= peer.stop()
    return stopping
  }
  onTestFinished(async () => {
    await stop()
    rmSync(dataDir, { recursive: true, force: true })
  })
  await peer.start({ signal: AbortSignal.timeout(20_000) })
  const { peerId, http, apiKey: ownerKey } = peer.ready()
  const network = inner as MemoryNetwork
  return { peerId, http: http as string, ownerKey, dataDir, network, engine, stop }
}

function recorded(lines: Seen[], room: string): Logger {
  const line = (message: string, data: LogData = {}) => {
    const text = JSON.stringify(data, (_key, value) =>
      value instanceof Error ? `${value.stack} ${JSON.stringify({ ...value })}` : value,
    )
    lines.push({ where: `log line of ${room}`, bytes: Buffer.from(`${message} ${text}`) })
  }
  const child = (name: string) => recorded(lines, name)
  return { debug: line, info: line, warn: line, error: line, child }
}

/** The same network; whatever goes over it is kept. */
function tapped(network: MemoryNetwork, frames: Seen[]): Network {
  const keep = (where: string, bytes: Uint8Array | undefined) => {
    if (bytes !== undefined) frames.push({ where, bytes: Buffer.from(bytes) })
  }
  const ownWays: Partial<Network> = {
    publish(topic, message) {
      keep(topic, message)
      return network.publish(topic, message)
    },
    async open(peerId, protocol, wait) {
      const stream = await network.open(peerId, protocol, wait)
      // Both directions of it are seen at this end.
      return withOwn<FrameStream>(stream, {
        async read(wait: Wait) {
          const frame = await stream.read(wait)
          keep(protocol, frame)
          return frame
        },
        write(frame: Uint8Array) {
          keep(protocol, frame)
          stream.write(frame)
        },
      })
    },
    async putRecord(kind, value, wait) {
      keep(kind, value)
      return network.putRecord(kind, value, wait)
    },
  }
  return withOwn<Network>(network, ownWays)
}

function withOwn<T extends object>(target: T, own: Partial<T>): T {
  return new Proxy(target, {
    get(_target, name) {
      const value: unknown = Reflect.get(name in own ? own : target, name)
      return typeof value === 'function' && !(name in own) ? value.bind(target) : value
    },
  })
}

/** Every file of the database as it lies on the disk, while nothing was compacted yet. */
export const filesOf = ({ dataDir }: PlantedPeer): Seen[] =>
  readdirSync(join(dataDir, 'store')).map((name) => ({
    where: `file ${name}`,
    bytes: readFileSync(join(dataDir, 'store', name)),
  }))

/** Every row of the database, by its table. */
export async function rowsOf({ dataDir }: PlantedPeer): Promise<Seen[]> {
  const backend = await openLevel(dataDir)
  const rows: Seen[] = []
  const all = { gte: new Uint8Array(), lt: Uint8Array.of(255), reverse: false, limit: 100_000 }
  for await (const [key, value] of backend.range(all)) {
    const [length = 0] = key
    const table = Buffer.from(key.subarray(1, 1 + length)).toString()
    rows.push({ where: table, bytes: Buffer.concat([key, value]) })
  }
  await backend.close()
  return rows
}

export const sha256 = (of: string | Uint8Array): Buffer => createHash('sha256').update(of).digest()

/** All that a thing might look like, as text and in the encodings that are used here. */
export function spellingsOf(secret: string | Uint8Array): Buffer[] {
  const bytes = Buffer.from(secret)
  const base64 = (['base64', 'base64url'] as const).map((as) => bytes.toString(as))
  // The last character also depends on what follows: what is before it is enough.
  const texts = [bytes.toString('hex'), ...base64.map((text) => text.replace(/.=*$/, ''))]
  const cid = base32.encode(Buffer.concat([Buffer.of(0x01, 0x55, 0x12, 0x20), bytes]))
  const upper = bytes.toString('hex').toUpperCase()
  return [
    bytes,
    ...[...texts, upper, ...(bytes.length === 32 ? [cid] : [])].map((t) => Buffer.from(t)),
  ]
}

/** Where any of these stand: `what at where`, once each. */
export function findAll(
  secrets: Readonly<Record<string, readonly Buffer[]>>,
  seen: readonly Seen[],
): string[] {
  const found = seen.flatMap(({ where, bytes }) =>
    Object.entries(secrets)
      .filter(([, spellings]) => spellings.some((each) => bytes.includes(each)))
      .map(([what]) => `${what} at ${where}`),
  )
  return [...new Set(found)].sort()
}
