import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { scopes } from '../../src/accounts/principal.ts'
import { nameOf, type RouteStage, startRouteStage } from './route-stage.ts'
import type { Operation } from './whole-peer.ts'

// A second account reads, guesses and times nothing of the first: at every route of a whole peer.

/** Routes with a parameter that names nothing of an account. */
const shared: readonly string[] = ['/v1/models/{path}']

let stage: RouteStage
let first: string
let second: string
/** What the first account has: by the path of what it names. */
const ids: Record<string, string> = {}

beforeAll(async () => {
  stage = await startRouteStage()
  first = await stage.newKey({ account: 'first-of-two', scopes: [...scopes] })
  second = await stage.newKey({ account: 'second-of-two', scopes: [...scopes] })
  for (const account of ['first-of-two', 'second-of-two']) {
    const grant = { account, amount: 1_000_000 }
    await stage.make('POST /api/v1/credits/grants', stage.owner, grant)
  }
  for (const [path, thing] of Object.entries(stage.things)) {
    await thing.make(second)
    ids[path] = await thing.make(first)
    await thing.make(second)
  }
})
afterAll(() => stage.stop())

interface Listed {
  id: string
}

const takes = ({ parameters = [] }: Operation, parameter: string) =>
  parameters.some(({ name }) => name === parameter)

const ok = expect.toSatisfy((status) => status < 300)

/** What is the same in two answers to the same question. */
const plain = (text: string, ...names: string[]) =>
  names
    .reduce((rest, name) => rest.replaceAll(name, 'NAME'), text)
    .replace(/req_[0-9a-z]{26}/g, 'req')

/** What names something of an account by its path. */
const naming = () =>
  stage.withKey().filter(({ path }) => path.includes('{') && !shared.includes(path))

const idFor = ({ path }: Operation): { own: string; never: string } => {
  const [base, thing] = Object.entries(stage.things).find(([own]) => path.startsWith(own)) ?? []
  if (base === undefined || thing === undefined) throw new Error(`say what ${path} names`)
  return { own: ids[base] as string, never: thing.never }
}

describe('what is another account’s', () => {
  it('is 404 by its id, as if it never was', async () => {
    expect(naming().length).toBeGreaterThan(10)
    for (const operation of naming()) {
      const told = async (id: string) => {
        const answer = await stage.ask({ ...stage.to(operation, id), key: second })
        stage.refused(operation, answer, 404)
        return plain(answer.text, id)
      }
      const { own, never } = idFor(operation)
      expect(await told(own)).toBe(await told(never))
    }
  })

  it('is still there for its own account after that', async () => {
    for (const operation of naming().filter(({ method }) => method === 'GET')) {
      const asked = { ...stage.to(operation, idFor(operation).own), key: first }
      expect([nameOf(operation), (await stage.ask(asked)).status]).toEqual([nameOf(operation), 200])
    }
  })

  it('takes as many look-ups to be refused as what never was', async () => {
    let counted = 0
    for (const operation of naming()) {
      const reads = async (id: string) => {
        const before = stage.reads
        await stage.ask({ ...stage.to(operation, id), key: second })
        return stage.reads - before
      }
      const { own, never } = idFor(operation)
      // The peer has its own things to look up now and then.
      const both = async () => [nameOf(operation), (await reads(own)) - (await reads(never))]
      await expect.poll(both).toEqual([nameOf(operation), 0])
      counted += await reads(own)
    }
    expect(counted).toBeGreaterThan(0)
  })

  it('is in no list, and in no answer at all', async () => {
    const mine = [...Object.values(ids), 'first-of-two']
    for (const operation of stage.operations) {
      if (operation.method !== 'GET' || operation.path.includes('{')) continue
      const { text } = await stage.ask({ ...stage.to(operation), key: second })
      expect([nameOf(operation), mine.filter((each) => text.includes(each))]).toEqual([
        nameOf(operation),
        [],
      ])
    }
  })

  it('tells nothing as a place in a list', async () => {
    const lists = stage.withKey().filter((each) => takes(each, 'after') && !each.path.includes('{'))
    expect(lists.length).toBeGreaterThan(5)
    for (const operation of lists) {
      const told = async (query: string) => {
        const asked = { ...stage.to(operation), key: second }
        const { status, text } = await stage.ask({ ...asked, path: `${asked.path}?${query}` })
        const { data = [], has_more } = JSON.parse(text) as { data?: Listed[]; has_more?: boolean }
        return [nameOf(operation), status, data.map(({ id }) => id), has_more]
      }
      for (const own of Object.values(ids)) {
        const never = own.slice(0, -1) + (own.endsWith('0') ? '1' : '0')
        for (const name of ['after', 'before']) {
          expect(await told(`${name}=${own}`)).toEqual(await told(`${name}=${never}`))
        }
      }
    }
  })

  it('is not told by its name, whether there is such an account or not', async () => {
    const asking = stage.operations.filter((operation) => takes(operation, 'account'))
    expect(asking.length).toBeGreaterThan(2)
    for (const operation of asking) {
      const told = async (account: string) => {
        const { method, path } = stage.to(operation)
        const answer = await stage.ask({ method, path: `${path}?account=${account}`, key: second })
        stage.refused(operation, answer, 403)
        return plain(answer.text, account)
      }
      expect(await told('first-of-two')).toBe(await told('never-was'))
    }
  })

  it('is not given again for the same Idempotency-Key', async () => {
    for (const operation of stage.operations.filter((each) => takes(each, 'Idempotency-Key'))) {
      const name = nameOf(operation)
      const id = operation.path.includes('{') ? idFor(operation).own : undefined
      const asked = { body: '{}', ...stage.to(operation, id) }
      const headers = { ...asked.headers, 'idempotency-key': 'the-same' }
      // Those of the owner alone are the owner's.
      const own = await stage.ask({ ...asked, headers, key: first })
      const others = await stage.ask({ ...asked, headers, key: second })
      expect([name, own.status]).toEqual([name, name.endsWith('/credits/grants') ? 403 : ok])
      expect([name, others.headers['idempotency-replayed']]).toEqual([name, undefined])
      expect([name, others.status]).toEqual([name, id === undefined ? own.status : 404])
      expect(others.text).not.toBe(own.text)
    }
  })
})
