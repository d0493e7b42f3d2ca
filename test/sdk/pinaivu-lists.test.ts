import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { answer, client, thrownBy } from './scripted-fetch.ts'

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const got: T[] = []
  for await (const item of items) got.push(item)
  return got
}

const page = (ids: string[], has_more: boolean) => ({
  ...{ object: 'list', data: ids.map((id) => ({ id })), has_more },
  ...{ first_id: ids[0] ?? null, last_id: ids.at(-1) ?? null },
})

describe('a list', () => {
  it('is one page to whoever awaits it, and all pages to whoever iterates', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(30), fc.integer({ min: 1, max: 9 }), async (count, limit) => {
        const ids = Array.from({ length: count }, (_, at) => `id_${at}`)
        let asked = 0
        const { pinaivu, sent } = client([
          () => {
            const { searchParams } = new URL(sent.at(-1)?.url ?? '')
            const after = searchParams.get('after')
            const from = after === null ? 0 : ids.indexOf(after) + 1
            asked++
            return answer(page(ids.slice(from, from + limit), from + limit < count))
          },
        ])
        const first = await pinaivu.files.list({ limit })
        expect(first.data.map(({ id }) => id)).toEqual(ids.slice(0, limit))
        expect(asked).toBe(1)
        const listed = await all(pinaivu.files.list({ limit }))
        expect(listed.map(({ id }) => id)).toEqual(ids)
        expect(asked).toBe(1 + Math.max(1, Math.ceil(count / limit)))
      }),
    )
  })

  it('asks for no page before it is needed', async () => {
    const { pinaivu, sent } = client([answer(page(['a', 'b'], true))])
    for await (const { id } of pinaivu.sessions.list()) if (id === 'b') break
    expect(sent).toHaveLength(1)
  })

  it.each([
    ['goes round in circles', page(['a'], true)],
    ['has more and does not say where', page([], true)],
    ['is none', { object: 'list', has_more: false }],
  ])('that %s is refused', async (_, value) => {
    const { pinaivu, sent } = client([answer(value)])
    expect(await thrownBy(all(pinaivu.webhooks.list()))).toMatchObject({ code: 'malformed' })
    expect(sent.length).toBeLessThan(3)
  })
})

describe('a log', () => {
  const author = '12D3KooW'
  const part = (from: number, end: number, size: number) =>
    new Response(
      [
        { object: 'log.head', author, epoch: 'ee', size, from, end },
        ...Array.from({ length: end - from }, (_, at) => ({ index: from + at })),
      ]
        .map((line) => `${JSON.stringify(line)}\n`)
        .join(''),
    )

  it('is read part after part, of one epoch', async () => {
    const { pinaivu, sent } = client([part(2, 4, 5), part(4, 5, 6), part(5, 6, 6)])
    const entries = await all(pinaivu.log.entries(author, { from: 2 }))
    expect(entries.map(({ index }) => index)).toEqual([2, 3, 4, 5])
    expect(sent.map(({ url }) => new URL(url).search)).toEqual([
      ...['?from=2', '?from=4&epoch=ee', '?from=5&epoch=ee'],
    ])
  })

  it.each([
    ['does not go on', part(1, 1, 5)],
    ['is of another place', part(0, 2, 5)],
    ['is none', new Response('{}\n')],
    ['is not JSON', new Response('{"end":1}\nx\n')],
    ['is empty', new Response('')],
  ])('that %s is refused', async (_, value) => {
    const { pinaivu, sent } = client([value])
    expect(await thrownBy(all(pinaivu.log.entries(author, { from: 1 })))).toMatchObject({
      code: 'malformed',
    })
    expect(sent).toHaveLength(1)
  })
})

describe('an embedding', () => {
  it('is asked for in base64 and comes as numbers, whatever they are', async () => {
    const anyFloats = fc.array(fc.float({ noNaN: true }), { maxLength: 9 })
    await fc.assert(
      fc.asyncProperty(anyFloats, async (floats) => {
        const embedding = Buffer.from(new Float32Array(floats).buffer).toString('base64')
        const { pinaivu, sent } = client([answer({ data: [{ index: 0, embedding }] })])
        const { data } = await pinaivu.embeddings.create({ model: 'm', input: 'a' })
        expect(data[0]?.embedding).toEqual(floats)
        expect(JSON.parse(String(sent[0]?.body)).encoding_format).toBe('base64')
      }),
    )
  })

  it('that is something else is refused', async () => {
    for (const embedding of ['*', 7, undefined]) {
      const { pinaivu } = client([answer({ data: [{ index: 0, embedding }] })])
      const call = pinaivu.embeddings.create({ model: 'm', input: 'a' })
      expect(await thrownBy(call)).toMatchObject({ code: 'malformed' })
    }
    const { pinaivu } = client([answer({})])
    const call = pinaivu.embeddings.create({ model: 'm', input: 'a' })
    expect(await thrownBy(call)).toMatchObject({ code: 'malformed' })
  })
})
