import { type BackupReport, createBackup } from '../src/index.ts'
import { backupText, bytesText, ProgressLine } from './backup-text.ts'
import type { Command, Input } from './command.ts'
import { exitCodes, type Io, print, UsageError } from './io.ts'
import { passphraseOption, readPassphrase } from './passphrase.ts'
import { findPeer } from './running-peer.ts'
import { safeJson, safeLine } from './text.ts'

export const backup: Command = {
  name: 'backup',
  operands: 'FILE',
  operandsMax: 1,
  summary: 'Write all that a peer keeps into one encrypted file, also while it runs.',
  options: [passphraseOption, { name: 'force', help: 'Write over a file that is there already.' }],
  details: [
    "In it are the identity, the owner's key, config.toml, and all that is kept for accounts: keys, " +
      'credits, usage, conversations, files, webhooks, and the log with its receipts. Models, what ' +
      'was measured of this machine, and files elsewhere that config.toml names, as certificates, ' +
      'are not. A running peer tells its rows as they are at one moment, and goes on working.',
    'Without the passphrase nobody reads the file, its owner neither. "restore" makes a data folder ' +
      'out of it; protocols/backup/spec.md says what it looks like.',
  ],
  examples: [
    ['pinaivu-peer backup peer.backup', 'Asks for a passphrase, twice'],
    ['pinaivu-peer backup --force --passphrase-file secret /mnt/nas/peer.backup', 'Every night'],
  ],
  async run(input, io) {
    const file = fileOf(input)
    const { dataDir } = input
    const { signal } = io
    const line = new ProgressLine(io)
    const report = await createBackup({
      ...{ file, dataDir, force: input.values.force === true, signal },
      passphrase: () => readPassphrase(input, io, { isNew: true }),
      live: async () => {
        const peer = await findPeer(dataDir, signal)
        return await peer?.client.bytes('/api/v1/backup', { signal })
      },
      onProgress: ({ rows, files, bytes }) =>
        line.show(() => `${bytesText(bytes)}: ${rows} rows, ${files} files`),
    }).finally(() => line.end())
    tell(file, report, input, io)
    return exitCodes.done
  },
}

export function fileOf({ operands }: Input): string {
  const [file] = operands
  if (file !== undefined && file !== '') return file
  throw new UsageError('Name the file of the backup: pinaivu-peer backup peer.backup')
}

function tell(file: string, report: BackupReport, { json }: Input, io: Io): void {
  const { bytes, ...facts } = report
  const written = `Written to ${safeLine(file)}, ${bytesText(bytes)}.`
  if (json) print(io.stdout, safeJson({ file, bytes, ...backupText.json(facts) }))
  else print(io.stdout, written, ...backupText.lines(facts, io))
}
