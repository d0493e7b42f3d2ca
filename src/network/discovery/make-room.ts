import type { Advert } from '../../wire/advert.ts'
import type { Directory, DirectoryEntry } from './directory.ts'

/** Who came in because of what nobody else had: a quarter of what a directory holds. */
const GUESTS_MAX = 48
/** Without any in the directory, logs reach no archive; more of them may be anybody. */
const ARCHIVES_WANTED = 4

export interface Listed {
  directory: Directory
  /** Whether this peer must not leave. */
  stays(peerId: string): boolean
}

export interface Room extends Listed {
  /** Listed peers for whom others had to leave, the oldest first. */
  guests: ReadonlySet<string>
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
 * From the same net, only one with a model that nobody listed has, or an archive while there are few,
 * takes a place: that of a peer without whom nothing is lost, or of another that had come in this way,
 * as both can be made up.
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
    const leaves = crowd.findLast(
      ({ peerId, advert }) => !stays(peerId) && !isWantedArchive(advert, directory),
    )
    if (leaves !== undefined) return { leaves: leaves.peerId, isGuest: false }
  }
  if (!isRare(newcomer.advert, directory)) return undefined
  const leaves =
    guests.size < GUESTS_MAX
      ? directory.all().find((entry) => isSpare(entry, room))?.peerId
      : [...guests].find((peerId) => !stays(peerId))
  return leaves === undefined ? undefined : { leaves, isGuest: true }
}

/** Whether nothing is missed without this listed peer. */
export function isSpare({ peerId, advert }: DirectoryEntry, { directory, stays }: Listed): boolean {
  if (stays(peerId) || isWantedArchive(advert, directory)) return false
  return advert.models.every(({ id }) => directory.byModelId(id).length > 1)
}

function isRare(advert: Advert, directory: Directory): boolean {
  if (advert.models.some(({ id }) => directory.byModelId(id).length === 0)) return true
  return isArchive(advert) && archivesIn(directory) < ARCHIVES_WANTED
}

const isWantedArchive = (advert: Advert, directory: Directory): boolean =>
  isArchive(advert) && archivesIn(directory) <= ARCHIVES_WANTED

const isArchive = ({ roles }: Advert): boolean => roles.includes('archive')

const archivesIn = (directory: Directory): number =>
  directory.all().filter(({ advert }) => isArchive(advert)).length
