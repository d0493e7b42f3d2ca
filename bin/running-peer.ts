import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { mayRun, messageOf, type PeerInfo, readPeerInfo } from '../src/index.ts'
import { HttpClient, UnreachableError } from './http-client.ts'
import { CommandError } from './io.ts'

const ownerKeyFile = 'owner.key'

export interface RunningPeer {
  info: PeerInfo
  client: HttpClient
}

/** The peer that runs on a data folder, or undefined, perhaps with a reason to be told. */
export async function findPeer(
  dataDir: string,
  signal: AbortSignal,
  onSilence: (reason: string) => void = () => {},
): Promise<RunningPeer | undefined> {
  const info = await readPeerInfo(dataDir).catch((cause: unknown) => {
    throw new CommandError(`Cannot look into ${dataDir}: ${messageOf(cause)}`, { cause })
  })
  if (info === undefined || !mayRun(info)) return undefined
  if (info.http === null) {
    throw new CommandError(
      `The peer on ${dataDir} runs with --no-http, and commands talk to its HTTP endpoint.`,
    )
  }
  const client = await openClient(dataDir, info.http, info.certFile)
  try {
    // Without the key: after a crash another program may listen there, and must not be given it.
    const health = await client.json('GET', '/healthz', { signal, open: true })
    if ((health as { status?: unknown } | null)?.status !== 'ok') {
      throw new CommandError(`What answers at ${info.http} is no peer.`)
    }
  } catch (error) {
    // Left behind by a peer that crashed: its process number now belongs to another.
    if (!(error instanceof UnreachableError)) throw error
    onSilence(` (Process ${info.pid} was one, but ${error.message})`)
    return undefined
  }
  return { info, client }
}

/** The same for a command that can do nothing without one. */
export async function requirePeer(dataDir: string, signal: AbortSignal): Promise<RunningPeer> {
  let reason = ''
  const found = await findPeer(dataDir, signal, (given) => {
    reason = given
  })
  if (found !== undefined) return found
  throw new CommandError(
    `No peer is running on ${dataDir}. Start one with "pinaivu-peer start".${reason}`,
  )
}

/** A client of the peer at this address with the owner's key. */
export async function openClient(
  dataDir: string,
  url: string,
  certFile: string | null,
): Promise<HttpClient> {
  const keyPath = join(dataDir, ownerKeyFile)
  const key = (await readable(keyPath)).trim()
  if (key === '') {
    throw new CommandError(
      `${keyPath} is empty. Delete it and restart the peer: it makes a new key.`,
    )
  }
  const certificate = certFile === null ? undefined : await readable(certFile)
  return new HttpClient({ url, key, certificate })
}

async function readable(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new CommandError(`Cannot read ${path}: ${messageOf(cause)}`, { cause })
  }
}
