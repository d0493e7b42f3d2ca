import { readdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { finishRestore } from '../../src/backup/swap.ts'
import { seededRandom } from '../../src/base/random.ts'
import { rounds } from '../campaign.ts'
import { killed } from '../receipts/feeds/killed.ts'
import { tempDir } from '../storage/temp-dir.ts'
import { backUp, contentOf, dataFolder, restoreTo } from './stage.ts'

const ROUNDS = rounds(3, 300)
const LIFE_MS_MAX = 150
const script = '../../backup/killed-child.ts'

const ownerOf = async (dir: string) => (await contentOf(dir)).files['owner.key']

describe('killed at any moment', () => {
  it('a restore leaves the old folder or the new one, whole, and what was there before', async () => {
    const home = await tempDir()
    const dir = await dataFolder(join(home, 'old'), { more: 'old' })
    const file = join(home, 'backup')
    await backUp(await dataFolder(join(home, 'new')), file)
    const before = await contentOf(dir)
    const wanted = join(home, 'wanted')
    await restoreTo(wanted, file)
    const after = await contentOf(wanted, ['feed-restored'])
    const random = seededRandom(8)
    for (let round = 0; round < ROUNDS; round++) {
      await killed(script, ['restore', dir, file], random.below(LIFE_MS_MAX))
      await finishRestore(dir)
      const now = await contentOf(dir, ['feed-restored'])
      expect([before, after]).toContainEqual(now)
      const aside = readdirSync(home).filter((name) => name.startsWith('old.before-restore-'))
      for (const name of aside) {
        const content = await contentOf(join(home, name), ['feed-restored'])
        expect([before, after]).toContainEqual(content)
        // The first that was moved is still needed; the others are all alike.
        if (name !== aside.toSorted()[0]) await rm(join(home, name), { recursive: true })
      }
      const owners = await Promise.all([
        ownerOf(dir),
        ...aside.slice(0, 1).map((name) => ownerOf(join(home, name))),
      ])
      expect(owners).toContain(before.files['owner.key'])
    }
  })

  it('a backup leaves the one from before or the new one, whole', async () => {
    const home = await tempDir()
    const dir = await dataFolder(join(home, 'peer'))
    const file = join(home, 'backup')
    await backUp(dir, file)
    const random = seededRandom(9)
    for (let round = 0; round < ROUNDS; round++) {
      await killed(script, ['backup', dir, file], random.below(LIFE_MS_MAX))
      const target = join(home, 'again')
      expect(await restoreTo(target, file)).toMatchObject({ rows: 21, files: 6 })
      await rm(target, { recursive: true })
      expect(readdirSync(home).filter((name) => name.endsWith('.partial')).length).toBeLessThan(2)
    }
  })
})
