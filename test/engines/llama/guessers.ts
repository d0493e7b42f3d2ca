import type { Drafter } from '../../../src/engines/llama/core/speculation/drafter.ts'
import { Posted } from '../../../src/engines/llama/core/speculation/posted.ts'
import { mix } from './fake-llama.ts'

/** A drafter that computes its guesses from all tokens so far. */
export function guessing(
  name: string,
  guess: (tokens: Uint32Array, count: number) => readonly number[],
): Drafter {
  return {
    name,
    begin({ tokens, length: begun }) {
      let length = begun
      return {
        propose: (count) => guess(tokens.subarray(0, length), count),
        committed(count, accepted) {
          if (accepted > count) throw new Error(`${accepted} of ${count} were accepted`)
          length += count
        },
        end() {},
      }
    },
  }
}

/** Knows whole texts, prompt and answer, and is right about each token so often. */
export function knowing(
  name: string,
  texts: () => Iterable<readonly number[]>,
  { right = 1, vocabulary }: { right?: number; vocabulary: number },
): Drafter {
  return guessing(name, (tokens, count) => {
    for (const text of texts()) {
      if (!tokens.every((token, at) => token === text[at])) continue
      return text.slice(tokens.length, tokens.length + count).map((token, ahead) => {
        const chance = (mix(mix(tokens.length + ahead, token), 7) % 1000) / 1000
        return chance < right ? token : (token + 1) % vocabulary
      })
    }
    return []
  })
}

/** The same of one answer, whatever it was asked. */
export function repeating(
  name: string,
  answer: readonly number[],
  options: { right?: number; vocabulary: number },
): Drafter {
  const known = knowing(name, () => [answer], options)
  return {
    name,
    begin(place) {
      const { tokens, promptLength, length } = place
      const written = tokens.subarray(promptLength)
      const own = { ...place, tokens: written, length: length - promptLength, promptLength: 0 }
      return known.begin(own)
    },
  }
}

/** What no honest drafter says, and what a careless one may. */
export const garbage: Drafter = guessing('garbage', (tokens, count) => {
  const odd = [-1, 1.5, Number.NaN, 2 ** 32, 2 ** 31, Number.POSITIVE_INFINITY]
  return Array.from({ length: count + 3 }, (_, ahead) => {
    const hash = mix(tokens.length + ahead, 3)
    return hash % 5 === 0 ? (odd[hash % odd.length] ?? 0) : hash % 13
  })
})

/** Another drafter, until it dies. */
export function dying(drafter: Drafter, calls: number): Drafter {
  let left = calls
  const live = <T>(value: T): T => {
    if (left-- <= 0) throw new Error('it died')
    return value
  }
  return {
    name: `dying ${drafter.name}`,
    begin(place) {
      const drafts = live(drafter.begin(place))
      return {
        propose: (count) => live(drafts.propose(count)),
        committed: (count, accepted) => live(drafts.committed(count, accepted)),
        end: () => live(drafts.end()),
      }
    },
  }
}

/** Another drafter whose guesses come so many turns late, when some of them are history. */
export function late(drafter: Drafter, turns: number): Drafter {
  return {
    name: `late ${drafter.name}`,
    begin(place) {
      const drafts = drafter.begin(place)
      const coming: (readonly number[])[] = []
      return {
        propose(count) {
          coming.push(drafts.propose(count))
          return coming.length > turns ? (coming.shift() ?? []) : []
        },
        committed: (count, accepted) => drafts.committed(count, accepted),
        end: () => drafts.end(),
      }
    },
  }
}

/**
 * Somebody elsewhere who knows the texts and guesses ahead of what was heard. What is said on either
 * way is on it until `arrive` is called.
 */
export function elsewhere(
  name: string,
  prompt: readonly number[],
  texts: () => readonly (readonly number[])[],
  { right, vocabulary, ahead }: { right: number; vocabulary: number; ahead: number },
) {
  const known = new Map<number, number[]>()
  const way: (() => void)[] = []
  const answer = (choice: number) => {
    const text = [...prompt, ...(known.get(choice) ?? [])]
    const [guesses = []] = [
      knowing(name, texts, { right, vocabulary })
        .begin({
          ...{ tokens: Uint32Array.from(text), length: text.length, promptLength: prompt.length },
          ...{ choice, draw: 0, room: 0, sequence: 0, scope: '' },
          sampling: { temperature: 0 } as never,
        })
        .propose(ahead),
    ]
    const first = text.length - prompt.length
    way.push(() => posted.post(choice, first, guesses))
  }
  const posted = new Posted(name, (choice, first, ids) => {
    way.push(() => {
      known.set(choice, [...(known.get(choice) ?? []).slice(0, first), ...ids])
      answer(choice)
    })
  })
  const arrive = () => {
    for (const message of way.splice(0)) message()
  }
  return { posted, arrive, known }
}
