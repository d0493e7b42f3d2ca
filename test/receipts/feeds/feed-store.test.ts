import { expect, it } from 'vitest'
import { coordinator, provider } from '../../wire/log-examples.ts'
import { author, providersLog, stage } from './stage.ts'

it('what is thrown away while it is read is not told as if the rest were the beginning', async () => {
  const { feeds, intake } = await stage({ who: coordinator })
  const feed = author(provider)
  await intake.ingest(await providersLog(100).batch(0, 100))
  const read = feeds.entries.bind(feeds)
  for (const before of [50, 100]) {
    feeds.entries = async function* (...part) {
      feeds.entries = read
      await intake.prune(feed, before)
      yield* read(...part)
    }
    const asked = feeds.batch(feed, { from: before - 50 })
    await expect(asked).rejects.toMatchObject({ code: 'log_pruned' })
  }
})
