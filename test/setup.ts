import * as fc from 'fast-check'

// One knob for every property test: `npm test` takes few runs, `npm run test:long` many.
// A failing run prints its seed and path; `fc.assert(…, { seed, path })` replays it.
fc.configureGlobal({ numRuns: Number(process.env.PINAIVU_PROPERTY_RUNS ?? 30) })
