import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'
import { homedir, userInfo } from 'node:os'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { parse as parseToml, TomlError } from 'smol-toml'
import { InvalidError, messageOf } from '../base/errors.ts'
import { isLoopback } from '../base/loopback.ts'
import { aliasesOf, aliasKey, followAliases } from './aliases.ts'
import { didYouMean } from './did-you-mean.ts'
import type { ModelSpec } from './model-values.ts'
import type { ValueContext } from './setting-values.ts'
import {
  envName,
  notYet,
  type Setting,
  type SettingValues,
  settingList,
  settings,
  unknownSetting,
} from './settings.ts'
import { isUpstreamKeyName, withKeys } from './upstream-values.ts'

/** What was said on the command line: option name without dashes, in the order given. */
export type FlagValues = Readonly<Record<string, string | boolean | readonly string[] | undefined>>

/** Where a configuration comes from; what is left out is the running process's own. */
export interface ConfigSources {
  flags?: FlagValues
  env?: Readonly<Record<string, string | undefined>>
  /** The text of a file, or undefined where there is none. */
  readFile?: (path: string) => string | undefined
  platform?: string
  home?: string
  cwd?: string
}

/** The whole configuration of a peer, checked and frozen. */
export interface Config extends Omit<SettingValues, 'dataDir' | 'demo' | 'tlsCert' | 'tlsKey'> {
  readonly dataDir: string
  /** Whether the built-in demo models are served. */
  readonly demo: boolean
  readonly tls: { readonly certFile: string; readonly keyFile: string } | null
  /** Other names for models of this machine or of the network: alias → name, never an alias. */
  readonly aliases: Readonly<Record<string, string>>
  /** What is odd but no error, for a person to read. */
  readonly notices: readonly string[]
}

export type SettingSource = 'flag' | 'env' | 'file' | 'default'

/** The texts that one source holds for one setting. */
interface Given {
  source: SettingSource
  texts: readonly string[]
  /** The source in the user's own words: `--http`, `PINAIVU_HTTP`, `config.toml line 3, http`. */
  place: string
  /** What a relative path in it is relative to. */
  base: string
}

/** The process's own. What is handed on to an engine process comes from here too. */
export const environment: Readonly<Record<string, string | undefined>> = process.env

/** One setting as `readConfig` finds it. */
export interface FoundSetting extends Omit<Given, 'base'> {
  setting: (typeof settingList)[number]
}

const configFileName = 'config.toml'
const configBytesMax = 1024 * 1024 // written by hand; what is larger is another file

/** Flag before environment before config.toml before default; throws an InvalidError naming the source. */
export function readConfig(sources: ConfigSources = {}): Config {
  const { values, dataDir, aliases, env } = readSettings(sources)
  return assemble(values, dataDir, followAliases(aliases), env)
}

/** Each setting with its source, and the aliases as they were written; checked one by one. */
export function explainConfig(sources: ConfigSources = {}): {
  settings: FoundSetting[]
  aliases: Readonly<Record<string, string>>
  path: string
} {
  const { found, aliases, dataDir } = readSettings(sources)
  return { settings: found, aliases, path: configPath(dataDir) }
}

export const configPath = (dataDir: string): string => join(dataDir, configFileName)

function readSettings(sources: ConfigSources) {
  const all = complete(sources)
  const dataDir = findDataDir(all)
  const file = readConfigFile(configPath(dataDir), all)
  const found = settingList.map((setting) => {
    const given = fromFlag(setting, all) ?? fromEnv(setting, all) ?? file.given.get(setting.flag)
    return { setting, ...(given ?? defaultGiven(setting)) }
  })
  const values = found.map(({ setting, texts, place, base }) => {
    const context = { base, home: all.home }
    return [setting.key, located(place, () => setting.parse(texts, context))] as const
  })
  // Each value came from its own setting's parse function.
  const checked = Object.fromEntries(values) as unknown as SettingValues
  return { found, values: checked, dataDir, aliases: file.aliases, env: all.env }
}

const defaultGiven = (setting: Setting<unknown>): Given => ({
  source: 'default',
  texts: setting.default,
  place: 'default',
  base: '',
})

/** The data folder alone, for what must work although the rest of the configuration is broken. */
export function findDataDir(sources: ConfigSources = {}): string {
  const all = complete(sources)
  const given = fromFlag(settings.dataDir, all) ?? fromEnv(settings.dataDir, all)
  if (given === undefined) return defaultDataDir(all)
  const context: ValueContext = { base: given.base, home: all.home }
  return located(given.place, () => settings.dataDir.parse(given.texts, context)) ?? ''
}

function complete(sources: ConfigSources): Required<ConfigSources> {
  const cwd = sources.cwd ?? process.cwd()
  const home = sources.home ?? ownHome()
  return {
    flags: sources.flags ?? {},
    env: sources.env ?? environment,
    readFile: sources.readFile ?? readIfThere,
    platform: sources.platform ?? process.platform,
    home: home === '' ? '' : resolve(cwd, home),
    cwd,
  }
}

/** Empty for a user without one, as containers have them. */
function ownHome(): string {
  try {
    return homedir() || userInfo().homedir
  } catch {
    return ''
  }
}

function defaultDataDir({ env, platform, home }: Source): string {
  if (platform === 'win32' && env.LOCALAPPDATA) return join(env.LOCALAPPDATA, 'pinaivu')
  const xdg = env.XDG_DATA_HOME ?? ''
  // The XDG specification has a relative path ignored.
  if (!['darwin', 'win32'].includes(platform) && isAbsolute(xdg)) return join(xdg, 'pinaivu')
  if (home === '') {
    throw new InvalidError(
      'data-dir',
      'You have no home folder to keep a data folder in. Give one with --data-dir.',
    )
  }
  const folders: Readonly<Record<string, string>> = {
    darwin: join('Library', 'Application Support'),
    win32: join('AppData', 'Local'),
  }
  return join(home, folders[platform] ?? join('.local', 'share'), 'pinaivu')
}

type Source = Required<ConfigSources>

function fromFlag(setting: Setting<unknown>, { flags, cwd }: Source): Given | undefined {
  const value = flags[setting.flag]
  const negated = flags[`no-${setting.flag}`]
  if (value !== undefined && negated !== undefined) {
    throw new InvalidError(`--${setting.flag}`, `Say --${setting.flag} or --no-${setting.flag}.`)
  }
  const from = { source: 'flag', base: cwd } as const
  if (negated === true) return { ...from, texts: ['false'], place: `--no-${setting.flag}` }
  if (value === undefined) return undefined
  const list = typeof value === 'object' ? value : [String(value)]
  const texts = setting.commas ? list.flatMap(splitCommas) : list
  return { ...from, texts, place: `--${setting.flag}` }
}

function fromEnv(setting: Setting<unknown>, { env, cwd }: Source): Given | undefined {
  const name = envName(setting.flag)
  const text = env[name]?.trim()
  if (text === undefined || text === '') return undefined
  const texts = setting.kind === 'many' ? splitCommas(text) : [text]
  return { source: 'env', texts, place: name, base: cwd }
}

interface ConfigFile {
  given: Map<string, Given>
  aliases: Record<string, string>
}

function readConfigFile(path: string, { readFile }: Source): ConfigFile {
  const text = located(path, () => readFile(path))
  const file: ConfigFile = { given: new Map(), aliases: {} }
  if (text === undefined) return file
  for (const [key, value] of Object.entries(tableOf(text, path))) {
    const place = `${path} line ${lineOf(text, key)}, ${key}`
    if (key === aliasKey) {
      file.aliases = located(place, () => aliasesOf(value))
      located(place, () => followAliases(file.aliases))
      continue
    }
    const setting = settingList.find((each) => each.flag === key)
    if (setting === undefined) {
      throw new InvalidError(key, `${place}: ${unknownSetting(key, '', [aliasKey])}`)
    }
    if (!setting.inFile) {
      throw new InvalidError(key, `${place}: use --${key} or ${envName(key)} instead.`)
    }
    const texts = located(place, () => textsOf(value, setting))
    file.given.set(key, { source: 'file', texts, place, base: dirname(path) })
  }
  return file
}

export function tableOf(text: string, path: string): Record<string, unknown> {
  try {
    return parseToml(text)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    const what = error.message.split('\n', 1)[0]
    throw new InvalidError(undefined, `${path} line ${error.line}: ${what}`)
  }
}

/** The line a top-level key stands in; the parser does not tell. */
function lineOf(text: string, key: string): number {
  const lines = text.split('\n')
  const bare = (line: string): string => line.replace(/^[\s["']+/, '')
  const index = lines.findIndex(
    (line) =>
      bare(line).startsWith(key) && /^["'\]\s.]*(=|$|\])/.test(bare(line).slice(key.length)),
  )
  return index < 0 ? 1 : index + 1
}

function textsOf(value: unknown, setting: Setting<unknown>): string[] {
  const list = Array.isArray(value) && setting.kind === 'many' ? value : [value]
  return list.flatMap((each: unknown) => {
    if (typeof each === 'string') return setting.commas ? splitCommas(each) : [each]
    if (typeof each === 'number' || typeof each === 'boolean') return [String(each)]
    const what = setting.kind === 'many' ? 'a text or a list of texts' : 'a single value'
    throw new InvalidError(undefined, `expected ${what}.`)
  })
}

function assemble(
  values: SettingValues,
  dataDir: string,
  aliases: Record<string, string>,
  env: Source['env'],
): Config {
  const notices = unknownVariables(env)
  const { tlsCert, tlsKey, demo, ...rest } = values
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw new InvalidError(undefined, 'tls-cert and tls-key belong together: give both.')
  }
  const tls =
    tlsCert === undefined || tlsKey === undefined ? null : { certFile: tlsCert, keyFile: tlsKey }
  if (rest.http !== null && tls === null && !rest.insecureHttp && !isLoopback(rest.http.host)) {
    throw new InvalidError(
      'http',
      `http: ${rest.http.host} can be reached from other machines, and keys would travel ` +
        'unencrypted. Give --tls-cert and --tls-key, or say --insecure-http.',
    )
  }
  const upstreams = withKeys(rest.upstreams, env)
  refuseTwins(rest.models, upstreams)
  return deepFreeze({
    ...rest,
    ...pinned(rest),
    roles: [...new Set(rest.roles)],
    dataDir,
    upstreams,
    demo: demo ?? rest.models.length + upstreams.length === 0,
    tls,
    aliases,
    notices: rest.allowPrivateWebhooks ? [...notices, PRIVATE_WEBHOOKS] : notices,
  })
}

const PRIVATE_WEBHOOKS =
  'allow-private-webhooks: whoever holds a key can have requests sent into this network.'

type Pinned = Pick<SettingValues, 'reproducible' | 'slots' | 'threads'>

/** What is measured otherwise, and would then differ from machine to machine. */
function pinned({ reproducible, slots, threads }: Pinned): Partial<Pinned> {
  if (!reproducible) return {}
  if (slots !== undefined && slots !== 1) {
    throw new InvalidError('slots', `slots: with reproducible there is one, not ${slots}.`)
  }
  return { slots: 1, threads: threads ?? 1 }
}

function refuseTwins(
  models: readonly ModelSpec[],
  upstreams: readonly { name: string; url: string }[],
): void {
  const seen = new Map<string, string>()
  const served = [...models, ...upstreams.map(({ name, url }) => ({ name, path: url, from: url }))]
  for (const { name, path, from = path } of served) {
    const other = seen.get(name)
    if (other !== undefined) {
      throw new InvalidError(
        'model',
        `model: ${other} and ${from} would both be called "${name}". Use NAME=FILE.`,
      )
    }
    seen.set(name, from)
  }
}

/** Variables that commands read themselves. */
const ofCommands: readonly string[] = ['PINAIVU_PASSPHRASE']

/** A misspelt variable would be ignored in silence; one of another program is none of our business. */
function unknownVariables(env: Source['env']): string[] {
  const known = [...settingList.map((setting) => envName(setting.flag)), ...ofCommands]
  return Object.keys(env)
    .filter((name) => name.startsWith('PINAIVU_') && !known.includes(name))
    .filter((name) => !isUpstreamKeyName(name))
    .map((name) => {
      if (notYet.some((flag) => envName(flag) === name)) {
        throw new InvalidError(name, `${name}: this version does not have that yet.`)
      }
      return `${name} is set, but there is no such setting.${didYouMean(name, known)}`
    })
}

/** Runs a check and says of what it refuses where that stood. */
export function located<T>(place: string, check: () => T): T {
  try {
    return check()
  } catch (error) {
    throw new InvalidError(place, `${place}: ${messageOf(error)}`)
  }
}

export function splitCommas(text: string): string[] {
  return text
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '')
}

export function readIfThere(path: string): string | undefined {
  let file: number
  try {
    // Without O_NONBLOCK, opening a pipe would wait for its writer for ever.
    file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  try {
    const stat = fstatSync(file)
    if (!stat.isFile()) throw new InvalidError(undefined, 'this is not a file.')
    if (stat.size > configBytesMax) {
      throw new InvalidError(undefined, `this is larger than ${configBytesMax} bytes.`)
    }
    return readFileSync(file, 'utf8')
  } finally {
    closeSync(file)
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) deepFreeze(inner)
    Object.freeze(value)
  }
  return value
}
