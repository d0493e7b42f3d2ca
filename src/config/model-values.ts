import { basename } from 'node:path'
import { InvalidError } from '../base/errors.ts'
import { knownModel } from '../engines/store/known-models.ts'
import { isModelUri, modelSource } from '../engines/store/model-source.ts'
import { stemOf } from '../engines/store/offer.ts'
import { expected, isModelName, type ParseValue, parsePath } from './setting-values.ts'

/** A model file and the name it is served under. */
export interface ModelSpec {
  name: string
  /** Empty for what is somewhere else, until it was fetched. */
  path: string
  /** Where it comes from, or what may be a name in the store, as it was written. */
  from?: string
}

/** A small model file that drafts for a served model; without a name, for the only one. */
export interface DraftSpec {
  model?: string
  path: string
  from?: string
}

/** `NAME=MODEL`, or a model that the name is taken from. */
export const parseModelSpec: ParseValue<ModelSpec> = (text, context) => {
  const equals = text.indexOf('=')
  const given = text.slice(0, Math.max(equals, 0))
  const named = !isModelUri(text) && isModelName(given)
  const { path, from } = modelFile(named ? text.slice(equals + 1) : text, context)
  const name = named ? given : nameOf(path, from)
  if (!isModelName(name)) {
    throw new InvalidError(
      undefined,
      `"${name}" cannot be a model's name: it has 1 to 128 letters, digits and . _ : / -. ` +
        'Give it another as NAME=PATH, such as phi-4=~/models/phi-4.gguf.',
    )
  }
  return { name, path, ...(from === undefined ? {} : { from }) }
}

/** `MODEL=FILE`, or a file where there is one model. */
export const parseDraftSpec: ParseValue<DraftSpec> = (text, context) => {
  const equals = text.indexOf('=')
  const model = text.slice(0, Math.max(equals, 0))
  if (isModelUri(text) || !isModelName(model)) return modelFile(text, context)
  return { model, ...modelFile(text.slice(equals + 1), context) }
}

/** A path, or what is to be looked for in the store. */
const modelFile: ParseValue<Omit<ModelSpec, 'name'>> = (text, context) => {
  const source = isModelUri(text) ? modelSource(text) : undefined
  if (source?.type === 'file') return { path: parsePath(source.path, context) }
  if (source !== undefined) return { path: '', from: text }
  const path = parsePath(text, context)
  // A word alone may be a file of this folder, a model of the store, or one that is known by it.
  return isBareName(text) ? { path, from: text } : { path }
}

const isBareName = (text: string): boolean =>
  isModelName(text) && !text.includes('/') && !/\.gguf$/i.test(text)

function nameOf(path: string, from: string | undefined): string {
  if (from === undefined) return stemOf(path)
  if (!isModelUri(from)) return knownModel(from) === undefined ? stemOf(path) : from
  const source = modelSource(from)
  if (source?.type === 'web') return stemOf(decodeURI(new URL(source.url).pathname))
  if (source?.type !== 'hub') return ''
  if (source.file !== undefined) return stemOf(source.file)
  // Its files are not known yet: as it will most likely be called.
  const stem = basename(source.repo).replace(/-GGUF$/i, '')
  return source.quant === undefined ? stem : `${stem}-${source.quant}`
}

/** What a text on a command line means, beside the settings. */
export function parseModel(
  text: string,
  { cwd = process.cwd(), env }: { cwd?: string; env: Readonly<Record<string, string | undefined>> },
): ModelSpec {
  return parseModelSpec(text, { base: cwd, home: env.HOME ?? '' })
}

const powers: Readonly<Record<string, number>> = { '': 0, K: 1, M: 2, G: 3, T: 4 }

/** `200G`, `512MiB`, `1.5T`: in steps of 1,024, as memory and disks are shown here. */
export const parseBytes: ParseValue<number> = (text) => {
  const [, number = '', unit = ''] = /^(\d{1,12}(?:\.\d{1,3})?)\s*([KMGT]?)i?B?$/i.exec(text) ?? []
  const bytes = Number(number) * 1024 ** (powers[unit.toUpperCase()] ?? 0)
  if (number === '' || bytes < 1 || bytes > Number.MAX_SAFE_INTEGER) {
    throw expected('a size, such as 200G, 512M or a number of bytes', text)
  }
  return Math.floor(bytes)
}

const spans: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const spanMsMax = 365 * 86_400_000

/** Milliseconds, of `90s`, `10m`, `2h`. */
export const parseDuration: ParseValue<number> = (text) => {
  const [, number = '', unit = ''] = /^(\d{1,9})\s*([smhd])$/.exec(text) ?? []
  const ms = Number(number) * (spans[unit] ?? 0)
  if (ms >= 1 && ms <= spanMsMax) return ms
  throw expected('a time, such as 90s, 10m or 2h', text)
}
