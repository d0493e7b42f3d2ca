import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { systemClock } from '../../../src/base/clock.ts'
import type { DownloadOptions } from '../../../src/engines/store/download.ts'
import { HttpGet } from '../../../src/engines/store/http-get.ts'
import { Hub } from '../../../src/engines/store/hub.ts'
import type { HeadFacts } from '../../../src/engines/store/manifest.ts'
import { ModelFolder } from '../../../src/engines/store/model-folder.ts'
import { modelSource } from '../../../src/engines/store/model-source.ts'
import {
  type PullComponents,
  type PullEvent,
  Puller,
  type PullWatch,
} from '../../../src/engines/store/pull.ts'
import type { RoomOptions } from '../../../src/engines/store/room.ts'
import type { FakeHub } from './fake-hub.ts'

export function temporaryFolder(): string {
  const path = mkdtempSync(join(tmpdir(), 'pinaivu-store-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

export const facts: HeadFacts = {
  ...{ kind: 'chat', architecture: 'llama', parameters: 1000, quant: 'Q8_0' },
  ...{ contextLength: 2048, contextBytesPerToken: 64 },
}

const never = new AbortController().signal
/** No wait is worth having in a test: what is waited for is counted by others. */
const quick: DownloadOptions = { triesMax: 4, firstWaitMs: 1, waitMsMax: 2 }

export interface StageOptions {
  root?: string
  token?: string
  room?: Partial<RoomOptions>
  inspect?: PullComponents['inspect']
  silenceMs?: number
}

/** The real parts over a loopback hub, with what they said of their work. */
export function pullStage(hub: Pick<FakeHub, 'url'>, options: StageOptions = {}) {
  const root = options.root ?? join(temporaryFolder(), 'models')
  const folder = new ModelFolder(root, systemClock)
  const { token, silenceMs = 5000 } = options
  const credential = { origin: new URL(hub.url).origin, token }
  const http = new HttpGet(systemClock, credential, { answerMs: 5000, silenceMs })
  const parts = {
    ...{ folder, http, clock: systemClock, hub: new Hub(http, hub.url) },
    inspect: options.inspect ?? (async () => facts),
  }
  const room = { free: async () => 1e15, ...options.room }
  const puller = new Puller(parts, room, quick)
  const events: PullEvent[] = []
  const watch: PullWatch = {
    signal: never,
    onEvent: (event) => events.push(event),
    agree: async () => false,
  }
  const pull = (uri: string, more: Partial<PullWatch> & { name?: string } = {}) => {
    const source = modelSource(uri) ?? { type: 'file' as const, path: uri }
    const { name, ...own } = more
    return puller.pull({ source, name }, { ...watch, ...own })
  }
  /** What lies in the store, but for its locks. */
  const left = () =>
    readdirSync(root, { recursive: true, encoding: 'utf8' })
      .filter((path) => !path.startsWith('.locks'))
      .sort()
  return { root, folder, events, pull, left }
}
