import type { Directory } from '../../network/discovery/directory.ts'

/** Whether it says that it keeps all logs. */
export const isArchive = (directory: Pick<Directory, 'get'>, peerId: string): boolean =>
  directory.get(peerId)?.advert.roles.includes('archive') === true
