import { type LogData, type Logger, messageOf } from '../../src/simulation.ts'
import type { Trace } from './trace.ts'
import type { Verdicts } from './verdicts.ts'

/** Remembers what a person would read, and takes an error for what it is: something that must not be. */
export function simLogger(
  who: string,
  { trace, verdicts }: { trace: Trace; verdicts: Verdicts },
): Logger {
  const logger: Logger = {
    debug() {},
    info() {},
    warn: (message, data) => trace.event(`${who} warns: ${message} ${shown(data)}`),
    error(message, data) {
      verdicts.broken('nothing fails unheard', `${who}: ${message} ${shown(data)}`)
    },
    child: () => logger,
  }
  return logger
}

const shown = (data: LogData = {}): string =>
  JSON.stringify(data, (_, value) => (value instanceof Error ? messageOf(value) : value))
