import { PeerError } from '../../base/errors.ts'
import { probeEngine } from '../llama/probe.ts'
import type { HeadFacts } from './manifest.ts'

/**
 * Has llama.cpp look at a file's head in a process of its own: files come from anybody, and some end the
 * process that reads them. Undefined where llama.cpp is not installed.
 */
export function inspector(env: Readonly<Record<string, string | undefined>>) {
  return async (path: string, signal: AbortSignal): Promise<HeadFacts | undefined> => {
    const { models } = await probeEngine({ env, models: [path], signal })
    const [found] = models
    if (found?.error !== undefined) throw new PeerError(found.error.code, found.error.message)
    return found?.facts
  }
}
