import type { Advert } from '../../wire/advert.ts'
import type { Directory } from './directory.ts'

/**
 * Who leaves a full directory for the newcomer; undefined when nobody does.
 *
 * Who is listed stays: else a thousand fresh ids push out all the peers that were there. Only a
 * newcomer with a model that nobody listed has takes a place, and only that of a peer that is not
 * watched and without whom no model is lost.
 */
export function whoMakesRoom(
  directory: Directory,
  newcomer: Advert,
  stays: (peerId: string) => boolean,
): string | undefined {
  if (!newcomer.models.some(({ id }) => directory.byModelId(id).length === 0)) return undefined
  return directory
    .all()
    .find(
      ({ peerId, advert }) =>
        !stays(peerId) && advert.models.every(({ id }) => directory.byModelId(id).length > 1),
    )?.peerId
}
