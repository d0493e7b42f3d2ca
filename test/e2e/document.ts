import { readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Where the project begins. */
export const root = fileURLToPath(new URL('../../', import.meta.url))

/** A block between fences. */
export interface Block {
  language: string
  text: string
  /** `docs/models.md:12`, for whoever reads why a test failed. */
  place: string
  /** Why it can't be run where tests are, as the comment above its fence says. */
  notRun?: string
}

/** A page of Markdown, as far as tests look at it. */
export interface Page {
  /** From the project's root. */
  path: string
  blocks: Block[]
  /** Without the blocks. */
  prose: string
  /** Where links lead, as they are written. */
  links: string[]
  /** Names of its headings, as GitHub makes them. */
  anchors: string[]
  /** What stands in single or double backticks. */
  codes: string[]
}

const fence = /^(?:<!-- not run: ([^\n]+) -->\n)?```(\w*)\n([\s\S]*?)^```$/gm

export function readPage(path: string): Page {
  const text = readFileSync(join(root, path), 'utf8')
  const blocks = [...text.matchAll(fence)].map(
    ([, notRun, language = '', inner = ''], at): Block => {
      const before = text.slice(0, [...text.matchAll(fence)][at]?.index)
      const place = `${path}:${before.split('\n').length}`
      return { language, text: inner, place, ...(notRun === undefined ? {} : { notRun }) }
    },
  )
  const prose = text.replace(fence, '')
  const codes = [...prose.matchAll(/(?<!`)(`{1,2})(?!`)(.+?)(?<!`)\1(?!`)/g)].map(
    ([, , code]) => code ?? '',
  )
  const links = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target ?? '')
  return { path, blocks, prose, links, anchors: anchorsOf(prose), codes }
}

function anchorsOf(prose: string): string[] {
  const seen = new Map<string, number>()
  return [...prose.matchAll(/^#{1,6} (.+)$/gm)].map(([, title = '']) => {
    const name = title
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-')
    const before = seen.get(name) ?? 0
    seen.set(name, before + 1)
    return before === 0 ? name : `${name}-${before}`
  })
}

/** The rows below each table whose head has a column of this name: cells by the names of columns. */
export function tableRows(page: Page, column: string): Record<string, string>[] {
  const tables = page.prose.matchAll(/^\|(.+)\|\n\|[-|: ]+\|\n((?:\|.+\|\n)+)/gm)
  return [...tables].flatMap(([, head = '', rows = '']) => {
    const names = cellsOf(head)
    if (!names.includes(column)) return []
    return rows
      .trim()
      .split('\n')
      .map((row) => {
        const cells = cellsOf(row.slice(1, -1))
        return Object.fromEntries(names.map((name, at) => [name, cells[at] ?? '']))
      })
  })
}

const cellsOf = (row: string): string[] =>
  row.split('|').map((cell) => cell.trim().replace(/^(`{1,2})(.*)\1$/, '$2'))

/** The file that a link on this page leads to, from the root, and the anchor in it. */
export function targetOf(page: Page, link: string): { path: string; anchor: string } {
  const [file = '', anchor = ''] = link.split('#')
  const path = file === '' ? page.path : relative(root, join(root, page.path, '..', file))
  return { path, anchor }
}
