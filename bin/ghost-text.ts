import { columnsDefault, type Output } from './io.ts'
import { cut, noPaint, type Paint, safeText, widthOf } from './text.ts'

const esc = '\u001b'
const saveCursor = `${esc}7`
/** To where the drafts begin; they are gone, wherever they went. */
const takeBack = `${esc}8${esc}[J`
const TAB_COLUMNS = 8

/** A terminal that obeys, and can show what is drafted otherwise than what is settled. */
export const showsGhosts = (output: Output, paint: Paint): boolean =>
  output.isTTY === true && paint !== noPaint

/**
 * An answer on a terminal: what is settled, and behind it, dim, what is drafted, until that is settled
 * as well or something else is. Of drafts that much is shown which the row has room for: a terminal
 * that scrolled could not take them back.
 */
export class GhostText {
  readonly #output: Output
  readonly #paint: Paint
  /** Where the settled text ends. */
  #column = 0
  /** What stands dim behind it. */
  #shown = ''

  constructor(output: Output, paint: Paint) {
    this.#output = output
    this.#paint = paint
  }

  /** `text`: what is settled anew. `ghost`: all that is drafted behind it. */
  show(text: string, ghost: string): void {
    const settled = safeText(text)
    this.#advance(settled)
    const drafted = this.#fitting(safeText(ghost))
    if (settled === '' && drafted === this.#shown) return
    const back = this.#shown === '' ? '' : takeBack
    const front = drafted === '' ? '' : saveCursor + this.#paint('dim', drafted)
    this.#shown = drafted
    this.#output.write(back + settled + front)
  }

  /** Nothing drafted stays. */
  end(): void {
    this.show('', '')
  }

  #advance(text: string): void {
    const columns = this.#output.columns || columnsDefault
    const last = text.lastIndexOf('\n')
    if (last >= 0) this.#column = 0
    for (const each of text.slice(last + 1)) {
      const width = each === '\t' ? TAB_COLUMNS - (this.#column % TAB_COLUMNS) : widthOf(each)
      this.#column = this.#column + width > columns ? width : this.#column + width
    }
  }

  /** Up to the end of the row, but for its last column: behind that, terminals differ. */
  #fitting(ghost: string): string {
    const [line = ''] = ghost.split(/[\n\t]/, 1)
    const room = (this.#output.columns || columnsDefault) - this.#column - 1
    return room < 2 ? '' : cut(line, room)
  }
}
