import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/setup.ts'],
    // Many times what any of them takes: only one that hangs is to fail by it, on a busy machine too.
    testTimeout: 90_000,
    hookTimeout: 90_000,
    // Two cores and a model in a child process: more workers only make each other late.
    maxWorkers: 2,
  },
})
