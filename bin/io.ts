import type { Readable } from 'node:stream'

/** Where a command writes to. */
export interface Output {
  write(text: string): unknown
  isTTY?: boolean | undefined
  /** Why nothing can be written any more. */
  errored?: Error | null | undefined
  columns?: number | undefined
  rows?: number | undefined
}

/** Everything a command touches of the process that runs it. */
export interface Io {
  stdin: Readable & { isTTY?: boolean }
  stdout: Output
  stderr: Output
  env: Readonly<Record<string, string | undefined>>
  /** Aborts when the user wants the program to end. */
  signal: AbortSignal
  /** Called when the user wants a running peer to read its configuration again; returns how to end that. */
  onReload(listener: () => void): () => void
}

export const columnsDefault = 80
const columnsMax = 100 // longer lines are hard to read

export const columnsOf = (output: Output): number =>
  Math.min(output.columns ?? columnsDefault, columnsMax)

/** Width for tables: a pipe has no edge. */
export const tableWidthOf = (output: Output): number =>
  output.isTTY === true ? (output.columns ?? columnsDefault) : Number.POSITIVE_INFINITY

export function print(output: Output, ...lines: string[]): void {
  output.write(`${lines.join('\n')}\n`)
}

/** A failure that is told in one sentence. */
export class CommandError extends Error {}

export const exitCodes = { done: 0, failed: 1, wrongUse: 2 } as const

/** The command line itself is at fault. */
export class UsageError extends Error {}
