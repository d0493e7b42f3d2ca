import { execFile } from 'node:child_process'
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { stage } from '../bin/stage.ts'
import { commandLines, wordsOf } from './command-lines.ts'
import { type Block, root } from './document.ts'
import { type PeerProcess, program, startPeer, temporaryFolder } from './peer-process.ts'

const run = promisify(execFile)

/** Each as short as an answer of the demo model takes, with room for a busy machine. */
const EXAMPLE_MS = 60_000

/** More than commands of the program one after the other; relative paths are for a shell too. */
const needsShell = /^(?!npx pinaivu-peer )|[$|<>;&`*]|\.json\b/m

/** A peer, and a home in which examples find it as those who read them find theirs. */
export class Examples {
  readonly peer: PeerProcess
  readonly #home: { path: string; remove(): void }
  readonly #env: Record<string, string>
  #scripts = 0

  private constructor(peer: PeerProcess, home: { path: string; remove(): void }) {
    this.peer = peer
    this.#home = home
    const tools = join(home.path, 'bin')
    mkdirSync(tools)
    writeFileSync(
      join(tools, 'npx'),
      // In a checkout, npx finds the program of that checkout.
      `#!/bin/sh\n[ "$1" = pinaivu-peer ] && shift && exec '${process.execPath}' '${program}' "$@"\nexit 127\n`,
    )
    chmodSync(join(tools, 'npx'), 0o755)
    this.#env = {
      ...{ PATH: `${tools}:${process.env.PATH ?? ''}`, HOME: home.path, NO_COLOR: '1' },
      ...{ PEER_KEY: peer.ready.apiKey, PINAIVU_DATA_DIR: peer.ready.dataDir },
    }
  }

  static async start(): Promise<Examples> {
    const home = temporaryFolder()
    const dataDir = join(home.path, '.local/share/pinaivu')
    return new Examples(await startPeer({ dataDir }), home)
  }

  async stop(): Promise<void> {
    await this.peer.stop()
    this.#home.remove()
  }

  /** With this peer's addresses in the place of the usual ones. */
  here(text: string): string {
    const { http, addrs } = this.peer.ready
    const port = /\/tcp\/(\d+)/.exec(addrs[0] ?? '')?.[1] ?? ''
    return text.replaceAll('http://127.0.0.1:7462', http).replaceAll('/tcp/7463', `/tcp/${port}`)
  }

  async shell(text: string): Promise<string> {
    if (!needsShell.test(text.trim())) return await this.#commands(this.here(text))
    const options = { env: this.#env, cwd: this.#home.path, timeout: EXAMPLE_MS }
    return (await run('bash', ['-euo', 'pipefail', '-c', this.here(text)], options)).stdout
  }

  /** What the program does, without a process for each command. */
  async #commands(text: string): Promise<string> {
    let said = ''
    for (const line of commandLines(text)) {
      const io = stage({ env: this.#env })
      const code = await io.run(...wordsOf(line).slice(2))
      if (code !== 0) throw new Error(`${line}: ${code}\n${io.stdout.text}${io.stderr.text}`)
      said += io.stdout.text
    }
    return said
  }

  /** As a program beside the package. */
  async module(text: string): Promise<string> {
    const script = join(root, `test/e2e/.example-${process.pid}-${this.#scripts++}.mjs`)
    writeFileSync(script, this.here(text))
    try {
      const options = { env: this.#env, cwd: this.#home.path, timeout: EXAMPLE_MS }
      return (await run(process.execPath, [script], options)).stdout
    } finally {
      rmSync(script)
    }
  }

  /** Runs each `$ command`, and gives the lines that are shown below it and did not come out. */
  async session({ text }: Pick<Block, 'text'>): Promise<string[]> {
    const missing: string[] = []
    for (const step of text.split(/^\$ /m).slice(1)) {
      const [command = '', ...shown] = step.trimEnd().split('\n')
      const lines = (await this.shell(command)).split('\n')
      let at = 0
      for (const line of shown.filter((each) => each.trim() !== '')) {
        const found = lines.findIndex(
          (each, index) => index >= at && shapeOf(this.here(line)).test(each),
        )
        if (found < 0) missing.push(`${command}: ${line}`)
        else at = found + 1
      }
    }
    return missing
  }
}

/** What a shown line stands for: `…` is anything, and columns may be wider. */
function shapeOf(line: string): RegExp {
  const pattern = line
    .trim()
    .replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
    .replaceAll('…', '.*')
    .replace(/\s+/g, '\\s+')
  return new RegExp(`^\\s*${pattern}\\s*$`)
}
