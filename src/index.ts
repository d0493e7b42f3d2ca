import type { BackupOptions, BackupReport } from './backup/create-backup.ts'
import type { RestoreOptions, RestoreReport } from './backup/restore-backup.ts'
import type { Config } from './config/config.ts'
import type { Finding } from './doctor/finding.ts'
import type { ExamineOptions } from './examine.ts'
import type { PeerComponents } from './node.ts'
import type { OwnModels, OwnModelsOptions } from './own-models.ts'
import type { Peer } from './peer.ts'
import { version } from './version.ts'

// The public door. Everything that the program, the testnet and embedding programs use comes through it.

export { scopes } from './accounts/principal.ts'
export type { BackupOptions, BackupReport } from './backup/create-backup.ts'
export type { RestoreOptions, RestoreReport } from './backup/restore-backup.ts'
export { DeadlineError, InvalidError, messageOf, PeerError } from './base/errors.ts'
export type { Logger } from './base/logger.ts'
export { type Random, seededRandom } from './base/random.ts'
export {
  type Config,
  type ConfigSources,
  configPath,
  explainConfig,
  type FlagValues,
  type FoundSetting,
  findDataDir,
  readConfig,
} from './config/config.ts'
export { didYouMean } from './config/did-you-mean.ts'
export { aliasOf, type EditContext, knownSetting, setOption, unsetOption } from './config/edit.ts'
export { changeConfig, writeFirstConfig } from './config/file.ts'
export { type ModelSpec, parseModel } from './config/model-values.ts'
export { type LogLevel, logLevels } from './config/setting-values.ts'
export { defaultOf, settingList, unknownSetting } from './config/settings.ts'
export type { Finding, Verdict } from './doctor/finding.ts'
export { lockHolder } from './doctor/lock-holder.ts'
export type { LogHead, PeerSeen } from './doctor/peer-seen.ts'
export type { ModelFacts, ModelStatus } from './engines/engine.ts'
export type { Fit } from './engines/fit.ts'
export type { HeadFacts } from './engines/store/manifest.ts'
export type { StoredModel, Unfinished } from './engines/store/model-folder.ts'
export type { PullEvent, PullWatch } from './engines/store/pull.ts'
export type { Licence } from './engines/store/remote-file.ts'
export type { ExamineOptions } from './examine.ts'
export type { PeerComponents } from './node.ts'
export type { OwnModels, OwnModelsOptions } from './own-models.ts'
export type { Peer, PeerEvent, PeerReady } from './peer.ts'
export { mayRun, type PeerInfo, readPeerInfo } from './peer-file.ts'
export type { Reconfigured } from './reconfigure.ts'
export { version } from './version.ts'
export type { Chunk, Generate } from './wire/chunk.ts'
export type { Job } from './wire/job.ts'

/**
 * A peer inside this process.
 *
 * ```ts
 * const peer = await createPeer(readConfig({ flags: { http: '127.0.0.1:0' } }))
 * await peer.start({ signal })
 * console.log(peer.ready().http)
 * await peer.stop()
 * ```
 */
export async function createPeer(
  config: Config,
  components: Partial<PeerComponents> = {},
): Promise<Peer> {
  // All of libp2p, HTTP and the database: a program that only asks a running peer need not read them.
  const node = await import('./node.ts')
  return node.createPeer(config, components)
}

/** The models that are kept on this machine, and how more come there. */
export async function openOwnModels(
  config: Pick<Config, 'dataDir' | 'modelQuota'>,
  options?: OwnModelsOptions,
): Promise<OwnModels> {
  const own = await import('./own-models.ts')
  return new own.OwnModels(config, options)
}

/** What keeps a peer from working on this machine, and what to do about it. Changes nothing. */
export async function examine(options: ExamineOptions): Promise<Finding[]> {
  const doctor = await import('./examine.ts')
  return doctor.examine(options)
}

/** Writes all that a peer keeps into one encrypted file, also while it runs. */
export async function createBackup(options: Omit<BackupOptions, 'program'>): Promise<BackupReport> {
  const backup = await import('./backup/create-backup.ts')
  return backup.createBackup({ ...options, program: version })
}

/** Makes a data folder out of such a file. */
export async function restoreBackup(options: RestoreOptions): Promise<RestoreReport> {
  const restore = await import('./backup/restore-backup.ts')
  return restore.restoreBackup(options)
}

/** Does the last step of a restore that was killed before it. True: then there is a data folder now. */
export async function finishRestore(dataDir: string): Promise<boolean> {
  const swap = await import('./backup/swap.ts')
  return swap.finishRestore(dataDir)
}
