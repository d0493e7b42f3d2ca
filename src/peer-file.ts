import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** What a running peer leaves in its data folder, so that other programs of its owner find it. */
export interface PeerInfo {
  version: string
  peerId: string
  pid: number
  /** Base address of the HTTP endpoint; null when it has none. */
  http: string | null
  /** Certificate chain (PEM) the endpoint shows, to be trusted by whoever read it here. */
  certFile: string | null
  /** The model files that it serves, which must stay where they are. */
  files?: readonly string[]
}

const peerFileName = 'peer.json'
const ownerOnly = 0o600

/** Written beside and renamed: a reader sees all of it or none. */
export async function writePeerInfo(dataDir: string, info: PeerInfo): Promise<void> {
  const path = join(dataDir, peerFileName)
  // One name for all: the folder has one peer, and a crash must not leave a file each time.
  const fresh = `${path}.tmp`
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  // A left-over of a crash could have other rights, and writing to it would keep them.
  await rm(fresh, { force: true })
  await writeFile(fresh, `${JSON.stringify(info, null, 2)}\n`, { mode: ownerOnly, flag: 'wx' })
  await rename(fresh, path)
}

/** Removes the file unless a peer that was started since has written its own. */
export async function removePeerInfo(dataDir: string, pid: number): Promise<void> {
  const info = await readPeerInfo(dataDir)
  if (info === undefined || info.pid === pid) {
    await rm(join(dataDir, peerFileName), { force: true })
  }
}

/**
 * The peer that last said it runs on this folder; undefined when none did or the file is damaged.
 * After a crash the file is stale: ask `mayRun`, and trust only an answer of the endpoint.
 */
export async function readPeerInfo(dataDir: string): Promise<PeerInfo | undefined> {
  let value: unknown
  try {
    value = JSON.parse(await readFile(join(dataDir, peerFileName), 'utf8'))
  } catch (error) {
    if (error instanceof SyntaxError || isMissing(error)) return undefined
    throw error
  }
  return isPeerInfo(value) ? value : undefined
}

/**
 * False when its process is certainly gone: none has that number, or one of another user, who could
 * not have written the file. A later process of the same user may have been given the number.
 */
export function mayRun({ pid }: PeerInfo): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

function isPeerInfo(value: unknown): value is PeerInfo {
  if (typeof value !== 'object' || value === null) return false
  const { version, peerId, pid, http, certFile, files } = value as Partial<Record<string, unknown>>
  return (
    typeof version === 'string' &&
    typeof peerId === 'string' &&
    Number.isSafeInteger(pid) &&
    Number(pid) > 0 &&
    (http === null || (typeof http === 'string' && /^https?:$/.test(protocolOf(http)))) &&
    (certFile === null || typeof certFile === 'string') &&
    (files === undefined ||
      (Array.isArray(files) && files.every((each) => typeof each === 'string')))
  )
}

const protocolOf = (url: string): string => (URL.canParse(url) ? new URL(url).protocol : '')

const isMissing = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ENOENT'
