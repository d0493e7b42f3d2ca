import { type Config, messageOf, openOwnModels, PeerError } from '../src/index.ts'
import { agreeing } from './ask.ts'
import type { Io } from './io.ts'
import { PullProgress } from './pull-progress.ts'
import { paintFor } from './text.ts'

/** Fetches the configured models that are not on this machine. Those that are need no network. */
export async function pullMissing(config: Config, io: Io, json: boolean): Promise<void> {
  const specs = [...config.models, ...config.drafts]
  if (specs.every(({ from }) => from === undefined)) return
  const models = await openOwnModels(config, { env: io.env })
  const there = await models.locate(specs)
  const progress = new PullProgress(io.stdout, { json, paint: paintFor(io.stdout, io.env) })
  const watch = {
    signal: io.signal,
    onEvent: progress.show.bind(progress),
    agree: agreeing(io, { accepted: config.acceptLicence, json }),
  }
  try {
    for (const [at, { path, from = '' }] of specs.entries()) {
      if (there[at] !== undefined) continue
      // A drafter is stored under its own name, whatever the model is called here.
      const spec = config.models[at]
      await models
        .pull({ path, from, ...(spec !== undefined && { name: spec.name }) }, watch)
        .catch((error: unknown): never => {
          if (!(error instanceof PeerError)) throw error
          const message = `${from} cannot be fetched: ${messageOf(error)}`
          throw new PeerError(error.code, message, { cause: error })
        })
    }
  } finally {
    progress.end()
  }
}
