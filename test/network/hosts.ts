import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { systemClock } from '../../src/base/clock.ts'
import type { LogData, Logger } from '../../src/base/logger.ts'
import { noMetrics } from '../../src/base/metrics.ts'
import { systemRandom } from '../../src/base/random.ts'
import type { Ban, BanStore } from '../../src/network/host/bans.ts'
import {
  defaultHost,
  type HostComponents,
  type HostOptions,
  Libp2pHost,
} from '../../src/network/host/libp2p-host.ts'

/** Bans kept in memory. */
export function banStore(bans = new Map<string, Ban>()): BanStore {
  return {
    async *range() {
      yield* bans
    },
    async put(peerId, ban) {
      bans.set(peerId, ban)
    },
    async del(peerId) {
      bans.delete(peerId)
    },
  }
}

/** What a host needs beside its identity. */
export function hostParts(logger: Logger = recorder().logger): Omit<HostComponents, 'identity'> {
  return {
    bans: banStore(),
    logger,
    metrics: noMetrics,
    clock: systemClock,
    random: systemRandom,
  }
}

type Identity = HostComponents['identity']

const LOOPBACK = ['/ip4/127.0.0.1/tcp/0']
let made = 0
const running: Libp2pHost[] = []

export async function stopHosts(): Promise<void> {
  await Promise.all(running.splice(0).map((host) => host.stop()))
}

export async function identityOf(seed: Uint8Array): Promise<Identity> {
  const key = await generateKeyPairFromSeed('Ed25519', seed)
  return { peerId: peerIdFromPrivateKey(key).toString(), privateKeySeed: () => seed }
}

/** An identity nobody else in this file has. */
export async function newIdentity(): Promise<Identity> {
  const seed = new Uint8Array(32).fill(7)
  new DataView(seed.buffer).setUint32(0, ++made)
  return await identityOf(seed)
}

export async function newHost(
  options: Partial<HostOptions> = {},
  components: Partial<HostComponents> = {},
) {
  const host = new Libp2pHost(
    { ...hostParts(), identity: await newIdentity(), ...components },
    { ...defaultHost, listen: LOOPBACK, network: 'test', version: '1.2.3', ...options },
  )
  running.push(host)
  return host
}

/** A host that listens on loopback; `stopHosts` stops it. */
export async function startHost(
  options: Partial<HostOptions> = {},
  components: Partial<HostComponents> = {},
) {
  const host = await newHost(options, components)
  await host.start({ signal: AbortSignal.timeout(10_000) })
  return host
}

/** As many hosts as asked for, all joined through the first. */
export async function startHosts(
  count: number,
  options: Partial<HostOptions> = {},
  withinMs?: number,
) {
  const first = await startHost(options)
  const bootstrap = first.status().addrs
  const others = await Promise.all(
    Array.from({ length: count - 1 }, () => startHost({ ...options, bootstrap })),
  )
  await eventually(() => first.status().connections === count - 1, withinMs)
  return [first, ...others]
}

/** Looks again and again, for the few things that libp2p has no event for. */
export async function eventually(condition: () => boolean, withinMs = 8_000): Promise<void> {
  const signal = AbortSignal.timeout(withinMs)
  while (!condition()) {
    if (signal.aborted) throw new Error(`still not so: ${condition}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

export interface Line {
  level: string
  message: string
  data: LogData
}

export function recorder() {
  const lines: Line[] = []
  const at =
    (level: string) =>
    (message: string, data: LogData = {}) =>
      void lines.push({ level, message, data })
  const logger: Logger = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => logger,
  }
  return { logger, lines }
}

export function at<T>(list: readonly T[], index: number): T {
  const item = list.at(index)
  if (item === undefined) throw new Error(`nothing at ${index}`)
  return item
}
