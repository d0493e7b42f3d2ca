import { configDefaults, defineConfig } from 'vitest/config'

/** What these share is loaded once: nothing in them is kept in a module, and loading was half of their time. */
const rooms = (
  'accounts api backup base bin config doctor engines/store engines/upstream ' +
  'identity market network receipts sdk storage wire'
).split(' ')
const light = rooms.map((room) => `test/${room}/**/*.test.ts`)

export default defineConfig({
  test: {
    setupFiles: ['test/setup.ts'],
    // Many times what any of them takes: only one that hangs is to fail by it, on a busy machine too.
    testTimeout: 90_000,
    hookTimeout: 90_000,
    // One more than the two cores of a small machine: many tests wait for processes of their own.
    maxWorkers: 3,
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
