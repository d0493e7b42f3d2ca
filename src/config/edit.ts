import { InvalidError } from '../base/errors.ts'
import { aliasesOf, aliasKey, followAliases } from './aliases.ts'
import { located, splitCommas, tableOf } from './config.ts'
import type { ValueContext } from './setting-values.ts'
import { envName, type Setting, settingList, unknownSetting } from './settings.ts'
import { type KeyPath, setInText, unsetInText } from './text.ts'

/** Where the words come from, and where they go to. */
export interface EditContext {
  /** The file, as errors call it. */
  path: string
  /** Its folder, which relative paths in it are relative to. */
  folder: string
  /** What they are relative to for who said them. */
  cwd: string
  home: string
}

/** The text with this setting or alias changed. Throws an InvalidError on what start would refuse. */
export function setOption(
  text: string,
  key: string,
  words: readonly string[],
  context: EditContext,
): string {
  tableOf(text, context.path)
  const alias = aliasOf(key)
  if (alias !== undefined) return setAlias(text, alias, words, context)
  const setting = knownSetting(key)
  const value = located(key, () => fileValue(setting, words, context))
  return setInText(text, [key], value)
}

/** The text without it; undefined where it is not in there. What nobody knows can be taken out, too. */
export function unsetOption(text: string, key: string, { path }: EditContext): string | undefined {
  const table = tableOf(text, path)
  const alias = aliasOf(key)
  const found = unsetInText(text, alias === undefined ? [key] : [aliasKey, alias])
  if (found !== undefined) return found
  if (alias !== undefined) return undefined
  if (Object.hasOwn(table, key)) {
    throw new InvalidError(key, `${key}: this is a table. Take it out of ${path} in an editor.`)
  }
  knownSetting(key)
  return undefined
}

/** `gpt-4o-mini` for `aliases.gpt-4o-mini`: a name may have dots in it, so the first one counts. */
export function aliasOf(key: string): string | undefined {
  const [, name] = /^aliases\.(.*)$/s.exec(key) ?? []
  return name?.replace(/^(["'])(.*)\1$/s, '$2')
}

/** The setting of that name, or why there is none. */
export function knownSetting(key: string): (typeof settingList)[number] {
  if (key === aliasKey) {
    throw new InvalidError(key, `${key}: say which one, as aliases.NAME.`)
  }
  const setting = settingList.find((each) => each.flag === key)
  if (setting === undefined) {
    throw new InvalidError(key, `${key}: ${unknownSetting(key, '', [`${aliasKey}.NAME`])}`)
  }
  if (!setting.inFile) {
    throw new InvalidError(key, `${key}: use --${key} or ${envName(key)} instead.`)
  }
  return setting
}

function setAlias(
  text: string,
  alias: string,
  words: readonly string[],
  { path }: EditContext,
): string {
  const keyPath: KeyPath = [aliasKey, alias]
  const place = keyPath.join('.')
  const [name, ...more] = words
  if (name === undefined || more.length > 0) {
    throw new InvalidError(place, `${place}: expected the name of one model.`)
  }
  const before = tableOf(text, path)[aliasKey] ?? {}
  located(place, () => {
    followAliases(aliasesOf({ ...aliasesOf(before), [alias]: name }))
  })
  return setInText(text, keyPath, name)
}

/** As it is written into the file. */
function fileValue(setting: Setting<unknown>, words: readonly string[], context: EditContext) {
  const texts = setting.commas ? words.flatMap(splitCommas) : words
  if (setting.kind !== 'many' && texts.length !== 1) {
    throw new InvalidError(undefined, `expected one value, got ${texts.length}.`)
  }
  const written = texts.map((text) => absolute(setting, text, context))
  const { folder: base, home } = context
  const value = setting.parse(written, { base, home })
  if (setting.kind === 'many') return written
  return typeof value === 'number' || typeof value === 'boolean' ? value : written[0]
}

/** A relative path means what it means to who types it, wherever the file is. */
function absolute(setting: Setting<unknown>, text: string, context: EditContext): string {
  const { home, cwd, folder } = context
  const read = (base: string) =>
    single(setting.parse([text], { base, home } satisfies ValueContext))
  const [here, there] = [read(cwd), read(folder)]
  if (here.path === undefined || here.path === there.path) return text
  return here.name === undefined || !text.startsWith(`${here.name}=`)
    ? here.path
    : `${here.name}=${here.path}`
}

/** The path in a value that is or has one. */
function single(value: unknown): { path?: string; name?: string } {
  const [one] = Array.isArray(value) ? value : [value]
  if (typeof one === 'string') return { path: one }
  if (typeof one !== 'object' || one === null) return {}
  const { path, name, model } = one as Partial<Record<string, unknown>>
  const called = name ?? model
  return {
    ...(typeof path === 'string' && { path }),
    ...(typeof called === 'string' && { name: called }),
  }
}
