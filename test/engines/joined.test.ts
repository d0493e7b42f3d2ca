import { describe, expect, it } from 'vitest'
import type { Engine, ModelStatus } from '../../src/engines/engine.ts'
import { joined } from '../../src/engines/joined.ts'
import type { Chunk } from '../../src/wire/chunk.ts'
import { jobOf } from './upstream/stage.ts'

function engineOf(...names: string[]) {
  const listeners = new Set<(status: ModelStatus) => void>()
  const calls: string[] = []
  const listen = (listener: (status: ModelStatus) => void) => {
    listeners.add(listener)
    return () => listeners.delete(listener)
  }
  const status = (name: string) => ({ name, state: 'ready' }) as ModelStatus
  const engine = {
    status: () => names.map(status),
    resolve: (name: string) => (names.includes(name) ? status(name) : undefined),
    async *generate(): AsyncGenerator<Chunk> {
      calls.push('generate')
      yield { type: 'accepted', inputTokens: 1 }
    },
    hardware: () => ({ cpu: names.join() }) as ReturnType<Engine['hardware']>,
    onChange: listen,
    onLoad: listen,
    start: async () => void calls.push('start'),
    stop: async () => void calls.push('stop'),
  }
  const tell = () => {
    for (const listener of listeners) listener(status(names[0] ?? ''))
  }
  return { engine, calls, tell, listeners }
}

describe('two engines', () => {
  it('are one: each model is asked where it is, and both start and stop', async () => {
    const [one, other] = [engineOf('a', 'both'), engineOf('b', 'both')]
    const engine = joined(one.engine, other.engine)
    const { signal } = new AbortController()
    await engine.start({ signal })
    expect(engine.status().map(({ name }) => name)).toEqual(['a', 'both', 'b', 'both'])
    expect([engine.resolve('b')?.name, engine.resolve('c')]).toEqual(['b', undefined])
    expect(engine.hardware().cpu).toBe('a,both')
    for (const model of ['a', 'b', 'both', 'c']) {
      for await (const _ of engine.generate(jobOf(undefined, { model }), { signal }));
    }
    await engine.stop()
    expect(one.calls).toEqual(['start', 'generate', 'generate', 'stop'])
    expect(other.calls).toEqual(['start', 'generate', 'generate', 'stop'])
  })

  it('are both listened to, and both no more', () => {
    const [one, other] = [engineOf('a'), engineOf('b')]
    const engine = joined(one.engine, other.engine)
    const heard: string[] = []
    const ends = [
      engine.onChange(({ name }) => heard.push(name)),
      engine.onLoad(({ name }) => heard.push(`${name} load`)),
    ]
    one.tell()
    other.tell()
    expect(heard).toEqual(['a', 'a load', 'b', 'b load'])
    for (const end of ends) end()
    expect([one.listeners.size, other.listeners.size]).toEqual([0, 0])
  })
})
