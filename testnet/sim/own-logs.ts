import {
  decodeEntry,
  type Execution,
  feedName,
  feedTables,
  openStoreOn,
  type Routing,
  readBody,
  readHead,
  silentLogger,
} from '../../src/simulation.ts'
import type { SimPeer } from './sim-peer.ts'

/** The logs on the disk of one peer, as a reader finds them there. */
export interface DiskLogs {
  /** Feed → how many entries of it are here, and the root that its author signed. */
  feeds: Map<string, LogEnd>
  /** Of its own logs, in their order. */
  routings: Routing[]
  /** Likewise, by the text of their CIDs. */
  executions: Map<string, Execution>
  /** The log that it shows to others. */
  shown: string | undefined
}

export interface LogEnd {
  size: number
  head: string | undefined
}

export async function logsOf(peer: SimPeer): Promise<DiskLogs> {
  const store = await openStoreOn(peer.disk.rows, { logger: silentLogger })
  const tables = feedTables(store)
  const author = peer.identity.publicKey
  const own = await tables.own.get({ author, name: 'public' })
  const logs: DiskLogs = {
    feeds: new Map(),
    routings: [],
    executions: new Map(),
    shown: own && feedName({ author, epoch: own.epoch }),
  }
  for await (const [feed, { size, head }] of tables.feeds.range()) {
    const root = head && Buffer.from(readHead(head).root).toString('hex')
    logs.feeds.set(feedName(feed), { size, head: root })
    if (!Buffer.from(feed.author).equals(author)) continue
    const range = { gte: { feed, index: 0 }, lt: { feed, index: size } }
    for await (const [, { bytes }] of tables.entries.range(range)) readInto(logs, bytes)
  }
  return logs
}

function readInto(logs: DiskLogs, bytes: Uint8Array): void {
  const { entry, cid } = decodeEntry(bytes)
  const read = readBody(entry)
  if (read?.kind === 'routing') logs.routings.push(read.body)
  if (read?.kind === 'execution') logs.executions.set(`${cid}`, read.body)
}
