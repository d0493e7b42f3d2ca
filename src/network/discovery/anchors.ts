import type { KnownPeer } from './peer-cache.ts'

export type Known = readonly [peerId: string, known: KnownPeer]

/** As many nets an attacker would have had to be in, since before it thought of this peer. */
export const ANCHORS = 4
/** Who was not heard of for so long has gone for good. */
const GONE_MS = 3 * 24 * 3_600_000

/**
 * The peers to hold on to, the best first. Who surrounds this peer has come lately, or is in few parts
 * of the internet: so it is those that are known for longest, each in a part of its own.
 * @param isOut not to be had now
 */
export function anchorsAmong(
  known: Iterable<Known>,
  { now, isOut }: { now: number; isOut(peerId: string): boolean },
): string[] {
  const nets = new Map<string, Known>()
  for (const each of known) {
    const [peerId, { net, since, lastHeardAt }] = each
    if (isOut(peerId) || now - lastHeardAt > GONE_MS) continue
    const before = nets.get(net)
    if (before === undefined || since < before[1].since) nets.set(net, each)
  }
  return [...nets.values()]
    .sort(([, a], [, b]) => a.since - b.since)
    .slice(0, ANCHORS)
    .map(([peerId]) => peerId)
}

/**
 * Who is forgotten when too many are known: who has gone for good, or else the newest where most are.
 * So neither any number of fresh ids makes those forgotten that this peer could come back through.
 */
export function whoIsForgotten(known: Iterable<Known>, now: number): string | undefined {
  const all = [...known]
  const oldest = least(all, ({ lastHeardAt }) => lastHeardAt)
  if (oldest !== undefined && now - oldest[1].lastHeardAt > GONE_MS) return oldest[0]
  const nets = [...Map.groupBy(all, ([, { net }]) => net).values()]
  const crowd = nets.reduce((most, each) => (each.length > most.length ? each : most), [])
  return least(crowd, ({ since }) => -since)?.[0]
}

function least(known: readonly Known[], of: (known: KnownPeer) => number): Known | undefined {
  return known.reduce<Known | undefined>(
    (best, each) => (best === undefined || of(each[1]) < of(best[1]) ? each : best),
    undefined,
  )
}
