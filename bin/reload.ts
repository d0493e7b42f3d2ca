import {
  type Config,
  type ConfigSources,
  InvalidError,
  messageOf,
  type Peer,
  type Reconfigured,
  readConfig,
} from '../src/index.ts'
import type { LevelLogger } from './logger.ts'

/** Reads the configuration again and takes over what can change; with a mistake in it, nothing. */
export function reload(
  peer: Pick<Peer, 'reconfigure'>,
  sources: ConfigSources,
  logger: LevelLogger,
): Reconfigured | undefined {
  let config: Config
  try {
    config = readConfig(sources)
  } catch (error) {
    if (!(error instanceof InvalidError)) throw error
    const message = 'the configuration was not read again, everything stays as it was'
    logger.error(message, { error: messageOf(error) })
    return undefined
  }
  const said = peer.reconfigure(config)
  if (said.changed.includes('log-level')) logger.setLevel(config.logLevel)
  if (said.changed.length > 0)
    logger.info('took over from the configuration', { settings: said.changed })
  for (const setting of said.needsRestart) logger.warn('needs a restart to change', { setting })
  return said
}
