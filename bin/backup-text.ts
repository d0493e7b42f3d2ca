import type { BackupReport } from '../src/index.ts'
import type { Io } from './io.ts'
import { LiveLines } from './live-lines.ts'
import { labelled, noPaint, paintFor } from './text.ts'

type Facts = Omit<BackupReport, 'bytes'>

/** What a backup holds, for people and for programs. */
export const backupText = {
  json: (facts: Facts) => ({
    peer_id: facts.peerId,
    created_at: new Date(facts.createdAt).toISOString(),
    program: facts.program,
    rows: facts.rows,
    files: facts.files,
    file_bytes: facts.fileBytes,
    damaged_files: facts.damagedFiles,
  }),

  lines: (facts: Facts, io: Io): string[] => {
    const { damagedFiles } = facts
    const lost =
      `${damagedFiles} of them had been damaged on the disk of the peer before: their content is ` +
      'lost, and they are not restored.'
    const rows: [string, string[]][] = [
      ['peer', [facts.peerId]],
      ['as of', [new Date(facts.createdAt).toISOString()]],
      ['rows', [String(facts.rows)]],
      ['files', [`${facts.files}, ${bytesText(facts.fileBytes)}`]],
      ...(damagedFiles > 0 ? [['damaged', [lost]] as [string, string[]]] : []),
    ]
    return labelled(rows, paintFor(io.stdout, io.env))
  },
}

export function bytesText(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`
  const units = ['KiB', 'MiB', 'GiB', 'TiB']
  const power = Math.min(units.length, Math.floor(Math.log2(bytes) / 10))
  return `${(bytes / 1024 ** power).toFixed(1)} ${units[power - 1]}`
}

const EVERY_MS = 200

/** How far long work is, on a terminal that somebody may be watching. */
export class ProgressLine {
  readonly #lines: LiveLines | undefined
  #shownAt = Number.NEGATIVE_INFINITY

  constructor({ stderr }: Io) {
    this.#lines = stderr.isTTY === true ? new LiveLines(stderr, noPaint) : undefined
  }

  show(text: () => string): void {
    if (this.#lines === undefined || performance.now() - this.#shownAt < EVERY_MS) return
    this.#shownAt = performance.now()
    this.#lines.draw([{ text: text() }])
  }

  /** Makes room for what is told at the end. */
  end(): void {
    this.#lines?.draw([])
  }
}
