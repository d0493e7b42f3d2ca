import { PeerError } from '../../base/errors.ts'
import type { ModelKind } from '../engine.ts'
import { hashOf, type Licence, sizeOf } from './remote-file.ts'

/** What the head of a model's file says, read once. */
export interface HeadFacts {
  kind: ModelKind
  architecture: string
  parameters: number
  quant: string
  /** Tokens it was trained for. */
  contextLength: number
  /** Of memory, for each token that is kept for an answer. */
  contextBytesPerToken: number
}

export interface StoredFile {
  name: string
  sizeBytes: number
  sha256: string
}

/** What is known of a model in the store; written when all of it is there. */
export interface Manifest {
  name: string
  /** Where it came from. */
  uri: string
  /** In their order. */
  files: readonly StoredFile[]
  /** `cid:…` of all its bytes. */
  id: string
  /** Milliseconds since the epoch. */
  pulledAt: number
  commit?: string | undefined
  licence?: Licence | undefined
  facts?: HeadFacts | undefined
}

const VERSION = 1
const FILES_MAX = 1000
/** Of a Date. */
const DATE_MAX = 8.64e15

export const manifestText = (manifest: Manifest): string =>
  `${JSON.stringify({ version: VERSION, ...manifest }, null, 2)}\n`

/** Throws where the text is no manifest of ours. */
export function readManifest(text: string): Manifest {
  const value = JSON.parse(text) as Partial<Record<string, unknown>>
  const { version, name, uri, files, id, pulledAt } = value
  if (typeof version === 'number' && version > VERSION) {
    throw new PeerError('model_store_newer', 'A newer pinaivu-peer wrote it. Use that one.')
  }
  const isWhole =
    version === VERSION &&
    [name, uri, id].every((each) => typeof each === 'string' && each !== '') &&
    typeof pulledAt === 'number' &&
    Math.abs(pulledAt) <= DATE_MAX &&
    Array.isArray(files) &&
    files.length > 0 &&
    files.length <= FILES_MAX &&
    files.every(isStoredFile)
  if (!isWhole) throw new PeerError('model_store_damaged', 'Its note is damaged.')
  // Beside what makes a model, these are worth less than that it is listed.
  const { facts, licence } = value
  return {
    ...(value as unknown as Manifest),
    facts: isHeadFacts(facts) ? facts : undefined,
    licence: isLicence(licence) ? licence : undefined,
  }
}

function isHeadFacts(value: unknown): value is HeadFacts {
  const { kind, architecture, quant, parameters, contextLength, contextBytesPerToken } = (value ??
    {}) as Partial<Record<string, unknown>>
  return (
    (kind === 'chat' || kind === 'embedding') &&
    [architecture, quant].every((each) => typeof each === 'string') &&
    [parameters, contextLength, contextBytesPerToken].every(
      (each) => Number.isFinite(each) && Number(each) >= 0,
    )
  )
}

function isLicence(value: unknown): value is Licence {
  const { id, link } = (value ?? {}) as Partial<Record<string, unknown>>
  return typeof id === 'string' && (link === undefined || typeof link === 'string')
}

function isStoredFile(value: unknown): boolean {
  const { name, sizeBytes, sha256 } = (value ?? {}) as Partial<Record<string, unknown>>
  const isName = typeof name === 'string' && /^[\w.-]{1,200}$/.test(name) && !/^\.+$/.test(name)
  return isName && sizeOf(sizeBytes) !== undefined && hashOf(String(sha256)) !== undefined
}
