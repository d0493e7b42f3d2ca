import { availableParallelism, loadavg } from 'node:os'
import { describe, expect, it } from 'vitest'
import { audit } from '../../../src/accounts/ledger/audit.ts'
import { Ledger } from '../../../src/accounts/ledger/ledger.ts'
import { entryId } from '../../../src/accounts/ledger/ledger-rows.ts'
import { systemClock } from '../../../src/base/clock.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { seededRandom } from '../../../src/base/random.ts'
import { openStore } from '../../../src/storage/store.ts'
import { rounds } from '../../campaign.ts'
import { tempDir } from '../../storage/temp-dir.ts'
import { emptyLog } from './audited-log.ts'

const ENTRIES = rounds(5_000, 100_000)
const LOOKS = rounds(100, 2_000)
const P99_MS = 20
/** Of a machine that has other work as well, only half of them say something. */
const share = () => ((loadavg()[0] ?? 0) > availableParallelism() ? 0.5 : 0.99)
const { signal } = new AbortController()

describe(`a ledger of ${ENTRIES} entries on the disk`, () => {
  it('is opened, listed and looked into as a short one', { timeout: 300_000 }, async () => {
    const dir = await tempDir()
    const parts = { clock: systemClock, logger: silentLogger }
    let store = await openStore(dir, parts)
    let ledger = await Ledger.open({ store, ...parts })
    await ledger.grant({ account: 'alice', amount: ENTRIES })
    await ledger.grant({ account: 'bob', amount: ENTRIES })
    let commits: Promise<void>[] = []
    for (let n = 0; n < ENTRIES; n++) {
      const account = n % 10 === 0 ? 'bob' : 'alice'
      const rows = store.batch()
      const payees = [{ peerId: undefined, amount: 1 }]
      ledger
        .reserve({ account, keyId: 'key_1' }, 1)
        .settle({ jobId: `job_${n}`, amount: 1, payees }, rows)
      commits.push(store.commit(rows))
      if (commits.length < 1_000) continue
      await Promise.all(commits)
      commits = []
    }
    await Promise.all(commits)
    await store.close()
    store = await openStore(dir, parts)
    const beganAt = performance.now()
    ledger = await Ledger.open({ store, ...parts })
    const openMs = performance.now() - beganAt

    const random = seededRandom(1)
    const looks = {
      page: async (account: string) => {
        let count = 0
        const before = { lt: entryId(1 + random.below(ENTRIES)), reverse: true, limit: 100 }
        for await (const entry of ledger.entries(account, before)) {
          expect(entry.account).toBe(account)
          count++
        }
        return count
      },
      charge: async () => {
        const jobId = `job_${random.below(ENTRIES)}`
        expect(await ledger.chargeOf(jobId)).toMatchObject({ jobId })
      },
    }
    const times: Record<string, number> = { openMs }
    for (const [name, look] of Object.entries(looks)) {
      const all: number[] = []
      for (let n = 0; n < LOOKS; n++) {
        const at = performance.now()
        await look(n % 2 === 0 ? 'alice' : 'bob')
        all.push(performance.now() - at)
      }
      all.sort((a, b) => a - b)
      for (const part of [0.5, 0.99]) {
        times[`${name} ${part}`] = Number(all[Math.floor(part * LOOKS)]?.toFixed(2))
      }
    }
    const auditAt = performance.now()
    const report = await audit({ tables: ledger.tables, log: emptyLog }, { signal })
    times.auditMs = performance.now() - auditAt
    console.info(`${ENTRIES} entries:`, times)
    expect(report).toMatchObject({ problems: [], sum: 0, entries: ENTRIES + 3 })
    for (const name of Object.keys(looks)) {
      expect(times[`${name} ${share()}`]).toBeLessThanOrEqual(P99_MS)
    }
    await store.close()
  })
})
