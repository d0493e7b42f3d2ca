import { backUp, restoreTo } from './stage.ts'

// Backs up a folder into a file, or restores one in place of another, again and again until it is killed.

const [mode = '', dir = '', file = ''] = process.argv.slice(2)
process.stdout.write('begun\n')
for (;;) {
  if (mode === 'backup') await backUp(dir, file, { force: true })
  else await restoreTo(dir, file, { force: true })
}
