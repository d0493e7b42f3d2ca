import { readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'

/** What a page imports of the SDK, and all that this imports, by path below the root of all rooms. */
export function sdkModules(): ReadonlyMap<string, string> {
  const root = new URL('../', import.meta.url)
  // The same whether it was built or runs from its source.
  const ending = import.meta.url.slice(import.meta.url.lastIndexOf('.'))
  const modules = new Map<string, string>()
  const visit = (file: URL) => {
    const path = file.href.slice(root.href.length)
    if (modules.has(path)) return
    const source = javaScript(readFileSync(file, 'utf8'), ending)
    modules.set(path, source)
    for (const [, specifier = ''] of source.matchAll(/\bfrom '([^']+)'/g)) {
      if (!specifier.startsWith('.')) throw new Error(`${path} imports ${specifier}: no page can`)
      visit(new URL(specifier, file))
    }
  }
  const entry = new URL(`sdk/ghost${ending}`, root)
  visit(entry)
  modules.set('sdk/ghost', modules.get(`sdk/ghost${ending}`) ?? '')
  return modules
}

const javaScript = (source: string, ending: string): string =>
  ending === '.ts' ? stripTypeScriptTypes(source) : source
