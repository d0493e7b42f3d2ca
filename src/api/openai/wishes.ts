import { jurisdictionCode } from '../../base/country.ts'
import { InvalidError } from '../../base/errors.ts'
import { DRAFTERS_MAX } from '../../wire/drafting.ts'
import { limits, type Price, type Wishes } from '../../wire/job.ts'
import { publicKeyOf } from '../../wire/peer-id.ts'
import {
  anyOf,
  array,
  closed,
  type Infer,
  integer,
  oneOf,
  optionalOrNull,
  string,
} from '../schema.ts'

const price = integer({ minimum: 0, maximum: limits.priceMax })
const peerIds = (minItems: number, description: string) =>
  optionalOrNull(array(string(), { minItems, maxItems: limits.nodesMax }), { description })

/** What a request may ask of whoever does the work. */
export const wishFields = {
  jurisdiction: optionalOrNull(string(), {
    description:
      'ISO 3166 alpha-2, or EU for any of its members: only peers that say they are there see ' +
      'the request. Where they are is declared by them, not verified. Default: that of the key.',
  }),
  max_price: optionalOrNull(anyOf([price, closed({ input: price, output: price })]), {
    description:
      'Micro-credits per 1,000 tokens, for both kinds or for each: peers that ask for more are ' +
      'not used.',
  }),
  node: optionalOrNull(
    closed({
      only: peerIds(1, 'Nobody else.'),
      not: peerIds(0, 'None of these.'),
    }),
    { description: 'Peer ids to use or to avoid.' },
  ),
  receipt_privacy: optionalOrNull(oneOf(['plain', 'salted']), {
    description:
      'salted: the answer is hashed behind `receipt.prompt_nonce`, which the caller alone is ' +
      'told, so that nobody can try texts out against its receipt.',
    default: 'plain',
  }),
}

/** Of requests for text. */
export const draftersField = optionalOrNull(array(string(), { maxItems: DRAFTERS_MAX }), {
  description:
    'Peer ids, the best first: who may see the request too, to draft for whoever answers, besides ' +
    'those that the owner of this peer allows. It changes neither the answer nor its price.',
})

export type WishFields = {
  [K in keyof typeof wishFields]?: Infer<(typeof wishFields)[K]>
} & { drafters?: Infer<typeof draftersField> }

/**
 * Undefined for a request that leaves it to the peer, as most do. `bound`: the jurisdiction that the
 * caller's key has for requests that name none.
 */
export function toWishes(fields: WishFields, bound?: string): Wishes | undefined {
  const { max_price: max, node, receipt_privacy: privacy } = fields
  const jurisdiction = fields.jurisdiction ?? bound
  const isSalted = privacy === 'salted'
  if (jurisdiction == null && max == null && node == null && !isSalted) return undefined
  const wishes: Wishes = {}
  if (jurisdiction != null) wishes.jurisdiction = toJurisdiction(jurisdiction)
  if (max != null) wishes.maxPrice = toPrice(max)
  if (node?.only != null) wishes.only = checked(node.only, 'node.only')
  if (node?.not != null) wishes.not = checked(node.not, 'node.not')
  if (isSalted) wishes.receiptPrivacy = 'salted'
  return wishes
}

/** Undefined where the request names nobody. */
export function toDrafters({ drafters }: WishFields): string[] | undefined {
  return drafters == null || drafters.length === 0 ? undefined : checked(drafters, 'drafters')
}

function toJurisdiction(text: string): string {
  const code = jurisdictionCode(text)
  if (code !== undefined) return code
  const message =
    "Invalid 'jurisdiction': expected a country as ISO 3166 alpha-2, such as DE or CA, or EU."
  throw new InvalidError('jurisdiction', message, 'invalid_jurisdiction')
}

const toPrice = (max: number | Price): Price =>
  typeof max === 'number' ? { input: max, output: max } : max

function checked(peerIds: string[], param: string): string[] {
  for (const [at, id] of peerIds.entries()) {
    try {
      publicKeyOf(id)
    } catch {
      const where = `${param}[${at}]`
      const message = `Invalid '${where}': expected a peer id, 52 characters from 12D3Koo on.`
      throw new InvalidError(where, message)
    }
  }
  return peerIds
}
