import { columnsDefault, type Output, print } from './io.ts'
import { type Colour, cut, type Paint, widthOf } from './text.ts'

/** Its colour is put on after it was cut: a cut could take the end of a colour away. */
export interface LiveLine {
  text: string
  colour?: Colour | undefined
}

const esc = '\u001b'
const clearLine = `${esc}[K`
const clearBelow = `${esc}[J`
const rowsDefault = 24

/** The last lines of a terminal, replaced in place. What is printed meanwhile stands above them. */
export class LiveLines {
  readonly #output: Output
  readonly #paint: Paint
  #drawn: LiveLine[] = []

  constructor(output: Output, paint: Paint) {
    this.#output = output
    this.#paint = paint
  }

  draw(lines: readonly LiveLine[]): void {
    const back = this.#back()
    // At the last column terminals differ in when they wrap; on the last row they scroll.
    const width = (this.#output.columns ?? columnsDefault) - 1
    const height = Math.max(1, (this.#output.rows || rowsDefault) - 1)
    const shown = lines.length > height ? lines.slice(0, height - 1) : lines
    const hidden = lines.length - shown.length
    const rest = hidden === 0 ? [] : [{ text: `… and ${hidden} more`, colour: undefined }]
    this.#drawn = [...shown, ...rest].map((line) => ({ ...line, text: cut(line.text, width) }))
    this.#output.write(back + this.#text())
  }

  /** Lines that stay. */
  print(...lines: string[]): void {
    this.#output.write(this.#back() + clearBelow)
    print(this.#output, ...lines)
    this.#output.write(this.#text())
  }

  /** From now on these lines stay too, and what is printed stands below them. */
  end(): void {
    this.#drawn = []
  }

  #text(): string {
    const lines = this.#drawn.map(({ text, colour }) => {
      const painted = colour === undefined ? text : this.#paint(colour, text)
      return `${painted}${clearLine}\n`
    })
    return lines.join('') + clearBelow
  }

  /** To the first of the lines that are drawn. */
  #back(): string {
    const widest = Math.max(0, ...this.#drawn.map(({ text }) => widthOf(text)))
    // Made narrower, terminals wrap old lines, or cut them: they stay above, in whatever shape.
    const narrowed = widest >= (this.#output.columns ?? columnsDefault)
    return narrowed || this.#drawn.length === 0 ? '' : `${esc}[${this.#drawn.length}A\r`
  }
}
