import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

// Machines on a local network, each a network namespace with a cable to one switch. Nothing of the
// machine that the tests run on is touched: the switch, too, stands in a namespace of its own.

const run = promisify(execFile)

const badCable = fileURLToPath(new URL('bad-cable.py', import.meta.url))

export const ip = async (...args: string[]): Promise<void> => {
  await run('ip', args)
}

/** Whether this user may do it here and the tools are installed. Found out by doing it. */
export async function canMakeNamespaces(): Promise<boolean> {
  const lan = new Lan()
  try {
    await lan.open()
    const [command = '', ...prefix] = (await lan.machine()).prefix
    await run(command, [...prefix, 'curl', '--version'])
    await run(command, [...prefix, 'python3', '--version'])
    return true
  } catch {
    console.warn(
      'Not run: tests in network namespaces need Linux, root, iproute2, curl and Python.',
    )
    return false
  } finally {
    lan.close()
  }
}

/** A switch and the machines on it. Whoever opens it closes it. */
export class Lan {
  readonly #name = `pnv-${randomBytes(4).toString('hex')}`
  readonly #machines: Machine[] = []
  readonly #closeAtExit = () => this.close()

  async open(): Promise<void> {
    process.once('exit', this.#closeAtExit)
    await ip('netns', 'add', this.#name)
    await ip('-n', this.#name, 'link', 'add', 'br0', 'type', 'bridge')
    await ip('-n', this.#name, 'link', 'set', 'br0', 'up')
  }

  get name(): string {
    return this.#name
  }

  /** One more machine, plugged in. */
  async machine(place: Partial<Place> = {}): Promise<Machine> {
    const number = this.#machines.length + 1
    const machine = new Machine(`${this.#name}-${number}`, {
      lan: this.#name,
      port: `port${number}`,
      address: `10.7.0.${number}`,
      bits: 24,
      ...place,
    })
    this.#machines.push(machine)
    await machine.open()
    return machine
  }

  /** The processes on it should have ended. Done in one go, so that it works at the exit too. */
  close(): void {
    process.off('exit', this.#closeAtExit)
    const machines = this.#machines.splice(0)
    for (const machine of machines) machine.close()
    for (const name of [...machines.map(({ name }) => name), this.#name]) {
      try {
        execFileSync('ip', ['netns', 'del', name], { stdio: 'ignore' })
      } catch {
        // It was not made, or the tool is missing; the others still are to be removed.
      }
    }
  }
}

export interface Place {
  address: string
  /** How much of the address is the network's: the rest of that is on the same switch. */
  bits: number
  /** Where all else goes: `dev eth0`, or `via` a router. */
  route?: readonly string[]
}

/** One machine on a `Lan`. */
export class Machine {
  readonly name: string
  readonly address: string
  readonly #lan: string
  readonly #port: string
  readonly #place: Place
  #cable: ChildProcess | undefined

  constructor(name: string, options: Place & { lan: string; port: string }) {
    this.name = name
    this.address = options.address
    this.#lan = options.lan
    this.#port = options.port
    this.#place = options
  }

  /** Stands in front of a command that is to run on this machine. */
  get prefix(): string[] {
    return ['ip', 'netns', 'exec', this.name]
  }

  async open(): Promise<void> {
    const { name, address } = this
    await ip('netns', 'add', name)
    await ip('-n', name, 'link', 'set', 'lo', 'up')
    const cable = ['type', 'veth', 'peer', 'name', this.#port, 'netns', this.#lan]
    await ip('-n', name, 'link', 'add', 'eth0', ...cable)
    await ip('-n', this.#lan, 'link', 'set', this.#port, 'master', 'br0')
    const { bits, route } = this.#place
    await ip('-n', name, 'addr', 'add', `${address}/${bits}`, 'dev', 'eth0')
    await ip('-n', name, 'link', 'set', 'eth0', 'up')
    await this.plugIn()
    if (route !== undefined) await ip('-n', name, 'route', 'add', 'default', ...route)
  }

  /** A second cable, `eth1`, to another switch. */
  async plugInto(lan: Lan, address: string): Promise<void> {
    const cable = ['type', 'veth', 'peer', 'name', 'uplink', 'netns', lan.name]
    await ip('-n', this.name, 'link', 'add', 'eth1', ...cable)
    await ip('-n', lan.name, 'link', 'set', 'uplink', 'master', 'br0', 'up')
    await ip('-n', this.name, 'addr', 'add', `${address}/24`, 'dev', 'eth1')
    await ip('-n', this.name, 'link', 'set', 'eth1', 'up')
  }

  /** Runs a command there to its end. */
  async run(command: string, ...args: string[]): Promise<string> {
    const [first = '', ...rest] = this.prefix
    return (await run(first, [...rest, command, ...args])).stdout
  }

  async plugIn(): Promise<void> {
    await ip('-n', this.#lan, 'link', 'set', this.#port, 'up')
  }

  /** Nobody hears a word: connections do not end, they fall silent. */
  async unplug(): Promise<void> {
    await ip('-n', this.#lan, 'link', 'set', this.#port, 'down')
  }

  /** From here on every frame takes so long each way, and a share of them is lost. */
  async worsen(cable: { delayMs: number; loss: number; seed: number }): Promise<void> {
    const [lan, outer, inner] = [this.#lan, `${this.#port}-a`, `${this.#port}-b`]
    await ip('-n', lan, 'link', 'set', this.#port, 'nomaster')
    await ip('-n', lan, 'link', 'add', inner, 'type', 'veth', 'peer', 'name', outer)
    await ip('-n', lan, 'link', 'set', outer, 'master', 'br0', 'up')
    await ip('-n', lan, 'link', 'set', inner, 'up')
    const words = [this.#port, inner, cable.delayMs, cable.loss, cable.seed].map(String)
    const stdio = ['ignore', 'pipe', 'inherit'] as const
    this.#cable = spawn('ip', ['netns', 'exec', lan, 'python3', badCable, ...words], {
      stdio: [...stdio],
    })
    const ended = once(this.#cable, 'exit').then(() => {
      throw new Error('The bad cable does not work.')
    })
    await Promise.race([once(this.#cable.stdout as Readable, 'data'), ended])
    ended.catch(() => {})
  }

  close(): void {
    this.#cable?.kill('SIGKILL')
  }

  /** What a program on this machine would fetch, streamed. */
  readonly fetch = async (input: string | URL | Request, init: RequestInit = {}) => {
    const { url, method, headers, signal } = new Request(input, init)
    const sent = [...headers].flatMap(([name, value]) => ['--header', `${name}: ${value}`])
    const [command = '', ...prefix] = this.prefix
    const curl = spawn(
      command,
      [
        ...[...prefix, 'curl', '--silent', '--show-error', '--no-buffer', '--include'],
        ...['--request', method, ...sent, '--header', 'Expect:'],
        ...(init.body == null ? [] : ['--data-binary', '@-']),
        url,
      ],
      { signal, stdio: ['pipe', 'pipe', 'pipe'] },
    )
    let problem = ''
    curl.stderr.on('data', (data: Buffer) => {
      problem += data.toString()
    })
    curl.once('error', (error) => {
      problem ||= error.message
    })
    // It may not want to read any more; why not is said on stderr.
    curl.stdin.on('error', () => {})
    curl.stdin.end(init.body ?? '')
    const head = await headOf(curl.stdout)
    if (head === undefined) {
      if (curl.exitCode === null && curl.signalCode === null) await once(curl, 'close')
      signal.throwIfAborted()
      throw new Error(`curl ${url}: ${problem}`)
    }
    return new Response(Readable.toWeb(curl.stdout) as ReadableStream, head)
  }
}

/** Reads up to the empty line; what comes after it stays in the stream. Undefined: there is none. */
async function headOf(stream: Readable): Promise<ResponseInit | undefined> {
  let text = ''
  for (;;) {
    const part = (stream.read() as Buffer | null)?.toString('latin1')
    if (part === undefined) {
      if (stream.readableEnded || stream.destroyed) return undefined
      await Promise.race([once(stream, 'readable'), once(stream, 'close')])
      continue
    }
    text += part
    const end = text.indexOf('\r\n\r\n')
    if (end < 0) continue
    stream.unshift(Buffer.from(text.slice(end + 4), 'latin1'))
    const [first = '', ...lines] = text.slice(0, end).split('\r\n')
    const headers = lines.map((line): [string, string] => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon), line.slice(colon + 1).trim()]
    })
    return { status: Number(first.split(' ')[1]), headers }
  }
}
