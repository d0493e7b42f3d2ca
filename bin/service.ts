import { randomUUID } from 'node:crypto'
import { chown, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { messageOf } from '../src/index.ts'
import type { Command, Input, Option } from './command.ts'
import { CommandError, exitCodes, type Io, print } from './io.ts'
import { type ServiceHost, type ToolAnswer, thisHost } from './service-host.ts'
import { isFleeting, type ServiceFile, type Step, serviceFile } from './service-plan.ts'
import { writtenBy } from './service-unit.ts'
import { paintFor, safeJson, safeLine, safeText } from './text.ts'

const system: Option = {
  name: 'system',
  help: 'For the whole machine, from its start on; needs root.',
  defaultText: 'for this user, from the login on',
}
const runAs: Option = {
  name: 'run-as',
  placeholder: 'USER',
  help: 'With --system: the user that it runs as.',
  defaultText: 'who called sudo',
}
const dryRun: Option = { name: 'dry-run', help: 'Only show what would be written and run.' }
const force: Option = { name: 'force', help: 'Also a file that somebody else has written.' }

type Run = (input: Input, io: Io, host?: ServiceHost) => Promise<number>

const command = (given: Omit<Command, 'run'>, run: Run): Command => ({
  ...given,
  run: (input, io) => run(input, io),
})

/** Makes the peer a service that starts by itself. */
export const installService: Run = async (input, io, host = thisHost()) => {
  const file = serviceFile(input, io, host)
  const notes = notesOn(input, file, host)
  if (input.values['dry-run'] === true) {
    const run = file.begin.map((step) => step.join(' '))
    if (input.json) print(io.stdout, safeJson({ path: file.path, text: file.text, run, notes }))
    else print(io.stdout, `# ${file.path}`, safeText(file.text), ...run.map((line) => `# ${line}`))
    if (!input.json) tellNotes(notes, io)
    return exitCodes.done
  }
  await refuseForeign(file.path, input)
  await write(file, input, host)
  // Where nothing is loaded there is nothing to clear.
  if (file.clear !== undefined) await runTool(file.clear, host, io)
  const stuck = await runAll(file.begin, host, io)
  if (input.json) {
    const started = stuck === undefined
    print(io.stdout, safeJson({ path: file.path, started, left_to_run: stuck?.left ?? [], notes }))
    return exitCodes.done
  }
  print(io.stdout, `Written: ${file.path}`)
  if (stuck === undefined) print(io.stdout, 'The peer runs as a service from now on.')
  else print(io.stdout, ...stuckLines(stuck))
  tellNotes(notes, io)
  return exitCodes.done
}

/** Ends the service and takes its file away. The data stay. */
export const uninstallService: Run = async (input, io, host = thisHost()) => {
  const file = serviceFile(withAnyUser(input), io, host)
  const there = await textOf(file.path)
  if (input.values['dry-run'] === true) {
    const run = [...file.end, ...file.forget].map((step) => step.join(' '))
    if (input.json) print(io.stdout, safeJson({ path: file.path, there: there !== undefined, run }))
    else print(io.stdout, ...run.map((line) => `# ${line}`), `# rm ${file.path}`)
    return exitCodes.done
  }
  if (there === undefined) throw new CommandError(`There is no service: no file ${file.path}.`)
  await refuseForeign(file.path, input)
  const stuck = await runAll(file.end, host, io)
  await rm(file.path, { force: true }).catch((cause: unknown) => {
    throw unwritable(file.path, cause, input)
  })
  const after = stuck ?? (await runAll(file.forget, host, io))
  if (input.json) {
    const left = after?.left ?? []
    print(io.stdout, safeJson({ path: file.path, removed: true, left_to_run: left }))
    return exitCodes.done
  }
  print(io.stdout, `Removed: ${file.path}. Its data stay in ${file.dataDir}.`)
  if (after !== undefined) print(io.stdout, ...stuckLines(after))
  return exitCodes.done
}

/** Whether there is a service, and how it is. */
export const serviceStatus: Run = async (input, io, host = thisHost()) => {
  const file = serviceFile(withAnyUser(input), io, host)
  const text = await textOf(file.path)
  const asked = await runTool(file.ask, host, io)
  const state = asked.code === 0 ? stateOf(asked.text) : undefined
  const installed = text !== undefined
  const own = text?.includes(writtenBy) === true
  const { path } = file
  if (input.json) print(io.stdout, safeJson({ path, installed, own, state: state ?? null }))
  else {
    const whose = own ? '' : ' (written by somebody else)'
    print(io.stdout, installed ? `Service file: ${path}${whose}` : `No service file: ${path}`)
    const how = state === undefined ? `not known: ${asked.text}` : wordsOf(state)
    print(io.stdout, `State: ${safeLine(how)}`)
  }
  return installed ? exitCodes.done : exitCodes.failed
}

export const serviceInstall = command(
  {
    name: 'service install',
    summary: 'Run the peer as a service of systemd or launchd that starts by itself.',
    options: [system, runAs, dryRun, force],
    details: [
      'The service is given nothing but its data folder: set everything else in config.toml there ' +
        '("pinaivu-peer config set"). "config reload" and a reload of the service are the same. ' +
        'Install it again after a change of "drain", or when Node or the program have moved.',
    ],
    examples: [
      ['pinaivu-peer service install --dry-run', 'Look at it first'],
      ['pinaivu-peer service install', 'For this user'],
      ['sudo pinaivu-peer service install --system --run-as pinaivu', 'For the machine'],
    ],
  },
  installService,
)

export const serviceUninstall = command(
  {
    name: 'service uninstall',
    summary: 'End the service and take its file away. The data stay.',
    options: [system, dryRun, force],
    examples: [['pinaivu-peer service uninstall', 'No more starts by itself']],
  },
  uninstallService,
)

export const serviceStatusCommand = command(
  {
    name: 'service status',
    summary: 'Show whether the peer is a service, and how it is.',
    options: [system],
    examples: [['pinaivu-peer service status --json', 'For programs: one JSON object']],
  },
  serviceStatus,
)

/** Who it runs as means nothing for these. */
const withAnyUser = (input: Input): Input => ({
  ...input,
  values: { 'run-as': 'nobody', ...input.values },
})

function notesOn({ values }: Input, { user, dataDir }: ServiceFile, host: ServiceHost): string[] {
  const linger = values.system !== true && host.platform === 'linux'
  const { program } = host
  return [
    ...(linger
      ? [
          `It ends when ${user} logs out, and starts at the next login. To have it run without: ` +
            `loginctl enable-linger ${user}`,
        ]
      : []),
    ...(values.system === true ? [`${user} must be able to read ${dataDir} and ${program}.`] : []),
    ...(isFleeting(host)
      ? [`${program} is in a folder that is cleared: "npm install -g pinaivu-peer" first.`]
      : []),
  ]
}

function tellNotes(notes: readonly string[], { stderr, env }: Io): void {
  const paint = paintFor(stderr, env)
  for (const note of notes) print(stderr, `${paint('yellow', 'Note:')} ${safeLine(note)}`)
}

async function refuseForeign(path: string, { values }: Input): Promise<void> {
  const text = await textOf(path)
  if (text === undefined || text.includes(writtenBy) || values.force === true) return
  throw new CommandError(`${path} was written by somebody else. Say --force if it is to go.`)
}

const textOf = (path: string): Promise<string | undefined> =>
  readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return undefined
    throw new CommandError(`Cannot read ${path}: ${messageOf(cause)}`, { cause })
  })

/** Whole or not at all, with the folder that it needs. */
async function write(file: ServiceFile, input: Input, host: ServiceHost): Promise<void> {
  const { path, text, dataDir, user } = file
  const fresh = `${path}.${randomUUID()}.tmp`
  try {
    const owner = user === host.user.name ? undefined : await ownerOf(user, host)
    const made = await mkdir(dataDir, { recursive: true, mode: 0o700 })
    if (made !== undefined && owner !== undefined) await chown(dataDir, owner.uid, owner.gid)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(fresh, text, { mode: 0o644, flag: 'wx' })
    await rename(fresh, path)
  } catch (cause) {
    throw unwritable(path, cause, input)
  } finally {
    await rm(fresh, { force: true }).catch(() => {})
  }
}

async function ownerOf(user: string, host: ServiceHost): Promise<{ uid: number; gid: number }> {
  const soon = AbortSignal.timeout(5_000)
  const ask = async (which: string) => {
    const { code, text } = await host.run('id', [which, user], soon)
    return code === 0 && /^\d+$/.test(text) ? Number(text) : undefined
  }
  const [uid, gid] = [await ask('-u'), await ask('-g')]
  if (uid !== undefined && gid !== undefined) return { uid, gid }
  throw new CommandError(`There is no user "${user}". Make one first, such as with useradd.`)
}

function unwritable(path: string, cause: unknown, { values }: Input): CommandError {
  if (cause instanceof CommandError) return cause
  const how = values.system === true ? ' Use sudo.' : ''
  return new CommandError(`Cannot write ${path}: ${messageOf(cause)}.${how}`, { cause })
}

interface Stuck {
  left: string[]
  why: string
}

/** Undefined when all was done; else what its user has to run, and why. */
async function runAll(
  steps: readonly Step[],
  host: ServiceHost,
  io: Io,
): Promise<Stuck | undefined> {
  for (const [at, step] of steps.entries()) {
    const { code, text } = await runTool(step, host, io)
    if (code === 0) continue
    return { left: steps.slice(at).map((each) => each.join(' ')), why: text }
  }
  return undefined
}

const runTool = ([tool, ...args]: Step, host: ServiceHost, io: Io): Promise<ToolAnswer> =>
  host.run(tool, args, io.signal)

const stuckLines = ({ left, why }: Stuck): string[] => [
  `This could not be run here (${safeLine(why)}). Run it yourself:`,
  ...left.map((line) => `  ${line}`),
]

/** `Key=value` lines, as systemctl shows properties; of launchctl's there is one that counts. */
function stateOf(text: string): Record<string, string> {
  const pairs = text.split('\n').flatMap((line) => {
    const [, key, value] = /^\s*([A-Za-z]+) ?= ?(\S.*)$/.exec(line) ?? []
    return key === undefined || value === undefined ? [] : [[key, value] as const]
  })
  return Object.fromEntries(pairs)
}

function wordsOf({
  ActiveState,
  SubState,
  UnitFileState,
  MainPID,
  state,
  pid,
}: Partial<Record<string, string>>): string {
  const active = ActiveState === undefined ? (state ?? 'unknown') : `${ActiveState} (${SubState})`
  const number = MainPID ?? pid
  return [
    active,
    UnitFileState === undefined ? [] : UnitFileState,
    number === undefined || number === '0' ? [] : `process ${number}`,
  ]
    .flat()
    .join(', ')
}
