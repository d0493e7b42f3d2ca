import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Command, parseCommandLine } from '../../bin/command.ts'
import {
  installService,
  serviceInstall,
  serviceStatus,
  serviceStatusCommand,
  serviceUninstall,
  uninstallService,
} from '../../bin/service.ts'
import { type ServiceHost, type ToolAnswer, thisHost } from '../../bin/service-host.ts'
import { launchdPlist, type ServicePlan, systemdUnit } from '../../bin/service-unit.ts'
import { stage, temporaryFolder } from './stage.ts'

const plan: ServicePlan = {
  system: false,
  node: '/opt/no de/$1%h/node',
  program: '/opt/my "peer"/$X/100%/pinaivu\\peer.js',
  dataDir: '/srv/a b/50%$HOME',
  user: 'eve',
  drainSeconds: 30,
}

const linesOf = (text: string) => text.split('\n')

describe('the unit for systemd', () => {
  it('has every path as a word that means itself', () => {
    expect(linesOf(systemdUnit(plan))).toEqual(
      expect.arrayContaining([
        'ExecStart="/opt/no de/$1%%h/node" ' +
          '"/opt/my \\"peer\\"/$$X/100%%/pinaivu\\\\peer.js" "start" ' +
          '"--data-dir" "/srv/a b/50%%$$HOME"',
        'ReadWritePaths="/srv/a b/50%%$HOME"',
        'ExecReload=/bin/kill -HUP $MAINPID',
        'Restart=on-failure',
        'NoNewPrivileges=yes',
        'ProtectSystem=full',
        'WantedBy=default.target',
        // Longer than running answers are given.
        'TimeoutStopSec=45',
      ]),
    )
  })

  it('of the system runs as somebody, and may write nowhere else', () => {
    const lines = linesOf(systemdUnit({ ...plan, system: true }))
    const wanted = ['User=eve', 'ProtectSystem=strict', 'WantedBy=multi-user.target']
    expect(lines).toEqual(expect.arrayContaining(wanted))
    // These would take graphics cards away, or compiled code.
    const text = lines.filter((line) => !line.startsWith('#')).join('\n')
    expect(text).not.toMatch(/PrivateDevices|DevicePolicy|DeviceAllow|ProtectClock|MemoryDeny/)
  })

  it('is refused for paths that it cannot have', () => {
    expect(() => systemdUnit({ ...plan, dataDir: '/a\nExecStart=/bin/sh' })).toThrow(/cannot have/)
    expect(() => systemdUnit({ ...plan, dataDir: '/a"b' })).toThrow(/no path with quotes/)
    expect(() => systemdUnit({ ...plan, node: "/it's/node" })).toThrow(/no path with quotes/)
  })

  const hasVerify = spawnSync('systemd-analyze', ['--version']).status === 0
  it.runIf(hasVerify).each([true, false])('is understood by systemd (system: %s)', (system) => {
    const dir = join(temporaryFolder(), 'no de $1%h')
    mkdirSync(dir)
    const node = join(dir, 'node')
    copyFileSync('/bin/true', node)
    chmodSync(node, 0o755)
    const unit = join(dir, 'pinaivu-peer.service')
    writeFileSync(unit, systemdUnit({ ...plan, system, node, user: 'root' }))
    const args = [...(system ? [] : ['--user']), 'verify', unit]
    const { status, stderr } = spawnSync('systemd-analyze', args, {
      env: { ...process.env, XDG_RUNTIME_DIR: dir },
    })
    const own = String(stderr)
      .split('\n')
      .filter((line) => line.includes('pinaivu-peer.service'))
    expect([status, own]).toEqual([0, []])
  })
})

it('the property list for launchd has signs of XML as themselves', () => {
  const text = launchdPlist({ ...plan, system: true, program: '/a&b/<c>.js' })
  expect(text).toContain(
    '<array><string>/opt/no de/$1%h/node</string><string>/a&amp;b/&lt;c&gt;.js</string>' +
      '<string>start</string><string>--data-dir</string><string>/srv/a b/50%$HOME</string></array>',
  )
  expect(text).toContain('<key>UserName</key><string>eve</string>')
  expect(text).toContain('<key>ExitTimeOut</key><integer>45</integer>')
  const opened = [...text.matchAll(/<([a-z]+)[ >]/g)].map(([, name]) => name)
  const closed = [...text.matchAll(/<\/([a-z]+)>/g)].map(([, name]) => name)
  expect(opened.toSorted()).toEqual(closed.toSorted())
})

/** A machine with a home of its own, whose tools say what a test wants. */
function machine(answer: (call: string) => ToolAnswer, platform = 'linux') {
  const home = temporaryFolder()
  const calls: string[] = []
  const host: ServiceHost = {
    platform,
    home,
    user: { name: 'eve', uid: 1000 },
    node: '/usr/bin/node',
    program: '/usr/lib/pinaivu-peer.js',
    async run(tool, args) {
      const call = [tool, ...args].join(' ')
      calls.push(call)
      return answer(call)
    },
  }
  const dataDir = join(home, 'data')
  const runWith =
    (run: typeof installService, command: Command) =>
    async (...args: string[]) => {
      const io = stage({ env: { HOME: home } })
      const input = parseCommandLine(command, ['--data-dir', dataDir, ...args], io.env)
      const code = await run(input, io, host)
      return { code, out: io.stdout.text, err: io.stderr.text }
    }
  return {
    ...{ home, dataDir, calls, host },
    unit: join(home, '.config/systemd/user/pinaivu-peer.service'),
    install: runWith(installService, serviceInstall),
    uninstall: runWith(uninstallService, serviceUninstall),
    status: runWith(serviceStatus, serviceStatusCommand),
  }
}

const fine = () => ({ code: 0, text: '' })
const noBus = () => ({ code: 1, text: 'Failed to connect to bus' })

describe('pinaivu-peer service', () => {
  it('is installed, shown, and taken away; the data stay', async () => {
    const shown = 'ActiveState=active\nSubState=running\nUnitFileState=enabled\nMainPID=7\n'
    const all = machine((call) => ({ code: 0, text: call.includes(' show ') ? shown : '' }))
    const { install, status, uninstall, calls, unit, dataDir } = all
    const done = await install()
    expect(done).toMatchObject({ code: 0, out: expect.stringContaining(`Written: ${unit}\n`) })
    expect(done.err).toContain('loginctl enable-linger eve')
    expect(calls.splice(0)).toEqual([
      'systemctl --user daemon-reload',
      'systemctl --user enable pinaivu-peer.service',
      'systemctl --user restart pinaivu-peer.service',
    ])
    expect(readFileSync(unit, 'utf8')).toContain(`"--data-dir" "${dataDir}"`)
    const { out } = await status('--json')
    expect(JSON.parse(out)).toMatchObject({
      installed: true,
      own: true,
      state: { ActiveState: 'active', MainPID: '7' },
    })
    expect((await status()).out).toContain('State: active (running), enabled, process 7')
    // Again: it is our own file.
    writeFileSync(join(dataDir, 'config.toml'), 'drain = 60\n')
    await install()
    expect(readFileSync(unit, 'utf8')).toContain('TimeoutStopSec=75')
    expect((await uninstall()).out).toContain(`Its data stay in ${dataDir}`)
    expect([existsSync(unit), existsSync(dataDir)]).toEqual([false, true])
    expect(await status()).toMatchObject({
      code: 1,
      out: expect.stringContaining('No service file'),
    })
    await expect(uninstall()).rejects.toThrow(/There is no service/)
  })

  it('is written, and what to run is said, where systemd is not there', async () => {
    const missing = machine(() => ({ code: undefined, text: 'spawn systemctl ENOENT' }))
    const done = await missing.install()
    expect(done.code).toBe(0)
    expect(done.out).toMatch(/could not be run here \(spawn systemctl ENOENT\)\. Run it yourself:/)
    expect(done.out).toContain('  systemctl --user enable pinaivu-peer.service\n')
    expect(missing.calls).toHaveLength(1)
    expect(existsSync(missing.unit)).toBe(true)
    const { install } = machine(noBus)
    expect(JSON.parse((await install('--json')).out)).toMatchObject({
      started: false,
      left_to_run: expect.arrayContaining(['systemctl --user daemon-reload']),
    })
  })

  it('only shows with --dry-run', async () => {
    const { install, calls, unit, dataDir, home } = machine(fine)
    const { out } = await install('--dry-run')
    expect(out).toContain(`# ${unit}\n`)
    expect(out).toContain('ExecStart="/usr/bin/node" "/usr/lib/pinaivu-peer.js" "start"')
    expect(out).toContain('# systemctl --user daemon-reload')
    expect(calls).toEqual([])
    expect([existsSync(join(home, '.config')), existsSync(dataDir)]).toEqual([false, false])
  })

  it("leaves somebody else's file alone, unless told otherwise", async () => {
    const { install, uninstall, unit, calls } = machine(fine)
    mkdirSync(join(unit, '..'), { recursive: true })
    writeFileSync(unit, '[Service]\nExecStart=/bin/true\n')
    await expect(install()).rejects.toThrow(/written by somebody else\. Say --force/)
    await expect(uninstall()).rejects.toThrow(/written by somebody else/)
    expect(readFileSync(unit, 'utf8')).toContain('/bin/true')
    expect(calls).toEqual([])
    await install('--force')
    expect(readFileSync(unit, 'utf8')).toContain('start')
  })

  it('of the system runs as who is said, never as root', async () => {
    const { install } = machine(fine)
    await expect(install('--system', '--dry-run')).rejects.toThrow(/Say who .* --run-as USER/)
    await expect(install('--system', '--run-as', 'root', '--dry-run')).rejects.toThrow(/not root/)
    await expect(install('--system', '--run-as', 'a b', '--dry-run')).rejects.toThrow(
      /name of a user/,
    )
    const { out, err } = await install('--system', '--run-as', 'pinaivu', '--dry-run')
    expect(out).toContain('# /etc/systemd/system/pinaivu-peer.service\n')
    expect(out).toContain('User=pinaivu\n')
    expect(out).toContain('# systemctl enable pinaivu-peer.service\n')
    expect(err).not.toContain('linger')
  })

  it('is one of launchd on a Mac', async () => {
    const { install, calls, home } = machine(fine, 'darwin')
    await install()
    const path = join(home, 'Library/LaunchAgents/org.pinaivu.peer.plist')
    expect(readFileSync(path, 'utf8')).toContain('<key>RunAtLoad</key><true/>')
    expect(calls).toEqual([
      'launchctl bootout gui/1000/org.pinaivu.peer',
      `launchctl bootstrap gui/1000 ${path}`,
    ])
  })

  it('says what to do where there is neither, and of a program that will be gone', async () => {
    await expect(machine(fine, 'win32').install()).rejects.toThrow(/Have its own means run/)
    const { install, host } = machine(fine)
    host.program = '/home/eve/.npm/_npx/1a2b/node_modules/pinaivu-peer/dist/bin/pinaivu-peer.js'
    expect((await install('--dry-run')).err).toContain('npm install -g pinaivu-peer')
  })

  it('gives up on a tool that is not there, and tells the answers of one that is', async () => {
    const { run, node } = thisHost()
    const { signal } = new AbortController()
    expect((await run('/nowhere/systemctl', [], signal)).code).toBeUndefined()
    const script = 'console.log("said"); process.exitCode = 3'
    expect(await run(node, ['-e', script], signal)).toEqual({ code: 3, text: 'said' })
  })
})
