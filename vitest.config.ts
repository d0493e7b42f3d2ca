import { configDefaults, defineConfig } from 'vitest/config'

/** What these share is loaded once: nothing in them is kept in a module, and loading was half of their time. */
const light = ['api', 'base', 'identity', 'market', 'receipts', 'sdk', 'storage', 'wire'].map(
  (room) => `test/${room}/**/*.test.ts`,
)

export default defineConfig({
  test: {
    setupFiles: ['test/setup.ts'],
    // Many times what any of them takes: only one that hangs is to fail by it, on a busy machine too.
    testTimeout: 90_000,
    hookTimeout: 90_000,
    // Two cores and a model in a child process: more workers only make each other late.
    maxWorkers: 2,
    projects: [
      { extends: true, test: { name: 'light', include: light, isolate: false } },
      {
        extends: true,
        test: {
          name: 'heavy',
          include: ['test/**/*.test.ts'],
          exclude: [...configDefaults.exclude, ...light],
        },
      },
    ],
  },
})
