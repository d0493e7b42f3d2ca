import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { createPeer, type Peer, readConfig } from '../../src/index.ts'
import { ScriptedEngine } from '../api/scripted-engine.ts'

const nothing = async () => {}

export interface WholePeer {
  peer: Peer
  engine: ScriptedEngine
  stop(): Promise<void>
}

/** A peer with every route on a free port of this machine; its models say what is in a script. */
export async function startWholePeer(): Promise<WholePeer> {
  const made = await makeWholePeer()
  onTestFinished(made.stop)
  return made
}

export async function makeWholePeer(): Promise<WholePeer> {
  const dataDir = mkdtempSync(join(tmpdir(), 'pinaivu-sdk-'))
  const engine = Object.assign(new ScriptedEngine(), { start: nothing, stop: nothing })
  const flags = {
    ...{ http: '127.0.0.1:0', listen: ['/ip4/127.0.0.1/tcp/0'], 'no-demo': true },
    ...{ 'allow-private-webhooks': true, 'data-dir': dataDir },
  }
  const peer = await createPeer(readConfig({ flags, env: {} }), { engine })
  await peer.start({ signal: AbortSignal.timeout(60_000) })
  return {
    peer,
    engine,
    stop: async () => {
      await peer.stop()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}
