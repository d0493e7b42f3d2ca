import { type DestinationStream, pino } from 'pino'
import { type Logger, type LogLevel, logLevels } from '../src/index.ts'
import type { Io } from './io.ts'
import type { LogFile } from './log-file.ts'
import { type Paint, paintFor, safeJson, safeLine } from './text.ts'

type LogData = Record<string, unknown>

/** A logger that can be told to say more, or less. */
export interface LevelLogger extends Logger {
  setLevel(chosen: LogLevel | undefined): void
}

/** Logs go to stderr: readable lines on a terminal, JSON lines anywhere else and in a file. */
export function createLogger(
  chosen: LogLevel | undefined,
  { stderr, env }: Pick<Io, 'stderr' | 'env'>,
  file?: Pick<LogFile, 'write'>,
): LevelLogger {
  // A person is told on stdout what goes on, and would read it twice.
  const isShown = file === undefined && stderr.isTTY === true
  const unchosen = isShown ? 'warn' : 'info'
  const limit = { level: chosen ?? unchosen }
  const paint = paintFor(stderr, env)
  const destination: DestinationStream = {
    write: (json) => (file ?? stderr).write(isShown ? `${readable(json, paint)}\n` : json),
  }
  const formatters = { level: (label: string) => ({ level: label }) }
  // What is too much is held back before it: a child of pino's keeps the level it was made with.
  const all = pino({ level: 'debug', base: null, formatters }, destination)
  return {
    ...wrapped(all, limit),
    setLevel(level) {
      limit.level = level ?? unchosen
    },
  }
}

function wrapped(logger: pino.Logger, limit: { level: LogLevel }): Logger {
  const at = (level: Exclude<LogLevel, 'silent'>) => (message: string, data?: LogData) => {
    if (logLevels.indexOf(level) >= logLevels.indexOf(limit.level)) {
      logger[level](fieldsOf(data), message)
    }
  }
  return {
    ...{ debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
    child: (room) => wrapped(logger.child({ room }), limit),
  }
}

/** An Error has no enumerable fields: as JSON it would be `{}`. */
function fieldsOf(data: LogData = {}): LogData {
  const fields = Object.entries(data).map(([key, value]): [string, unknown] => {
    if (!(value instanceof Error)) return [key, value]
    const code = 'code' in value ? { code: value.code } : {}
    return [key, { ...code, message: value.message, stack: value.stack }]
  })
  return Object.fromEntries(fields)
}

const colours = { debug: 'dim', info: 'dim', warn: 'yellow', error: 'red' } as const

interface Line extends LogData {
  level: keyof typeof colours
  time: number
  room?: string
  msg: string
}

function readable(json: string, paint: Paint): string {
  const { level, time, room, msg, ...data } = JSON.parse(json) as Line
  const clock = new Date(time).toTimeString().slice(0, 8)
  const fields = Object.entries(data).map(
    ([key, value]) => `${key}=${typeof value === 'string' ? value : safeJson(value)}`,
  )
  const text = [room === undefined ? msg : `${room}: ${msg}`, ...fields].map(safeLine).join(' ')
  return `${paint('dim', clock)} ${paint(colours[level], level.padEnd(5))} ${text}`
}
