import { readFile } from 'node:fs/promises'
import { type LogHead, mayRun, messageOf, type PeerSeen, readPeerInfo } from '../src/index.ts'
import { HttpClient } from './http-client.ts'
import { readPeers } from './network-peers.ts'
import { readState } from './peer-state.ts'

/** Asks the peer on a data folder what it says of itself. Without a key: all of it is public. */
export async function lookForPeer(
  dataDir: string,
  { ms, signal }: { ms: number; signal: AbortSignal },
): Promise<PeerSeen> {
  // What is wrong with the folder has a line of its own.
  const info = await readPeerInfo(dataDir).catch(() => undefined)
  if (info === undefined || !mayRun(info)) return { type: 'none' }
  const { pid, http, certFile } = info
  if (http === null) return { type: 'closed', pid }
  const late = AbortSignal.timeout(ms)
  try {
    const certificate = certFile === null ? undefined : await readFile(certFile, 'utf8')
    const client = new HttpClient({ url: http, certificate })
    return await told(client, pid, AbortSignal.any([signal, late]), signal)
  } catch (error) {
    signal.throwIfAborted()
    const why = late.aborted ? `not within ${ms / 1000} s` : messageOf(error)
    return { type: 'silent', pid, http, why }
  }
}

async function told(
  client: HttpClient,
  pid: number,
  soon: AbortSignal,
  signal: AbortSignal,
): Promise<PeerSeen> {
  const [state, { self }, heads] = await Promise.all([
    readState(client, soon),
    readPeers(client, soon),
    readHeads(client, soon),
  ])
  const { peer_id: peerId, nat, ...network } = state.network
  return {
    type: 'answers',
    pid,
    http: client.url,
    peer: {
      version: state.version,
      storage: state.storage,
      network: { ...network, peerId, nat },
      models: state.models,
      gpus: self.hardware.gpus.map((each) => ({
        name: each.name,
        vramTotalBytes: each.vram_total_bytes,
      })),
      backend: self.hardware.backend,
      heads,
      later: () => readHeads(client, signal),
    },
  }
}

/** The newest heads of the logs that the peer has. */
async function readHeads(client: HttpClient, signal: AbortSignal): Promise<LogHead[]> {
  const answer = await client.json('GET', '/v8/log/heads', { signal, open: true })
  const { data } = (answer ?? {}) as { data?: unknown }
  if (!Array.isArray(data)) return []
  return data.flatMap((each: Record<string, unknown> | null) => {
    const atMs = Date.parse(String(each?.at))
    if (Number.isNaN(atMs)) return []
    const { author, epoch, size } = each ?? {}
    return [{ author: String(author), epoch: String(epoch), size: Number(size), atMs }]
  })
}
