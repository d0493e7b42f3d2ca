/**
 * Whether peers anywhere can dial this one: `public`, or `private` behind a NAT or a firewall. It is
 * unknown while nobody from elsewhere has said or done anything.
 */
export type Reachability = 'public' | 'private' | 'unknown'

export interface ReachabilityEvidence {
  /** Somebody from the internet came in lately, over a connection that this peer did not make. */
  cameIn: boolean
  /** Peers see this one under an address that none of its interfaces has. */
  translated: boolean
  /** A peer that was asked to could not dial an address of this one. */
  refused: boolean
}

/**
 * A connection that came in is the only proof. That somebody says to have got through is none: one
 * liar would have this peer give up its relays.
 */
export function judge({ cameIn, translated, refused }: ReachabilityEvidence): Reachability {
  if (cameIn) return 'public'
  return translated || refused ? 'private' : 'unknown'
}

/** As what one peer sees this one, on a connection that this one made. */
export interface Observation {
  host: string
  port: number
  /** The connection was made from the port that holes are punched from. */
  fromPunchPort: boolean
}

/** The host under which most see this peer; undefined where nobody does. */
export function outerHost(observations: readonly Observation[]): string | undefined {
  const groups = Object.entries(Object.groupBy(observations, ({ host }) => host))
  const [most] = groups.sort(([, a], [, b]) => (b?.length ?? 0) - (a?.length ?? 0))
  return most?.[0]
}

/**
 * Where a hole can be punched: the outer port is the same for all who see it. A NAT that takes a new
 * one for each destination leaves nothing that could be told to others.
 */
export function outerPort(observations: readonly Observation[]): Observation | undefined {
  const host = outerHost(observations)
  const seen = observations.filter((each) => each.fromPunchPort && each.host === host)
  return seen.every(({ port }) => port === seen[0]?.port) ? seen[0] : undefined
}
