import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

// The long campaigns: the same tests with many more runs. `--seeded` takes the property tests alone,
// which depend on their seeds and not on the clock; CI runs those. `--skip NAME` leaves out files with that
// in their path, to be run on their own. A summary is kept in test/results/.

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { values } = parseArgs({
  options: {
    seeded: { type: 'boolean', default: false },
    skip: { type: 'string', multiple: true, default: [] },
  },
})
const { seeded: seededOnly, skip } = values
const propertyRuns = seededOnly ? 2000 : 10_000

interface Report {
  numTotalTests: number
  numPassedTests: number
  numFailedTests: number
  testResults: { name: string; status: string; startTime: number; endTime: number }[]
}

const testFiles = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.test.ts'))
  .map((name) => join('test', name))
const mentions = (word: string) =>
  testFiles.filter((path) => readFileSync(join(root, path), 'utf8').includes(word))

const properties = mentions("from 'fast-check'")
const campaigns = mentions('rounds(').filter((path) => !properties.includes(path))
const all = seededOnly ? properties : [...properties, ...campaigns]
const isSkipped = (path: string) => skip.some((name) => path.includes(name))
const chosen = all.filter((path) => !isSkipped(path))

mkdirSync(join(root, 'test/results'), { recursive: true })
const reportPath = join(root, 'test/results/.long.json')
const run = spawnSync(
  process.execPath,
  [
    join(root, 'node_modules/vitest/vitest.mjs'),
    'run',
    ...chosen,
    '--testTimeout=900000',
    '--hookTimeout=120000',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${reportPath}`,
  ],
  {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      PINAIVU_PROPERTY_RUNS: String(propertyRuns),
      ...(seededOnly ? {} : { PINAIVU_CAMPAIGN: 'long' }),
    },
  },
)

if (!seededOnly) {
  const report = JSON.parse(readFileSync(reportPath, 'utf8')) as Report
  const rows = report.testResults.map((file) => {
    const seconds = ((file.endTime - file.startTime) / 1000).toFixed(1)
    return `| ${file.name.slice(root.length + 1)} | ${file.status} | ${seconds} |`
  })
  const lines = [
    '# The last long run',
    '',
    `${report.numPassedTests} of ${report.numTotalTests} tests passed, ${report.numFailedTests} failed;`,
    `${propertyRuns} runs of each property. \`npm run test:long\` writes this page.`,
    ...(skip.length === 0 ? [] : ['', `Not run: ${all.filter(isSkipped).join(', ')}.`]),
    '',
    '| file | result | seconds |',
    '| --- | --- | --: |',
    ...rows,
    '',
  ]
  writeFileSync(join(root, 'test/results/long.md'), lines.join('\n'))
}
process.exitCode = run.status ?? 1
