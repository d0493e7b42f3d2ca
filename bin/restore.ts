import { type RestoreReport, restoreBackup } from '../src/index.ts'
import { fileOf } from './backup.ts'
import { backupText, bytesText, ProgressLine } from './backup-text.ts'
import type { Command, Input } from './command.ts'
import { exitCodes, type Io, print } from './io.ts'
import { passphraseOption, readPassphrase } from './passphrase.ts'
import { safeJson, safeLine } from './text.ts'

export const restore: Command = {
  name: 'restore',
  operands: 'FILE',
  operandsMax: 1,
  summary: 'Make a data folder out of a backup.',
  options: [
    passphraseOption,
    { name: 'force', help: 'Move a folder that is there aside, to DIR.before-restore-TIME.' },
  ],
  details: [
    'The whole file is read and checked first: a wrong passphrase or a damaged file changes nothing, ' +
      'and neither does an end in the middle. Into a folder with a running peer nothing is restored.',
    'The peer is then as it was when the backup was made. What came later is not in it: keys that ' +
      'were revoked since work again, keys and credits that were given since are gone, webhooks of ' +
      'that time are sent once more, and a request that was sent with an Idempotency-Key since is ' +
      'done again. Its log goes on in a new epoch, so that it never signs a second history. Never run ' +
      'it beside the peer that the backup was made of.',
  ],
  examples: [
    ['pinaivu-peer restore peer.backup', 'Into the data folder of a machine that had no peer'],
    ['pinaivu-peer restore peer.backup --data-dir /srv/peer', 'Into another one'],
    ['pinaivu-peer restore peer.backup --force', 'In place of what is there, which is kept'],
  ],
  async run(input, io) {
    const file = fileOf(input)
    const line = new ProgressLine(io)
    const { dataDir } = input
    const report = await restoreBackup({
      ...{ file, dataDir, force: input.values.force === true, signal: io.signal },
      passphrase: () => readPassphrase(input, io, { isNew: false }),
      onProgress: ({ bytes, of }) =>
        line.show(() => `${bytesText(bytes)} of ${bytesText(of)} are read and checked`),
    }).finally(() => line.end())
    tell(report, input, io)
    return exitCodes.done
  },
}

function tell({ dataDir, movedTo, ...facts }: RestoreReport, { json }: Input, io: Io): void {
  if (json) {
    const moved = { data_dir: dataDir, moved_to: movedTo }
    print(io.stdout, safeJson({ ...moved, ...backupText.json(facts) }))
    return
  }
  const aside = movedTo === null ? [] : [`What was there is now in ${safeLine(movedTo)}.`]
  print(
    io.stdout,
    `Restored into ${safeLine(dataDir)}.`,
    ...aside,
    ...backupText.lines(facts, io),
    '',
    'Keys that were revoked since then work again: see "pinaivu-peer keys list" once it runs.',
  )
}
