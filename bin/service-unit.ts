import { InvalidError } from '../src/index.ts'

/** What is to run, as whoever keeps services is told. */
export interface ServicePlan {
  /** For all users, from the start of the machine on; otherwise for one, from the login on. */
  system: boolean
  /** Absolute. */
  node: string
  program: string
  dataDir: string
  /** Who it runs as; only of a system's service. */
  user: string
  drainSeconds: number
}

/** In the first lines of what is written: a file without it is somebody else's. */
export const writtenBy = 'Written by "pinaivu-peer service install".'

/** What a stop takes beside the answers that run: good-byes, the database, the engine. */
const STOP_SECONDS = 15

/** The unit for systemd. */
export function systemdUnit(plan: ServicePlan): string {
  const { system, node, program, dataDir, user, drainSeconds } = plan
  for (const path of [node, program, dataDir]) refuseOdd(path)
  for (const path of [node, dataDir]) {
    if (/["'\\]/.test(path)) {
      throw new InvalidError(undefined, `systemd takes no path with quotes here: ${path}`)
    }
  }
  const command = [word(node), ...[program, 'start', '--data-dir', dataDir].map(argument)]
  return [
    `# ${writtenBy} The next one writes it anew: what is`,
    '# to be different belongs into config.toml, or into a drop-in ("systemctl edit").',
    '[Unit]',
    'Description=pinaivu-peer, a peer-to-peer inference node',
    'Documentation=https://www.npmjs.com/package/pinaivu-peer',
    ...(system ? ['Wants=network-online.target', 'After=network-online.target'] : []),
    // Five times within five minutes: then something is wrong that a start does not mend.
    'StartLimitIntervalSec=300',
    'StartLimitBurst=5',
    '',
    '[Service]',
    `ExecStart=${command.join(' ')}`,
    'ExecReload=/bin/kill -HUP $MAINPID',
    ...(system ? [`User=${user}`] : []),
    'Restart=on-failure',
    'RestartSec=5',
    '# The peer ends running answers first, and its engine after them.',
    'KillMode=mixed',
    `TimeoutStopSec=${drainSeconds + STOP_SECONDS}`,
    '# Ten thousand idle streams, with room.',
    'LimitNOFILE=65536',
    'UMask=0077',
    '',
    ...hardening(plan),
    '',
    '[Install]',
    `WantedBy=${system ? 'multi-user' : 'default'}.target`,
    '',
  ].join('\n')
}

/**
 * What a peer does not need. Left out on purpose: PrivateDevices, DevicePolicy and ProtectClock, which
 * brings one along (graphics cards are devices), and MemoryDenyWriteExecute (Node and drivers compile).
 */
function hardening({ system, dataDir }: ServicePlan): string[] {
  return [
    '# Nothing here keeps a graphics card away. A card whose devices only appear on first use needs',
    '# its own service for that (nvidia-persistenced): this one may gain no rights.',
    'NoNewPrivileges=yes',
    'RestrictSUIDSGID=yes',
    'RestrictRealtime=yes',
    'LockPersonality=yes',
    'SystemCallArchitectures=native',
    // A user's own manager has no such rights on some systems, and then goes on without.
    `ProtectSystem=${system ? 'strict' : 'full'}`,
    `ReadWritePaths=${word(dataDir)}`,
    ...(system
      ? [
          '# Model files may lie in a home; nothing is written there.',
          'ProtectHome=read-only',
          'PrivateTmp=yes',
          'ProtectControlGroups=yes',
          'ProtectKernelLogs=yes',
          'ProtectHostname=yes',
          'RestrictNamespaces=yes',
          'CapabilityBoundingSet=',
          '# Compiled kernels of graphics cards are kept between starts.',
          'CacheDirectory=pinaivu-peer',
          'Environment=XDG_CACHE_HOME=%C/pinaivu-peer CUDA_CACHE_PATH=%C/pinaivu-peer/cuda',
        ]
      : []),
  ]
}

/** A line end would begin another option. */
function refuseOdd(path: string): void {
  if (/\p{Cc}/u.test(path)) {
    throw new InvalidError(undefined, `A service cannot have a path with ${JSON.stringify(path)}.`)
  }
}

/** One word as systemd reads it: quoted, and without the meaning of `%`. */
function word(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&').replaceAll('%', '%%')}"`
}

/** In arguments, but not in the path of the program, `$` begins a variable. */
const argument = (text: string): string => word(text).replaceAll('$', () => '$$')

/** The property list for launchd. */
export function launchdPlist(plan: ServicePlan): string {
  const { system, node, program, dataDir, user, drainSeconds } = plan
  for (const path of [node, program, dataDir]) refuseOdd(path)
  const entries: [key: string, value: string][] = [
    ['Label', string(launchdLabel)],
    ['ProgramArguments', array([node, program, 'start', '--data-dir', dataDir])],
    ...(system ? [['UserName', string(user)] as [string, string]] : []),
    ['RunAtLoad', '<true/>'],
    // Not after a clean end, which somebody wanted.
    ['KeepAlive', '<dict><key>SuccessfulExit</key><false/></dict>'],
    ['ThrottleInterval', '<integer>5</integer>'],
    ['ExitTimeOut', `<integer>${drainSeconds + STOP_SECONDS}</integer>`],
    ['ProcessType', string('Interactive')],
    ['StandardErrorPath', string(`${dataDir}/service.log`)],
    ['SoftResourceLimits', '<dict><key>NumberOfFiles</key><integer>65536</integer></dict>'],
    ['Umask', '<integer>63</integer>'],
  ]
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">',
    `<!-- ${writtenBy} The next one writes it anew. -->`,
    '<plist version="1.0">',
    '<dict>',
    ...entries.map(([key, value]) => `  <key>${key}</key>${value}`),
    '</dict>',
    '</plist>',
    '',
  ].join('\n')
}

export const launchdLabel = 'org.pinaivu.peer'
export const unitName = 'pinaivu-peer.service'

const xmlSigns: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' }
const string = (text: string): string =>
  `<string>${text.replace(/[&<>]/g, (sign) => xmlSigns[sign] ?? sign)}</string>`
const array = (texts: readonly string[]): string => `<array>${texts.map(string).join('')}</array>`
