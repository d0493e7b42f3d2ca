import type { Output } from '../../bin/io.ts'

/** A terminal of endless height: its lines as a person sees them, colours aside. */
export class Screen implements Output {
  readonly isTTY = true
  columns: number
  rows: number
  written = ''
  lines: string[] = []
  #row = 0
  #column = 0
  #saved = { row: 0, column: 0 }

  constructor(columns: number, rows: number) {
    this.columns = columns
    this.rows = rows
  }

  write(text: string): void {
    this.written += text
    const esc = '\u001b'
    const pieces = new RegExp(`${esc}\\[(\\d*)([A-Za-z])|${esc}[78]|\\r|\\n|[^${esc}\\r\\n]+`, 'g')
    for (const [piece, count, command] of text.matchAll(pieces)) {
      const line = this.lines[this.#row] ?? ''
      if (piece === '\r') this.#column = 0
      else if (piece === '\n') {
        this.lines[this.#row] = line
        this.#row += 1
        this.#column = 0
      } else if (command === 'A') this.#row -= Number(count)
      else if (command === 'K') this.lines[this.#row] = line.slice(0, this.#column)
      else if (command === 'J') this.#clearBelow()
      else if (piece === `${esc}7`) this.#saved = { row: this.#row, column: this.#column }
      else if (piece === `${esc}8`) ({ row: this.#row, column: this.#column } = this.#saved)
      else if (command === undefined) {
        const end = this.#column + piece.length
        this.lines[this.#row] = line.slice(0, this.#column) + piece + line.slice(end)
        this.#column = end
      } else if (command !== 'm') throw new Error(`no screen obeys ${JSON.stringify(piece)}`)
    }
  }

  #clearBelow(): void {
    const line = (this.lines[this.#row] ?? '').slice(0, this.#column)
    this.lines.length = Math.min(this.lines.length, this.#row)
    if (line !== '') this.lines.push(line)
  }
}
