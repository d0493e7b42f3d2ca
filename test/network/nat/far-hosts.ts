import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Internet, newNetworkName } from '../../e2e/internet.ts'
import type { Machine } from '../../e2e/namespaces.ts'
import type { Echo, Echoed, orders, Start } from './host-process.ts'

const hostProcess = fileURLToPath(new URL('host-process.ts', import.meta.url))
const routerProcess = fileURLToPath(new URL('router-process.ts', import.meta.url))

type Orders = typeof orders
type Answer<K extends keyof Orders> = Awaited<ReturnType<Orders[K]>>
export type FarStatus = Answer<'status'>

/** A host on another machine. */
export class FarHost {
  readonly machine: Machine
  readonly child: ChildProcess
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  readonly #number: number
  #ids = 0
  #listener: (event: { received: number }) => void = () => {}
  peerId = ''

  /** @param beside Another host of the same process. */
  constructor(machine: Machine, beside?: { child: ChildProcess; number: number }) {
    this.machine = machine
    this.child = beside?.child ?? run(machine, hostProcess)
    this.#number = beside?.number ?? 0
    createInterface({ input: this.child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      const { id, result, error, ...event } = JSON.parse(line)
      if (id === undefined) return this.#listener(event)
      // Hosts of one process hear each other's answers.
      if (Math.floor(id / 1e6) !== this.#number) return
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error === undefined) waiting?.resolve(result)
      else waiting?.reject(Object.assign(new Error(error.message), error))
    })
  }

  /** Another one in the same process. */
  beside(number: number): FarHost {
    return new FarHost(this.machine, { child: this.child, number })
  }

  async start(options: Omit<Start, 'listen'> & { listen?: string[] }): Promise<void> {
    const listen = ['/ip4/0.0.0.0/tcp/7463']
    this.peerId = (await this.#tell('start', { listen, ...options })).peerId
  }

  status(): Promise<FarStatus> {
    return this.#tell('status', {})
  }

  connect(peerId: string, addresses: string[]): Promise<void> {
    return this.#tell('connect', { peerId, addresses })
  }

  echo(how: Echo): Promise<Echoed> {
    return this.#tell('echo', how)
  }

  /** Called with each frame that comes back of a slow echo. */
  onEcho(listener: (event: { received: number }) => void): void {
    this.#listener = listener
  }

  stop(): Promise<void> {
    return this.#tell('stop', {})
  }

  #tell<K extends keyof Orders>(what: K, how: object): Promise<Answer<K>> {
    const id = this.#number * 1e6 + ++this.#ids
    const waiting = Promise.withResolvers<unknown>()
    this.#waiting.set(id, waiting)
    const order = { id, host: this.#number, what, with: how }
    this.child.stdin?.write(`${JSON.stringify(order)}\n`)
    return waiting.promise as Promise<Answer<K>>
  }
}

/** Hosts on a small internet. Whoever opens it closes it. */
export class FarHosts {
  readonly internet = new Internet()
  readonly network = newNetworkName()
  readonly #children: ChildProcess[] = []
  #seeds = 0

  /** A process on that machine, in which hosts are started. */
  on(machine: Machine): FarHost {
    const host = new FarHost(machine)
    this.#children.push(host.child)
    return host
  }

  /** A host that anybody can dial, on a machine of its own. */
  async open(address: string, options: Partial<Start> = {}): Promise<FarHost> {
    return await this.start(this.on(await this.internet.host(address)), options)
  }

  async start(host: FarHost, options: Partial<Start> = {}): Promise<FarHost> {
    await host.start({ network: this.network, seed: ++this.#seeds, ...options })
    return host
  }

  /** Has a home's router speak UPnP; returns what it was asked for so far. */
  async router(machine: Machine, inner: string): Promise<() => RouterSays> {
    const child = run(machine, routerProcess, inner, machine.address)
    this.#children.push(child)
    let says: RouterSays = { asked: [], open: [] }
    const ready = Promise.withResolvers<void>()
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      says = { ...says, ...JSON.parse(line) }
      ready.resolve()
    })
    await ready.promise
    return () => says
  }

  close(): void {
    for (const child of this.#children.splice(0)) child.kill('SIGKILL')
    this.internet.close()
  }
}

export interface RouterSays {
  asked: string[]
  open: [outer: number, mapping: object][]
}

/** Where to join through a host that anybody can dial. */
export const doorOf = (host: FarHost): string =>
  `/ip4/${host.machine.address}/tcp/7463/p2p/${host.peerId}`

function run(machine: Machine, ...words: string[]): ChildProcess {
  const [command = '', ...prefix] = machine.prefix
  return spawn(command, [...prefix, process.execPath, '--expose-gc', ...words], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
}
