import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { currentLoad, type MachineFacts } from './machine.ts'

export type Cell = string | number

export interface Table {
  title: string
  columns: readonly string[]
  rows: readonly (readonly Cell[])[]
}

export interface Result {
  name: string
  /** What was compared, and how to read it. */
  about: string
  machine: MachineFacts
  settings: Record<string, unknown>
  /** Ratios first: they are what carries over to another machine. */
  tables: readonly Table[]
  /** Every single measurement. */
  raw: unknown
}

const folder = join(dirname(fileURLToPath(import.meta.url)), 'results')

/** Prints the tables and keeps them beside the raw figures, one pair of files a day. */
export function keep(result: Result): void {
  const machine = { ...result.machine, loadAfter: currentLoad() }
  const stem = join(folder, `${result.name}-${machine.date.slice(0, 10)}`)
  const text = markdown({ ...result, machine })
  mkdirSync(folder, { recursive: true })
  writeFileSync(`${stem}.json`, `${JSON.stringify({ ...result, machine }, undefined, 1)}\n`)
  writeFileSync(`${stem}.md`, text)
  console.log(text)
}

function markdown(result: Result): string {
  const facts = Object.entries(result.machine).map(([key, value]) => `${key} ${value}`)
  const settings = Object.entries(result.settings).map(([key, value]) => `${key} ${show(value)}`)
  return [
    `# ${result.name}`,
    result.about,
    ...result.tables.map(table),
    `Machine: ${facts.join(' · ')}`,
    `Settings: ${settings.join(' · ')}`,
    '',
  ].join('\n\n')
}

function table({ title, columns, rows }: Table): string {
  const lines = [columns, columns.map((_, n) => (n === 0 ? '---' : '--:')), ...rows]
  return [`## ${title}`, '', ...lines.map((cells) => `| ${cells.join(' | ')} |`)].join('\n')
}

function show(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
