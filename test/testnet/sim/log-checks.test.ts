import { expect, test } from 'vitest'
import type { Routing } from '../../../src/wire/routing.ts'
import { priceOf } from '../../../testnet/sim/log-checks.ts'

type Part = Routing['parts'][number]

const [first, second] = [1, 2].map((id) => new Uint8Array(32).fill(id)) as [Uint8Array, Uint8Array]
const part = (node: Uint8Array, output: number, unsignedTail = 0) =>
  ({
    node,
    tokens: { input: 16, cached: 0, output },
    unsignedTail,
    price: { input: 1_000, output: 2_000 },
  }) as Part
const attempt = (node: Uint8Array, outcome: string) => ({ node, outcome, ms: 1 })

test('an answer costs its prompt once, and what was signed of its tokens', () => {
  const parts = [part(first, 5, 2), part(second, 4)]
  const attempts = [attempt(first, 'lost'), attempt(second, 'resumed')]
  expect(priceOf({ parts, attempts })).toBe(3 * 2 + 4 * 2 + 16)
})

test('whoever did not keep to the protocol is paid nothing, though it signed', () => {
  const parts = [part(first, 5), part(second, 4)]
  const attempts = [attempt(first, 'misbehaved'), attempt(second, 'resumed')]
  expect(priceOf({ parts, attempts })).toBe(4 * 2 + 16)
})
