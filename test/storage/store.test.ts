import { silentLogger } from '../../src/base/logger.ts'
import { MemoryBackend } from '../../src/storage/memory-backend.ts'
import { openStore, openStoreOn } from '../../src/storage/store.ts'
import { storeSuite } from './store-suite.ts'
import { tempDir } from './temp-dir.ts'

const components = { logger: silentLogger }

storeSuite('level', async () => {
  const dir = await tempDir()
  return { open: () => openStore(dir, components) }
})

storeSuite('memory', async () => {
  const backend = new MemoryBackend()
  return { open: () => openStoreOn(backend, components) }
})
