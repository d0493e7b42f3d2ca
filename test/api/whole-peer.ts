import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createPeer, type FlagValues, type PeerComponents, readConfig } from '../../src/index.ts'
import { ScriptedEngine } from './scripted-engine.ts'

const nothing = async () => {}

export interface WholePeer {
  http: string
  /** The owner's key. */
  apiKey: string
  engine: ScriptedEngine
  stop(): Promise<void>
}

/** A peer with all that it has, but for its models: what these say is in a script. */
export async function startWholePeer(
  flags: FlagValues = {},
  components: Partial<PeerComponents> = {},
): Promise<WholePeer> {
  const dataDir = mkdtempSync(join(tmpdir(), 'pinaivu-whole-'))
  const engine = Object.assign(new ScriptedEngine(), { start: nothing, stop: nothing })
  const free = { http: '127.0.0.1:0', listen: ['/ip4/127.0.0.1/tcp/0'], 'no-demo': true }
  const config = readConfig({ flags: { ...free, ...flags, 'data-dir': dataDir }, env: {} })
  const peer = await createPeer(config, { engine, ...components })
  await peer.start({ signal: new AbortController().signal })
  const { http, apiKey } = peer.ready()
  return {
    http: String(http),
    apiKey,
    engine,
    stop: async () => {
      await peer.stop()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

/** What it says of one of its endpoints. */
export interface Operation {
  method: string
  path: string
  operationId: string
  summary?: string
  tags?: string[]
  security?: object[]
  'x-scope'?: string
  parameters?: { name: string; in: string; required: boolean; schema: object }[]
  requestBody?: { required: boolean; content: Record<string, { schema: object }> }
  responses: Record<string, { $ref?: string; description: string }>
}

export interface OpenApiDocument {
  openapi: string
  tags: { name: string }[]
  paths: Record<string, Record<string, Omit<Operation, 'method' | 'path'>>>
}

export async function documentOf({ http }: Pick<WholePeer, 'http'>): Promise<OpenApiDocument> {
  return (await (await fetch(`${http}/api/v1/openapi.json`)).json()) as OpenApiDocument
}

export const operationsOf = ({ paths }: OpenApiDocument): Operation[] =>
  Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      ...operation,
      path,
      method: method.toUpperCase(),
    })),
  )
