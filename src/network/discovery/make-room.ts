import type { Advert } from '../../wire/advert.ts'
import type { Directory, DirectoryEntry } from './directory.ts'

/** Who came in because of a model that nobody else had: a quarter of what a directory holds. */
const GUESTS_MAX = 64

export interface Room {
  directory: Directory
  /** Listed peers for whom others had to leave, the oldest first. */
  guests: ReadonlySet<string>
  /** Whether this peer must not leave. */
  stays(peerId: string): boolean
}

export interface Newcomer {
  advert: Advert
  net: string
}

/**
 * Who leaves a full directory for the newcomer; undefined when nobody does.
 *
 * Ids cost nothing, so who is listed stays: else a thousand fresh ones push out all that were there.
 * What costs something is a place in the internet. A newcomer from where there are fewer takes the
 * place of the newest from where there are most, so one operator's ids neither keep others out.
 * From the same net, only one with a model that nobody listed has takes a place: that of a peer
 * without whom no model is lost, or of another that had come in this way, as models can be made up.
 */
export function whoMakesRoom(
  room: Room,
  newcomer: Newcomer,
): { leaves: string; isGuest: boolean } | undefined {
  const { directory, guests, stays } = room
  const counts = Map.groupBy(directory.all(), ({ net }) => net)
  const crowd = [...counts.values()].reduce((most, each) =>
    each.length > most.length ? each : most,
  )
  const own = counts.get(newcomer.net)?.length ?? 0
  if (crowd.length > own + 1) {
    const leaves = crowd.findLast(({ peerId }) => !stays(peerId))
    if (leaves !== undefined) return { leaves: leaves.peerId, isGuest: false }
  }
  if (!newcomer.advert.models.some(({ id }) => directory.byModelId(id).length === 0)) {
    return undefined
  }
  const isSpare = ({ peerId, advert }: DirectoryEntry) =>
    !stays(peerId) && advert.models.every(({ id }) => directory.byModelId(id).length > 1)
  const leaves =
    guests.size < GUESTS_MAX
      ? directory.all().find(isSpare)?.peerId
      : [...guests].find((peerId) => !stays(peerId))
  return leaves === undefined ? undefined : { leaves, isGuest: true }
}
