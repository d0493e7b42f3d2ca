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

/** The peer that runs on a data folder, or undefined; what answers there is certainly that peer. */
export async function findPeer(
  dataDir: string,
  signal: AbortSignal,
): Promise<RunningPeer | undefined> {
  const info = await readPeerInfo(dataDir)
  if (info === undefined || !mayRun(info)) return undefined
  if (info.http === null) {
    throw new CommandError(
      `The peer on ${dataDir} runs with --no-http, and commands talk to its HTTP endpoint.`,
    )
  }
  const client = await openClient(dataDir, info.http, info.certFile)
  try {
    await client.json('GET', '/healthz', { signal })
  } catch (error) {
    // Left behind by a peer that crashed: its process number now belongs to another.
    if (error instanceof UnreachableError) return undefined
    throw error
  }
  return { info, client }
}

/** The same for a command that can do nothing without one. */
export async function requirePeer(dataDir: string, signal: AbortSignal): Promise<RunningPeer> {
  const found = await findPeer(dataDir, signal)
  if (found !== undefined) return found
  throw new CommandError(`No peer is running on ${dataDir}. Start one with "pinaivu-peer start".`)
}

/** A client of the peer at this address with the owner's key. */
export async function openClient(
  dataDir: string,
  url: string,
  certFile: string | null,
): Promise<HttpClient> {
  const key = await readable(join(dataDir, ownerKeyFile))
  const certificate = certFile === null ? undefined : await readable(certFile)
  return new HttpClient({ url, key: key.trim(), certificate })
}

async function readable(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new CommandError(`Cannot read ${path}: ${messageOf(cause)}`, { cause })
  }
}
