import { link, list, oneOf, optional, record, text } from './cbor-shape.ts'
import { type CborMap, encodeDagCbor } from './dag-cbor.ts'
import {
  hash,
  job,
  key,
  model,
  price,
  receiptShape,
  region,
  signature,
  size,
  times,
  tokens,
  word,
} from './entry-parts.ts'
import { malformed } from './malformed.ts'
import { sameBytes } from './octets.ts'
import { shown } from './rules.ts'
import { type Signing, type SignLater, signedBytes, type Verifying } from './signed.ts'

/** A coordinator that tried oftener names the last ones. */
export const ATTEMPTS_MAX = 32
/** Of one answer; a coordinator does not go on with one that was begun by more. */
export const PARTS_MAX = 32

const part = record('Part', {
  /** Whose work it is, and whom it is owed. */
  node: key,
  jobId: job,
  /** The node's own entry; where it gave none, the last receipt that it signed. */
  execution: optional(link('entry-link', 'entry')),
  receipt: optional(receiptShape),
  tokens,
  /** Tokens behind the last receipt of a node that was lost: nobody pays for them. */
  unsignedTail: size,
  price,
  /** Micro-credits for this part, and for all work of that node together so far. */
  amount: size,
  owedTotal: size,
  region: optional(region),
})

const attempt = record('Attempt', { node: key, outcome: word, ms: size })

export const routingShape = record('Routing', {
  /** SHA-256 of the request's id. */
  request: hash,
  jobId: job,
  promptRoot: hash,
  coordinator: key,
  ...model,
  work: word,
  verdict: oneOf('ok', 'dispute'),
  dispute: optional(word),
  count: oneOf('verified', 'bounded', 'claimed'),
  parts: list(part, PARTS_MAX),
  /** The coordinator's own receipt of the answer, where several nodes worked on it. */
  whole: optional(receiptShape),
  tokens,
  amount: size,
  attempts: list(attempt, ATTEMPTS_MAX),
  jurisdiction: optional(region),
  region: optional(region),
  times,
  privacy: oneOf('plain', 'salted'),
  endpoint: optional(text('shown', shown)),
  attestation: word,
  signature,
})

/** What a coordinator says of a job: who did it, whether it was right, what is owed. */
export type Routing = ReturnType<typeof routingShape.read>
export type RoutingPart = Routing['parts'][number]
type RoutingFields = Omit<Routing, 'signature'>

/** The body of a routing entry, whose maker sees whether others would refuse it. */
export function signRouting(fields: RoutingFields, { network, sign }: Signing): CborMap {
  const body = unsigned(fields)
  return { ...body, signature: sign(covered(body, network)) }
}

/** The same, for who has much else to do meanwhile. */
export async function signRoutingLater(
  fields: RoutingFields,
  { network, sign }: { network: string; sign: SignLater },
): Promise<CborMap> {
  const body = unsigned(fields)
  return { ...body, signature: await sign(covered(body, network)) }
}

const unsigned = (fields: RoutingFields): CborMap =>
  routingShape.write({ ...fields, signature: new Uint8Array(64) })

/** That the coordinator in it signed it for this network. It stands without its log. */
export function routingHolds(body: CborMap, { network, verify }: Verifying): boolean {
  const { coordinator, signature } = readRouting(body)
  return verify(coordinator, covered(body, network), signature)
}

/** The bytes that its signature covers. Keys of a newer version are among them. */
export const routingPayload = (body: CborMap): Uint8Array =>
  encodeDagCbor({ ...body, signature: undefined })

const covered = (body: CborMap, network: string): Uint8Array =>
  signedBytes('routing', network, routingPayload(body))

export function readRouting(body: CborMap): Routing {
  const routing = routingShape.read(body, 'Routing')
  const { verdict, dispute, whole, coordinator } = routing
  if ((verdict === 'dispute') !== (dispute !== undefined)) {
    throw malformed('Routing.dispute', 'is there if, and only if, the verdict is dispute')
  }
  if (whole !== undefined && !sameBytes(whole.nodePk, coordinator)) {
    throw malformed('Routing.whole', 'is not the coordinator’s')
  }
  for (const { node, execution, receipt } of routing.parts) {
    if ((execution === undefined) === (receipt === undefined)) {
      throw malformed('Part.receipt', 'is there if, and only if, there is no execution')
    }
    if (receipt !== undefined && !sameBytes(receipt.nodePk, node)) {
      throw malformed('Part.receipt', 'is not its node’s')
    }
  }
  return routing
}
