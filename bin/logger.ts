import { type DestinationStream, pino } from 'pino'
import type { Logger, LogLevel } from '../src/index.ts'
import type { Io } from './io.ts'
import { type Paint, paintFor, safeJson, safeLine } from './text.ts'

type LogData = Record<string, unknown>

/** Logs go to stderr: readable lines on a terminal, JSON lines anywhere else. */
export function createLogger(
  chosen: LogLevel | undefined,
  { stderr, env }: Pick<Io, 'stderr' | 'env'>,
): Logger {
  // A person is told on stdout what goes on, and would read it twice.
  const level = chosen ?? (stderr.isTTY === true ? 'warn' : 'info')
  const paint = paintFor(stderr, env)
  const destination: DestinationStream = {
    write: (json) => stderr.write(stderr.isTTY === true ? `${readable(json, paint)}\n` : json),
  }
  return wrapped(
    pino({ level, base: null, formatters: { level: (label) => ({ level: label }) } }, destination),
  )
}

function wrapped(logger: pino.Logger): Logger {
  return {
    debug: (message, data) => logger.debug(fieldsOf(data), message),
    info: (message, data) => logger.info(fieldsOf(data), message),
    warn: (message, data) => logger.warn(fieldsOf(data), message),
    error: (message, data) => logger.error(fieldsOf(data), message),
    child: (room) => wrapped(logger.child({ room })),
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
