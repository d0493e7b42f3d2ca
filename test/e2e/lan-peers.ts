import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Lan, type Machine } from './namespaces.ts'
import { ask, type Finished, type PeerProcess, runProgram, startPeer } from './peer-process.ts'

/** Arguments of a peer that serves nothing itself. */
export const gateway = ['--no-demo', '--roles', 'coordinator']

export interface SeenPeer {
  node: string
  self: boolean
  models: { id: string }[]
}

/** A peer on a machine of its own. */
export class LanPeer {
  readonly machine: Machine
  readonly process: PeerProcess

  constructor(machine: Machine, process: PeerProcess) {
    this.machine = machine
    this.process = process
  }

  get id(): string {
    return this.process.ready.peerId
  }

  /** Where peers on other machines reach it. */
  get address(): string {
    const { addrs } = this.process.ready
    return addrs.find((address) => address.includes(`/${this.machine.address}/`)) ?? ''
  }

  /** Asks it on its own machine, where its endpoint is. */
  ask(path: string, body?: object): Promise<Response> {
    return ask(this.process.ready, path, body, { fetch: this.machine.fetch })
  }

  /** Ids of the others that it lists. */
  async seen(): Promise<string[]> {
    const { data } = (await (await this.ask('/v8/network/peers')).json()) as { data: SeenPeer[] }
    return data.flatMap(({ self, node }) => (self ? [] : node))
  }

  async sees(other: LanPeer): Promise<boolean> {
    return (await this.seen()).includes(other.id)
  }

  /** How many peers it knows that have this model ready. */
  async nodesWith(model: string): Promise<number> {
    type List = { data: { id: string; nodes: number }[] }
    const { data } = (await (await this.ask('/v1/models')).json()) as List
    return data.find(({ id }) => id === model)?.nodes ?? 0
  }

  chat(more: object = {}): Promise<Response> {
    return this.ask('/v1/chat/completions', {
      model: 'pinaivu-demo',
      temperature: 0,
      messages: [{ role: 'user', content: 'What is a peer?' }],
      ...more,
    })
  }

  /** Whether it works on a job, or has one waiting. */
  async isBusy(): Promise<boolean> {
    type Readiness = { models: { running: number; queued: number }[] }
    const { models } = (await (await this.ask('/readyz')).json()) as Readiness
    return models.some(({ running, queued }) => running + queued > 0)
  }

  /** What a person at this machine is told. */
  run(...args: string[]): Promise<Finished> {
    const { dataDir } = this.process.ready
    return runProgram([...args, '--data-dir', dataDir], { prefix: this.machine.prefix })
  }

  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.process.child.kill(name)
  }

  /** Its engines stop or go on, while the peer itself is as it was. */
  signalEngines(name: 'SIGSTOP' | 'SIGCONT'): void {
    signalEngines(this.process, name)
  }
}

export interface LanPeerOptions {
  /** To join through. */
  door?: LanPeer
  /** Without it a new one is plugged in. */
  machine?: Machine
  dataDir?: string
}

/** Peers on one local network. Whoever opens it closes it. */
export class LanPeers {
  readonly lan = new Lan()
  readonly network = `lan-${randomBytes(4).toString('hex')}`
  readonly #peers: LanPeer[] = []

  async peer(args: readonly string[], options: LanPeerOptions = {}): Promise<LanPeer> {
    const { door, dataDir, machine = await this.lan.machine() } = options
    const joining = door === undefined ? [] : ['--bootstrap', door.address]
    const process = await startPeer({
      // All on one port, as they would be: their loopback addresses then name each other.
      listen: '/ip4/0.0.0.0/tcp/7463',
      prefix: machine.prefix,
      args: ['--network', this.network, ...joining, ...args],
      ...(dataDir === undefined ? {} : { dataDir }),
    })
    const peer = new LanPeer(machine, process)
    this.#peers.push(peer)
    return peer
  }

  /** As a power cut does it. */
  async kill(...peers: LanPeer[]): Promise<void> {
    await Promise.all(peers.map((peer) => peer.process.kill()))
  }

  async close(): Promise<void> {
    const peers = this.#peers.splice(0)
    for (const { process } of peers) {
      const { exitCode, signalCode } = process.child
      // An engine that stands still would not notice that its peer is gone.
      if (exitCode === null && signalCode === null) signalEngines(process, 'SIGCONT')
    }
    await this.kill(...peers)
    this.lan.close()
  }
}

function signalEngines({ child: { pid } }: PeerProcess, name: 'SIGSTOP' | 'SIGCONT'): void {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
  for (const child of children.split(' ').filter(Boolean)) process.kill(Number(child), name)
}
