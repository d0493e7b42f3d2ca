import { InvalidError } from '../base/errors.ts'
import { didYouMean } from './did-you-mean.ts'
import { parseBytes, parseDraftSpec, parseDuration, parseModelSpec } from './model-values.ts'
import {
  logLevels,
  orOff,
  type ParseValue,
  parseBootstrapAddress,
  parseHostName,
  parseHostPort,
  parseListenAddress,
  parseNetworkName,
  parseOneOf,
  parseOrigin,
  parsePath,
  parsePeerId,
  parsePrice,
  parseRegion,
  parseSwitch,
  parseWhole,
  publishing,
  roles,
} from './setting-values.ts'
import { parseUpstreamSpec } from './upstream-values.ts'

export type SettingGroup = 'HTTP endpoint' | 'Network' | 'Models' | 'This peer'

/** What a person sees of a setting. */
export interface SettingText {
  /** `--<flag>`; the key in config.toml is the same, the environment's is PINAIVU_<FLAG>. */
  flag: string
  group: SettingGroup
  help: string
  /** Stands for the value in help texts; a switch has none. */
  placeholder?: string
  /** Said in place of a default that depends on something. */
  defaultText?: string
}

/** One setting, from which its flag, variable, key in config.toml, check and help are all made. */
export interface Setting<T> extends SettingText {
  /** one: a single value · many: a list, the flag repeats · switch: true or false. */
  kind: 'one' | 'many' | 'switch'
  /** `--no-<flag>` exists too: a switch, or a value that can be switched off as a whole. */
  negatable: boolean
  /** False for what must be known before config.toml can be found. */
  inFile: boolean
  /** One flag may hold several values with commas between them. */
  commas: boolean
  /** As it would be written by hand; parsed like any other value. */
  default: readonly string[]
  parse(texts: readonly string[], ...context: ContextOf): T
}

type ContextOf = Parameters<ParseValue<unknown>> extends [string, ...infer Rest] ? Rest : never

const common = { negatable: false, inFile: true, commas: false }

function one<T>(parse: ParseValue<T>, text: SettingText & { default: string }): Setting<T> {
  return {
    ...common,
    ...text,
    kind: 'one',
    default: [text.default],
    // The last of several counts, as with most programs; there is always one.
    parse: (texts, context) => parse(texts.at(-1) ?? text.default, context),
  }
}

function optional<T>(parse: ParseValue<T>, text: SettingText): Setting<T | undefined> {
  return {
    ...common,
    ...text,
    kind: 'one',
    default: [],
    parse(texts, context) {
      const last = texts.at(-1)
      return last === undefined ? undefined : parse(last, context)
    },
  }
}

function many<T>(
  parse: ParseValue<T>,
  text: SettingText & { default?: readonly string[]; commas?: boolean; min?: number },
): Setting<readonly T[]> {
  const { min = 0, ...rest } = text
  return {
    ...common,
    ...rest,
    kind: 'many',
    default: rest.default ?? [],
    parse(texts, context) {
      if (texts.length < min) throw new InvalidError(undefined, 'expected at least one value.')
      return texts.map((each) => parse(each, context))
    },
  }
}

function toggle(text: SettingText & { default: boolean }): Setting<boolean> {
  return { ...one(parseSwitch, { ...text, default: `${text.default}` }), ...switchShape }
}

function optionalToggle(text: SettingText): Setting<boolean | undefined> {
  return { ...optional(parseSwitch, text), ...switchShape }
}

const switchShape = { kind: 'switch', negatable: true } as const

const slotsMax = 256 // sequences in one llama.cpp context
const creditLimitMax = 999_999_999_999_999 // nobody is granted more
const drainMax = 3_600 // seconds; the longest answer takes as long
const logSizeMax = 10_000 // MB; a day of much traffic has some
const logFilesMax = 100
const threadsMax = 1024 // more than any machine has: catches a slip of the finger

/** Every setting of a peer. The keys are those of `Config`. */
export const settings = {
  http: {
    ...one(orOff(parseHostPort), {
      flag: 'http',
      group: 'HTTP endpoint',
      placeholder: 'HOST:PORT',
      help: 'Where the OpenAI-compatible endpoint listens. Port 0 takes any free one.',
      default: '127.0.0.1:7462',
    }),
    negatable: true,
  },
  tlsCert: optional(parsePath, {
    flag: 'tls-cert',
    group: 'HTTP endpoint',
    placeholder: 'FILE',
    help: 'Certificate chain (PEM). With --tls-key: HTTPS with HTTP/2 and HTTP/1.1.',
  }),
  tlsKey: optional(parsePath, {
    flag: 'tls-key',
    group: 'HTTP endpoint',
    placeholder: 'FILE',
    help: 'Private key (PEM) of the certificate.',
  }),
  insecureHttp: toggle({
    flag: 'insecure-http',
    group: 'HTTP endpoint',
    help: 'Allow plain HTTP on an address that other machines reach. Keys then travel unencrypted.',
    default: false,
  }),
  corsOrigins: many(parseOrigin, {
    flag: 'cors-origin',
    group: 'HTTP endpoint',
    placeholder: 'ORIGIN',
    help: 'Let web pages of this origin call the endpoint; * for all.',
    defaultText: 'pages on localhost and 127.0.0.1',
  }),
  hostNames: many(parseHostName, {
    flag: 'host-name',
    group: 'HTTP endpoint',
    placeholder: 'NAME',
    help: 'Answer under this name too, such as the one of a proxy in front.',
    defaultText: 'its own address and localhost',
  }),
  allowPrivateWebhooks: toggle({
    flag: 'allow-private-webhooks',
    group: 'HTTP endpoint',
    help: 'Webhooks may be plain HTTP and lead into this machine and its network. For development.',
    default: false,
  }),
  listen: many(parseListenAddress, {
    flag: 'listen',
    group: 'Network',
    placeholder: 'MULTIADDR',
    help: 'Where other peers reach this one.',
    default: ['/ip4/0.0.0.0/tcp/7463'],
  }),
  bootstrap: many(parseBootstrapAddress, {
    flag: 'bootstrap',
    group: 'Network',
    placeholder: 'MULTIADDR',
    help: 'Join through this peer.',
    defaultText: 'none: the peer dials nobody',
  }),
  mdns: toggle({
    flag: 'mdns',
    group: 'Network',
    help: 'Join through the peers that are found on the local network.',
    default: false,
  }),
  network: one(parseNetworkName, {
    flag: 'network',
    group: 'Network',
    placeholder: 'NAME',
    help: 'Networks of different names never mix.',
    default: 'main',
  }),
  publish: one(parseOneOf(publishing), {
    flag: 'publish',
    group: 'Network',
    placeholder: 'receipts|none',
    help: 'What others may see of the work that is done: receipts of it, or nothing.',
    default: 'receipts',
  }),
  models: many(parseModelSpec, {
    flag: 'model',
    group: 'Models',
    placeholder: '[NAME=]MODEL',
    help: 'Serve this GGUF file: a path, hf:ORG/REPO:QUANT, https://…, or a name of "models list".',
    defaultText: 'the built-in demo models',
  }),
  upstreams: many(parseUpstreamSpec, {
    flag: 'upstream',
    group: 'Models',
    placeholder: 'NAME=URL[#MODEL]',
    help:
      'Serve what vLLM, SGLang, Ollama, llama-server or LM Studio runs at this URL, as NAME: the ' +
      'first model; others, as they come, are NAME/ and their name there.',
    defaultText: 'none; a key is given as PINAIVU_UPSTREAM_KEY_<NAME>',
  }),
  drafts: many(parseDraftSpec, {
    flag: 'draft',
    group: 'Models',
    placeholder: '[MODEL=]FILE',
    help: 'A small GGUF file (or hf:…) of the same vocabulary that drafts for this model: same answers, sooner.',
    defaultText: 'the demo model has one; others draft from the prompt',
  }),
  drafters: many(parsePeerId, {
    flag: 'drafter',
    group: 'Models',
    placeholder: 'PEER-ID',
    help: "This peer may see the prompts of this peer's clients, to draft the answers.",
    defaultText: 'none: prompts go to who answers, and to nobody else',
  }),
  guesses: toggle({
    flag: 'guesses',
    group: 'Models',
    help: 'Guess ahead what a model will say, and verify it in batches, where that pays.',
    default: true,
  }),
  demo: optionalToggle({
    flag: 'demo',
    group: 'Models',
    help: 'Serve the built-in demo models.',
    defaultText: 'when there is neither --model nor --upstream',
  }),
  acceptLicence: toggle({
    flag: 'accept-licence',
    group: 'Models',
    help: 'Agree to the licences of the models that are fetched; without a terminal nobody is asked.',
    default: false,
  }),
  modelQuota: optional(parseBytes, {
    flag: 'model-quota',
    group: 'Models',
    placeholder: 'SIZE',
    help: 'Of the disk, for all models that are fetched, such as 200G.',
    defaultText: 'all that is free',
  }),
  modelMemory: optional(parseBytes, {
    flag: 'model-memory',
    group: 'Models',
    placeholder: 'SIZE',
    help: 'For all loaded models together, such as 24G: the one used longest ago gives way.',
    defaultText: 'all that is free',
  }),
  modelIdle: optional(parseDuration, {
    flag: 'model-idle',
    group: 'Models',
    placeholder: 'TIME',
    help: 'Unload a model that nobody has asked for so long, such as 10m; a request loads it again.',
    defaultText: 'never',
  }),
  slots: optional(parseWhole(1, slotsMax), {
    flag: 'slots',
    group: 'Models',
    placeholder: 'N',
    help: 'Sequences decoded in parallel per model.',
    defaultText: 'measured on this machine',
  }),
  threads: optional(parseWhole(1, threadsMax), {
    flag: 'threads',
    group: 'Models',
    placeholder: 'N',
    help: 'CPU threads per model.',
    defaultText: 'measured on this machine',
  }),
  reproducible: toggle({
    flag: 'reproducible',
    group: 'Models',
    help: 'Same request, same answer: one at a time, on one thread, with no cache. Slower.',
    default: false,
  }),
  price: one(parsePrice, {
    flag: 'price',
    group: 'Models',
    placeholder: 'IN/OUT',
    help: 'Micro-credits per 1,000 tokens read and written, asked of other peers and accounts.',
    default: '0/0',
  }),
  creditLimit: optional(parseWhole(0, creditLimitMax), {
    flag: 'credit-limit',
    group: 'Models',
    placeholder: 'CREDITS',
    help: 'Micro-credits that another peer may owe this one for its work; then it is refused.',
    defaultText: 'no limit',
  }),
  roles: many(parseOneOf(roles), {
    flag: 'roles',
    group: 'This peer',
    placeholder: 'LIST',
    help: `Of ${roles.join(', ')}.`,
    default: ['provider', 'coordinator', 'auditor'],
    commas: true,
    min: 1,
  }),
  region: optional(parseRegion, {
    flag: 'region',
    group: 'This peer',
    placeholder: 'CC',
    help: 'Country this peer declares to be in (ISO 3166 alpha-2). Shown as declared.',
  }),
  dataDir: {
    ...optional(parsePath, {
      flag: 'data-dir',
      group: 'This peer',
      placeholder: 'DIR',
      help: 'Where key, data and config.toml are kept.',
      defaultText: "the platform's data folder for pinaivu",
    }),
    inFile: false,
  },
  drain: one(parseWhole(0, drainMax), {
    flag: 'drain',
    group: 'This peer',
    placeholder: 'SECONDS',
    help: 'How long running answers may go on once the peer is told to stop. A second Ctrl-C ends it.',
    // Who runs containers kills after 10 s.
    default: '8',
  }),
  logLevel: optional(parseOneOf(logLevels), {
    flag: 'log-level',
    group: 'This peer',
    placeholder: 'LEVEL',
    help: `How much is logged: ${logLevels.join(', ')}.`,
    defaultText: 'info; warn on a terminal',
  }),
  logFile: optional(parsePath, {
    flag: 'log-file',
    group: 'This peer',
    placeholder: 'FILE',
    help: 'Where the log goes, as JSON lines; older ones are in FILE.1, FILE.2 and so on.',
    defaultText: 'stderr',
  }),
  logSize: one(parseWhole(1, logSizeMax), {
    flag: 'log-size',
    group: 'This peer',
    placeholder: 'MB',
    help: 'How large a log file may be before the next is begun.',
    default: '10',
  }),
  logFiles: one(parseWhole(1, logFilesMax), {
    flag: 'log-files',
    group: 'This peer',
    placeholder: 'N',
    help: 'How many log files are kept, with the one that is written.',
    default: '5',
  }),
} as const

export type Settings = typeof settings
export type SettingKey = keyof Settings
/** The checked value of each setting. */
export type SettingValues = {
  readonly [K in SettingKey]: Settings[K] extends Setting<infer T> ? T : never
}

/** The table as a list, where the type of a value does not matter. */
export const settingList: readonly (Setting<unknown> & { key: SettingKey })[] = Object.entries(
  settings,
).map(([key, setting]) => ({ ...setting, key: key as SettingKey }))

export const envName = (flag: string): string =>
  `PINAIVU_${flag.toUpperCase().replaceAll('-', '_')}`

/** Announced options that nothing stands behind yet: silence would look like agreement. */
export const notYet: readonly string[] = []

/** Says what is wrong with a setting of that name, in the spelling of where it stood. */
export function unknownSetting(flag: string, prefix = '', more: readonly string[] = []): string {
  if (notYet.includes(flag)) return `this version does not have ${prefix}${flag} yet.`
  const known = settingList.map((setting) => setting.flag)
  return `there is no such setting.${didYouMean(flag, [...known, ...more], prefix)}`
}

/** The default as help texts show it. */
export function defaultOf(setting: SettingText & { default: readonly string[] }): string {
  return setting.defaultText ?? setting.default.join(',')
}
