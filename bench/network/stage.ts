import { setTimeout as sleep } from 'node:timers/promises'
import { Forked } from '../forked.ts'
import type { Order, Relay, Relayed } from './order.ts'
import type { Announced, Spent } from './peer-process.ts'

const FOUND_MS = 30_000

interface Actor {
  process: Forked
  announced: Announced
}

/** A provider, a gateway that knows it, and who asks them: each in a process of its own. */
export class Stage {
  readonly #provider: Actor
  readonly #gateway: Actor
  readonly #client: Forked

  private constructor(provider: Actor, gateway: Actor, client: Forked) {
    this.#provider = provider
    this.#gateway = gateway
    this.#client = client
  }

  /** @param profile a folder for CPU profiles of both peers */
  static async build(models: 'instant' | 'demo', profile?: string): Promise<Stage> {
    const execArgv = profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profile]
    const provider = await actor([models], execArgv)
    const gateway = await actor(['none', provider.announced.address], execArgv)
    const client = new Forked(new URL('./client.ts', import.meta.url))
    await client.hear()
    const stage = new Stage(provider, gateway, client)
    await untilListed(gateway.announced, models === 'demo' ? 'pinaivu-demo' : models)
    return stage
  }

  /** Milliseconds, at both in turn. */
  async firstTokens(
    model: string,
    { answers, maxTokens }: { answers: number; maxTokens: number },
  ): Promise<{ straight: number[]; gateway: number[] }> {
    const endpoints = [this.#provider.announced, this.#gateway.announced]
    const order: Order = { type: 'first token', endpoints, model, maxTokens, times: answers }
    const [straight, gateway] = await this.#client.ask<[number[], number[]]>(order)
    return { straight, gateway }
  }

  /** Milliseconds of each, from the gateway. */
  wholeAnswers(
    model: string,
    { seconds, maxTokens }: { seconds: number; maxTokens: number },
  ): Promise<number[]> {
    const endpoint = this.#gateway.announced
    const order: Order = { type: 'whole answers', endpoint, model, maxTokens, seconds }
    return this.#client.ask(order)
  }

  /** Where the provider's door is. */
  get address(): string {
    return this.#provider.announced.address
  }

  relay(way: 'straight' | 'gateway', model: string, relay: Relay): Promise<Relayed> {
    const endpoint = (way === 'straight' ? this.#provider : this.#gateway).announced
    return this.#client.ask({ type: 'relay', endpoint, model, relay } satisfies Order)
  }

  /** Processor time of each peer's process until now, in microseconds. */
  async spent(): Promise<{ provider: number; gateway: number }> {
    const provider = await this.#provider.process.ask<Spent>('spent')
    const gateway = await this.#gateway.process.ask<Spent>('spent')
    return { provider: provider.cpuMicroseconds, gateway: gateway.cpuMicroseconds }
  }

  /** Of the gateway, in the DHT, for a model. */
  async lookUps(): Promise<number> {
    const text = await (await get(this.#gateway.announced, '/metrics')).text()
    const [, count] = /^pinaivu_directory_look_ups_total (\d+)$/m.exec(text) ?? []
    if (count === undefined) throw new Error('the gateway does not count its look-ups')
    return Number(count)
  }

  async stop(): Promise<void> {
    await this.#client.stop()
    await this.#gateway.process.stop()
    await this.#provider.process.stop()
  }
}

async function actor(args: readonly string[], execArgv: readonly string[]): Promise<Actor> {
  const process = new Forked(new URL('./peer-process.ts', import.meta.url), args, execArgv)
  return { process, announced: await process.hear() }
}

async function untilListed(gateway: Announced, model: string): Promise<void> {
  const signal = AbortSignal.timeout(FOUND_MS)
  for (;;) {
    const list: { data: { id: string }[] } = await (await get(gateway, '/v1/models')).json()
    if (list.data.some(({ id }) => id === model)) return
    await sleep(50, undefined, { signal })
  }
}

function get({ http, key }: Announced, path: string): Promise<Response> {
  return fetch(http + path, { headers: { authorization: `Bearer ${key}` } })
}
