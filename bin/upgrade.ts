import { DeadlineError, InvalidError, messageOf, PeerError, version } from '../src/index.ts'
import type { Command, Input } from './command.ts'
import { exitCodes, print, UsageError } from './io.ts'
import { safeJson } from './text.ts'

const packageName = 'pinaivu-peer'
const REGISTRY = 'https://registry.npmjs.org/'
const ASK_MS = 10_000
/** What a registry says of one version has some KB. */
const ANSWER_BYTES_MAX = 1024 * 1024

export const upgrade: Command = {
  name: 'upgrade',
  summary: 'With --check: ask the npm registry whether there is a newer version.',
  options: [
    { name: 'check', help: 'Ask; nothing is installed.' },
    {
      name: 'registry',
      placeholder: 'URL',
      help: 'The registry to ask, such as a mirror.',
      defaultText: REGISTRY,
    },
  ],
  details: [
    'Nobody is asked unless you run this. The registry learns your address, and nothing of the peer.',
  ],
  examples: [
    ['pinaivu-peer upgrade --check', 'Is there a newer one?'],
    ['pinaivu-peer upgrade --check --json', 'For programs: one JSON object'],
  ],
  async run(input, io) {
    if (input.values.check !== true) {
      throw new UsageError(`Nothing is installed by this program. Say --check, or run: ${command}`)
    }
    const newest = await newestVersion(registryOf(input), io.signal)
    const isNewer = isAbove(newest, version)
    if (input.json) {
      const how = isNewer ? command : null
      print(io.stdout, safeJson({ version, newest, is_newer: isNewer, how }))
    } else if (isNewer) {
      print(
        io.stdout,
        `${newest} is there; this is ${version}. To upgrade: ${command}`,
        'Then restart the peer. What changed: CHANGELOG.md in the package.',
      )
    } else print(io.stdout, `${version} is the newest.`)
    return exitCodes.done
  },
}

const command = `npm install -g ${packageName}@latest`

function registryOf({ values }: Input): URL {
  const text = typeof values.registry === 'string' ? values.registry : REGISTRY
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new InvalidError('--registry', `--registry: expected an address, got "${text}".`)
  }
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  return new URL(`${packageName}/latest`, url)
}

async function newestVersion(url: URL, signal: AbortSignal): Promise<string> {
  const late = AbortSignal.timeout(ASK_MS)
  let text: string
  try {
    const headers = { accept: 'application/json' }
    const answer = await fetch(url, { headers, signal: AbortSignal.any([signal, late]) })
    if (answer.status === 404) {
      throw new PeerError('registry_unknown', `${url.host} has no package ${packageName}.`)
    }
    if (!answer.ok) {
      await answer.body?.cancel()
      const message = `${url.host} answered with status ${answer.status}. Try again later.`
      throw new PeerError('registry_refused', message)
    }
    text = await bounded(answer, url)
  } catch (cause) {
    if (cause instanceof PeerError || signal.aborted) throw cause
    if (late.aborted) throw new DeadlineError(`Asking ${url.host}`, ASK_MS)
    const why = messageOf(cause instanceof Error ? (cause.cause ?? cause) : cause)
    const message = `${url.host} cannot be asked: ${why}. Is this machine connected?`
    throw new PeerError('registry_unreachable', message, { cause })
  }
  return versionIn(text, url)
}

async function bounded(answer: Response, url: URL): Promise<string> {
  const pieces: Uint8Array[] = []
  let bytes = 0
  for await (const piece of answer.body ?? []) {
    bytes += piece.length
    if (bytes > ANSWER_BYTES_MAX) throw misunderstood(url)
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString('utf8')
}

function versionIn(text: string, url: URL): string {
  try {
    const { version: found } = JSON.parse(text) as { version?: unknown }
    if (typeof found === 'string' && partsOf(found) !== undefined) return found
  } catch {
    // Said below.
  }
  throw misunderstood(url)
}

const misunderstood = (url: URL): PeerError =>
  new PeerError('registry_answer', `What ${url.host} answers is no version. Is it a registry?`)

interface Parts {
  numbers: number[]
  /** Of what comes before the version: `beta.1`. */
  early: string[]
}

/** By https://semver.org */
function partsOf(text: string): Parts | undefined {
  const found =
    /^(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:-([0-9A-Za-z.-]{1,100}))?(?:\+[0-9A-Za-z.-]{1,100})?$/.exec(
      text,
    )
  if (found === null) return undefined
  const [, major, minor, patch, early] = found
  return { numbers: [major, minor, patch].map(Number), early: early?.split('.') ?? [] }
}

/** Whether one version comes after the other. */
export function isAbove(one: string, other: string): boolean {
  const [a, b] = [partsOf(one), partsOf(other)]
  if (a === undefined || b === undefined) return false
  const first = a.numbers.findIndex((number, at) => number !== b.numbers[at])
  if (first >= 0) return (a.numbers[first] ?? 0) > (b.numbers[first] ?? 0)
  if (a.early.length === 0 || b.early.length === 0) return b.early.length > a.early.length
  for (const [at, word] of a.early.entries()) {
    const theirs = b.early[at]
    if (theirs === undefined) return true
    if (word === theirs) continue
    const [isNumber, isTheirs] = [word, theirs].map((each) => /^\d+$/.test(each))
    if (isNumber && isTheirs) return Number(word) > Number(theirs)
    return isNumber === isTheirs ? word > theirs : isTheirs === true
  }
  return false
}
