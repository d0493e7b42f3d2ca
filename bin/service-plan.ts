import { dirname, join } from 'node:path'
import { readConfig } from '../src/index.ts'
import type { Input } from './command.ts'
import { CommandError, type Io, UsageError } from './io.ts'
import type { ServiceHost } from './service-host.ts'
import { launchdLabel, launchdPlist, systemdUnit, unitName } from './service-unit.ts'

/** A call of the system's tool. */
export type Step = readonly [tool: string, ...args: string[]]

/** What there is to do for a service, and nothing of it done yet. */
export interface ServiceFile {
  path: string
  text: string
  dataDir: string
  user: string
  /** Makes room for it, where an older one runs. */
  clear?: Step
  /** Makes the written file count, and starts the service. */
  begin: readonly Step[]
  end: readonly Step[]
  /** After the file is gone. */
  forget: readonly Step[]
  ask: Step
}

/** Where a service of the whole machine keeps its data, unless told otherwise. */
const SYSTEM_DATA = '/var/lib/pinaivu-peer'

/** Throws what keeps this machine or this user from having one. */
export function serviceFile(
  input: Input,
  { env }: Pick<Io, 'env'>,
  host: ServiceHost,
): ServiceFile {
  const system = input.values.system === true
  const given = input.values['data-dir'] !== undefined || (env.PINAIVU_DATA_DIR ?? '') !== ''
  const dataDir = system && !given ? SYSTEM_DATA : input.dataDir
  const user = system ? whoRuns(input, env) : host.user.name
  const { node, program } = host
  const drainSeconds = readConfig({ flags: { 'data-dir': dataDir }, env: {} }).drain
  const plan = { system, node, program, dataDir, user, drainSeconds }
  const kept = { dataDir, user }
  if (host.platform === 'linux') {
    const path = join(systemdFolder(system, host, env), unitName)
    return { ...kept, path, text: systemdUnit(plan), ...systemdSteps(system) }
  }
  if (host.platform === 'darwin') {
    const folder = system ? '/Library/LaunchDaemons' : join(host.home, 'Library', 'LaunchAgents')
    const path = join(folder, `${launchdLabel}.plist`)
    return { ...kept, path, text: launchdPlist(plan), ...launchdSteps(system, host, path) }
  }
  throw new CommandError(
    `Services are for systemd and launchd, and this is ${host.platform}. Have its own means run: ` +
      `"${node}" "${program}" start`,
  )
}

/** Programs that npx and package runners take away again. */
export const isFleeting = ({ program }: ServiceHost): boolean =>
  /[\\/](_npx|dlx-|\.bun[\\/]install[\\/]cache)/.test(program) ||
  dirname(program).startsWith('/tmp/')

/** Not root: whoever breaks into a peer is not to own the machine. */
function whoRuns({ values }: Input, env: Io['env']): string {
  const name = values['run-as'] ?? env.SUDO_USER
  if (typeof name !== 'string' || name === '' || name === 'root') {
    throw new UsageError(
      'Say who the peer is to run as: --run-as USER (a user of its own, not root).',
    )
  }
  if (!/^[a-z_][a-z0-9_.-]{0,31}$/i.test(name)) {
    throw new UsageError(`--run-as: expected the name of a user, got "${name}".`)
  }
  return name
}

function systemdFolder(system: boolean, { home }: ServiceHost, env: Io['env']): string {
  if (system) return '/etc/systemd/system'
  const config = env.XDG_CONFIG_HOME ?? ''
  return join(config.startsWith('/') ? config : join(home, '.config'), 'systemd', 'user')
}

function systemdSteps(system: boolean): Pick<ServiceFile, 'begin' | 'end' | 'forget' | 'ask'> {
  const call = (...args: string[]): Step => ['systemctl', ...(system ? [] : ['--user']), ...args]
  const shown = '--property=ActiveState,SubState,UnitFileState,MainPID,NRestarts'
  return {
    begin: [call('daemon-reload'), call('enable', unitName), call('restart', unitName)],
    end: [call('disable', '--now', unitName)],
    forget: [call('daemon-reload')],
    ask: call('show', unitName, shown),
  }
}

function launchdSteps(
  system: boolean,
  { user }: ServiceHost,
  path: string,
): Pick<ServiceFile, 'clear' | 'begin' | 'end' | 'forget' | 'ask'> {
  const domain = system ? 'system' : `gui/${user.uid}`
  const bootout: Step = ['launchctl', 'bootout', `${domain}/${launchdLabel}`]
  return {
    clear: bootout,
    begin: [['launchctl', 'bootstrap', domain, path]],
    end: [bootout],
    forget: [],
    ask: ['launchctl', 'print', `${domain}/${launchdLabel}`],
  }
}
