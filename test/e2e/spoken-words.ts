import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './document.ts'

/** All that the program may say: its source with `…` in the place of what is put into texts. */
export function spokenWords(...patterns: string[]): string {
  const files = patterns.flatMap((pattern) => globSync(pattern, { cwd: root }))
  return files.map((file) => wordsOf(readFileSync(join(root, file), 'utf8'))).join('\n')
}

function wordsOf(source: string): string {
  return withoutValues(source)
    .replace(/(['"`])\s*\+\s*(['"`])/g, '')
    .replace(/\\(['"`])/g, '$1')
    .replace(/…+/g, '…')
}

/** `${…}` may hold braces and texts with values of their own. */
function withoutValues(source: string): string {
  let text = ''
  let at = 0
  for (;;) {
    const begin = source.indexOf('${', at)
    if (begin < 0) return text + source.slice(at)
    text += `${source.slice(at, begin)}…`
    let depth = 1
    at = begin + 2
    while (depth > 0 && at < source.length) {
      if (source[at] === '{') depth++
      if (source[at] === '}') depth--
      at++
    }
  }
}
