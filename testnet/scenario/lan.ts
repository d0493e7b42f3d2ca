import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import { messageOf, PeerError } from '../../src/index.ts'

// Machines on a local network, each a network namespace of a process that does nothing. All of it is
// in the namespace of this process, which must have one of its own: what is done there, nobody else
// notices, and with the processes it is gone.

const run = promisify(execFile)

const ip = async (...args: string[]): Promise<void> => {
  await run('ip', args)
}

/** To be root within, which is all that is needed. */
const asRoot = process.getuid?.() === 0 ? [] : ['--map-root-user']

/** In front of a command that is to have a network of its own. */
export const ownNetwork: readonly string[] = ['unshare', ...asRoot, '--net']

/** Undefined where this user may; else why not. Found out by doing it. */
export async function noNamespaces(): Promise<string | undefined> {
  try {
    const [command = '', ...words] = ownNetwork
    const inner = 'ip link add name here type bridge && exec unshare --net nsenter --version'
    await run(command, [...words, 'sh', '-c', inner])
    return undefined
  } catch (error) {
    return reasonOf(error)
  }
}

/** The last that a program said when it failed. */
function reasonOf(error: unknown): string {
  const { stderr } = error as { stderr?: string }
  const said = stderr?.trim().split('\n').at(-1) || messageOf(error)
  return said.replace(/^Error: |\.$/g, '')
}

export type Side = 'near' | 'far'

/** Two switches, of which all are plugged into the near one at first. Whoever opens it closes it. */
export class Lan {
  /** Of this process. */
  readonly host = '10.7.0.1'
  readonly #machines: Machine[] = []

  async open(): Promise<void> {
    await ip('link', 'set', 'lo', 'up')
    for (const side of ['near', 'far'] satisfies Side[]) {
      await ip('link', 'add', 'name', side, 'type', 'bridge')
      await ip('link', 'set', side, 'up')
    }
    await ip('addr', 'add', `${this.host}/24`, 'dev', 'near')
  }

  /** One more, plugged in. */
  async machine(): Promise<Machine> {
    const machine = new Machine(this.#machines.length + 2)
    this.#machines.push(machine)
    await machine.open()
    return machine
  }

  close(): void {
    for (const machine of this.#machines.splice(0)) machine.close()
  }
}

/** A cable that delays every packet and loses some of them. */
export interface BadCable {
  delayMs: number
  lossPercent: number
}

export class Machine {
  readonly host: string
  readonly #port: string
  #holder: ChildProcess | undefined

  constructor(number: number) {
    this.host = `10.7.0.${number}`
    this.#port = `port${number}`
  }

  /** Stands in front of a command that is to run on this machine. */
  get prefix(): string[] {
    return ['nsenter', `--net=/proc/${this.#holder?.pid}/ns/net`]
  }

  async open(): Promise<void> {
    const words = ['--net', 'sh', '-c', 'echo here; exec cat']
    // It ends when nobody holds its input any more.
    const holder = spawn('unshare', words, { stdio: ['pipe', 'pipe', 'ignore'] })
    this.#holder = holder
    await once(holder.stdout, 'data')
    const port = this.#port
    const cable = ['type', 'veth', 'peer', 'name', 'eth0', 'netns', String(holder.pid)]
    await ip('link', 'add', 'name', port, ...cable)
    await this.#within('ip', 'link', 'set', 'lo', 'up')
    await this.#within('ip', 'addr', 'add', `${this.host}/24`, 'dev', 'eth0')
    await this.#within('ip', 'link', 'set', 'eth0', 'up')
    await this.plugInto('near')
  }

  /** Who is on the other side hears no word any more: connections do not end, they fall silent. */
  async plugInto(side: Side): Promise<void> {
    await ip('link', 'set', this.#port, 'master', side, 'up')
  }

  /** In both directions, from here on. */
  async worsen({ delayMs, lossPercent }: BadCable): Promise<void> {
    const netem = ['netem', 'delay', `${delayMs}ms`, 'loss', `${lossPercent}%`]
    try {
      await run('tc', ['qdisc', 'add', 'dev', this.#port, 'root', ...netem])
      await this.#within('tc', 'qdisc', 'add', 'dev', 'eth0', 'root', ...netem)
    } catch (cause) {
      throw new PeerError('no_netem', reasonOf(cause), { cause })
    }
  }

  close(): void {
    this.#holder?.kill('SIGKILL')
  }

  async #within(command: string, ...args: string[]): Promise<void> {
    const [enter = '', ...words] = this.prefix
    await run(enter, [...words, command, ...args])
  }
}
