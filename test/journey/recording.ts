/** Who typed it, or what is said to the reader. */
export type Speaker = 'one' | 'two' | 'note'

export interface Line {
  kind: 'note' | 'command' | 'output'
  /** In front of a command. */
  prompt: string
  text: string
}

/** What a terminal shows, as it may stand in the README: the same at every run, but for ids. */
export class Recording {
  /** What is shown together: a command, then what it printed. */
  readonly blocks: Line[][] = []
  readonly #standIns: [text: string, shown: string][] = []

  /** Something of this machine that has another name elsewhere. */
  shows(text: string, shown: string): void {
    this.#standIns.push([text, shown])
  }

  note(text: string): void {
    const empty: Line[] = this.blocks.length === 0 ? [] : [{ kind: 'note', prompt: '', text: '' }]
    this.blocks.push([...empty, { kind: 'note', prompt: '', text: `# ${text}` }])
  }

  command(who: string, text: string): void {
    this.blocks.push([{ kind: 'command', prompt: `${who} $ `, text: this.#tidy(text) }])
  }

  output(text: string): void {
    const lines = this.#tidy(text).replace(/^\n+/, '').trimEnd().split('\n')
    if (text.trim() === '') return
    this.blocks.push(lines.map((line) => ({ kind: 'output', prompt: '', text: line })))
  }

  get text(): string {
    const lines = this.blocks.flat().map(({ prompt, text }) => `${prompt}${text}`.trimEnd())
    return `${lines.join('\n')}\n`
  }

  #tidy(text: string): string {
    const known = this.#standIns.reduce((all, [own, shown]) => all.replaceAll(own, shown), text)
    return withoutFigures(withShortIds(known))
  }
}

/** Lengths of an id of each kind, from its beginning, that are kept. */
const ids: [pattern: RegExp, begin: number][] = [
  [/\b12D3KooW\w{44}/g, 8],
  [/\bryv1:sha256:[0-9a-f]{64}/g, 16],
  [/\bbaf[ky]rei\w{52}/g, 11],
  [/\bjob_\w{26}/g, 4],
]

/** A table's heading moves along with what is below it. */
const withShortIds = (text: string): string =>
  ids
    .reduce(
      (all, [id, begin]) => all.replace(id, (each) => `${each.slice(0, begin)}…${each.slice(-4)}`),
      text,
    )
    .replace(/^CID +(?=TIME)/m, 'CID'.padEnd('ryv1:sha256:0123…0123  '.length))

/** What differs from one run to the next, and is of no matter here. */
const withoutFigures = (text: string): string =>
  text
    .replace(/\d{4}-\d\d-\d\d \d\d:\d\d/g, '…'.padEnd('YYYY-MM-DD HH:MM'.length))
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '…')
    .replace(/\bin [\d.]+ ?m?s\b/g, 'in … s')
    .replace(/(?<=\d {2,})[\d.]+(?= {1,2}\d+\/\d)/g, '')
    .replace(/ {2}[\d.]+ [KMG]?i?B\/s\n/g, '  … MiB/s\n')
    .replace(/(?<=\.backup, )[\d.]+ KiB/, '… KiB')
    // How many at once was measured on this machine.
    .replace(/(?<= 0\/)\d(?= +\d+\/\d+ )/g, '…')
    // How far a pull was, now and then.
    .replace(/^\S+ {2}\d\d?% .*\n/gm, '')
