import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GivenNames } from '../../../src/engines/upstream/given-names.ts'
import { done, event, FakeServer, json, stream } from './fake-server.ts'
import { answer, engineOver, jobOf, namesInMemory, until } from './stage.ts'

const namesOf = (names: GivenNames, listed: string[]) => [...names.give(listed).values()]

describe('the names of the models of a server', () => {
  it('stay as they were given, whatever comes and goes', () => {
    const names = new GivenNames('up')
    expect(namesOf(names, ['a'])).toEqual(['up'])
    expect(namesOf(names, ['b', 'a'])).toEqual(['up', 'up/b'])
    expect(namesOf(names, ['b'])).toEqual(['up/b'])
    expect(namesOf(names, [])).toEqual([])
    expect(namesOf(names, ['a', 'b', 'c'])).toEqual(['up', 'up/b', 'up/c'])
    const later = new GivenNames('up', names.all)
    expect(namesOf(later, ['c', 'b', 'a'])).toEqual(['up/c', 'up/b', 'up'])
  })

  it('begin with the name of the server where one model comes in the place of another', () => {
    const names = new GivenNames('up')
    for (const id of ['a', 'b', 'a', 'c']) expect(namesOf(names, [id])).toEqual(['up'])
    expect(namesOf(names, ['b', 'c'])).toEqual(['up', 'up/b'])
  })

  it('are each of one model that is there, and of it as long as it is known', () => {
    const id = fc.constantFrom('a', 'b', 'a b', 'a-b', 'x/y', '///')
    fc.assert(
      fc.property(fc.array(fc.uniqueArray(id), { maxLength: 20 }), (lists) => {
        let names = new GivenNames('up')
        const bearers = new Map<string, string>()
        for (const listed of lists) {
          const given = names.give(listed)
          expect(new Set(given.values()).size).toBe(given.size)
          for (const [id, name] of given) {
            const before = [...bearers].find(([, bearer]) => bearer === id)?.[0]
            if (before !== undefined) expect(name).toBe(before)
          }
          for (const [id, name] of given) bearers.set(name, id)
          names = new GivenNames('up', names.all)
        }
      }),
    )
  })

  it('are forgotten, the oldest first, where a server has ever new ones', () => {
    const names = new GivenNames('up')
    for (let at = 0; at < 1_000; at++) names.give(['a', `m${at}`, `n${at}`].slice(0, at + 1))
    expect(names.all).toHaveLength(256)
    expect(names.all[0]).toEqual(['up', 'a', true])
    expect(names.there).toEqual(new Set(['up', 'up/m999', 'up/n999']))
    expect(names.has('n999')).toBe(true)
  })
})

/** A server whose list is another each time it is asked. */
async function changingServer() {
  const server = {
    ids: ['a'],
    http: new FakeServer(({ path, body }, response) => {
      if (path === '/v1/models') json(response, { data: server.ids.map((id) => ({ id })) })
      else if (path === '/v1/chat/completions') {
        stream(response)
        event(response, { choices: [{ index: 0, delta: { content: body.model } }] })
        event(response, { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })
        done(response)
      } else response.writeHead(404).end()
    }),
  }
  await server.http.start()
  return server
}

describe('a server whose list changes', () => {
  const names = namesInMemory()
  const soon = { readyMs: 5, names }
  const says = async (engine: Awaited<ReturnType<typeof engineOver>>, model: string) =>
    (await answer(engine, jobOf(undefined, { model }))).text

  it('has its models under the names of the first time, in the next process too', async () => {
    const server = await changingServer()
    const engine = await engineOver(server.http, soon)
    const shows = (...wanted: string[]) =>
      until(engine, (all) => {
        const ready = all.filter(({ state }) => state === 'ready').map(({ name }) => name)
        return `${ready.sort()}` === `${wanted}`
      })
    await shows('up')
    server.ids = ['b', 'a']
    await shows('up', 'up/b')
    expect(await says(engine, 'up')).toBe('a')
    server.ids = []
    await until(engine, (all) => all.every(({ error }) => error?.code === 'upstream_empty'))
    server.ids = ['b']
    await shows('up/b')
    server.ids = ['c', 'b', 'a']
    await shows('up', 'up/b', 'up/c')
    await engine.stop()

    const next = await engineOver(server.http, soon)
    const waits = until(next, (all) => all.some(({ name }) => name === 'up/c'))
    expect((await waits).map(({ name, state }) => `${name} ${state}`)).toEqual([
      'up loading',
      'up/b loading',
      'up/c loading',
    ])
    expect([await says(next, 'up/b'), await says(next, 'up')]).toEqual(['b', 'a'])
    // By what it is called there, and by the long name of the one that has the short one.
    for (const name of ['a', 'up/a']) expect(next.resolve(name)?.name).toBe('up')
    expect([await says(next, 'up/b'), await says(next, 'b')]).toEqual(['b', 'b'])
    await next.stop()

    // What went meanwhile is said to have gone; while the server is away, all are told of.
    server.ids = ['a', 'b']
    const last = await engineOver(server.http, soon)
    const states: string[] = []
    last.onChange(({ name, state }) => states.push(`${name} ${state}`))
    await until(last, (all) => all.length === 2 && all.every(({ state }) => state === 'ready'))
    expect(states).toContain('up/c failed')
    await last.stop()
    await server.http.stop()
    const alone = await engineOver(server.http, soon)
    const failed = await until(alone, (all) => all.every(({ state }) => state === 'failed'))
    expect(failed.map(({ name }) => name)).toEqual(['up', 'up/b'])
  })
})
