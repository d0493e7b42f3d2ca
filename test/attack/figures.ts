import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { assault } from './assault.ts'
import { coordinatorAttacks } from './coordinator-attacks.ts'
import { type ProviderAttack, providerAttacks, stallers } from './provider-attacks.ts'
import { type Figures, type Guise, percentile, siege } from './siege.ts'

// What hostile peers cost the honest: `node test/attack/figures.ts` writes test/results/attack.md. `--like`
// takes those providers alone whose behaviour has a name like that.

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '3000' },
    jobs: { type: 'string', default: '200' },
    like: { type: 'string', default: '' },
  },
})
const requests = Number(values.requests)
const jobs = Number(values.jobs)

const times = (ms: number, calmMs: number) => `${Math.round(ms)} (${(ms / calmMs).toFixed(2)}×)`
const row = (...cells: (string | number)[]) => `| ${cells.join(' | ')} |`
const harmOf = ({ errors, wrong, slandered }: Figures) =>
  `${errors.length} / ${wrong} / ${slandered}`

const calm = (await siege({ requests })).times
const [calmP50, calmP99] = [percentile(calm, 0.5), percentile(calm, 0.99)]
const lines: string[] = []
const put = (...more: string[]) => {
  lines.push(...more)
  process.stdout.write(`${more.join('\n')}\n`)
}

put(
  '# What hostile peers cost the honest',
  '',
  `\`${['node test/attack/figures.ts', ...process.argv.slice(2)].join(' ')}\` wrote this page; the time is that`,
  'of a fake clock. Milliseconds for a whole answer, and how many times as long that is as without them.',
  '',
  `## Providers: ${requests} requests, five a second, with three honest ones`,
  '',
  `Without hostile ones: p50 ${calmP50}, p99 ${calmP99}. Harm: errors / wrong answers / honest peers accused.`,
  '',
  row('who', 'what they do', 'p50', 'p99', 'slowest', 'their share of jobs', 'harm'),
  '| --- | --- | --: | --: | --: | --: | --: |',
)

async function besieged(as: Guise, what: string, attacks: readonly ProviderAttack[]) {
  const figures = await siege({ attacks, as, requests })
  const p50 = times(percentile(figures.times, 0.5), calmP50)
  const p99 = times(percentile(figures.times, 0.99), calmP99)
  const share = `${(100 * figures.share).toFixed(2)} %`
  put(row(as, what, p50, p99, Math.round(percentile(figures.times, 1)), share, harmOf(figures)))
}

for (const as of ['strangers', 'flood'] as const) {
  await besieged(as, 'all kinds', providerAttacks)
  await besieged(as, 'all that stall', stallers)
}
const isLike = new RegExp(values.like)
for (const as of ['turncoats', 'waverers'] as const) {
  for (const attack of providerAttacks) {
    if (isLike.test(attack.name)) await besieged(as, attack.name, [attack])
  }
}

const unharmed = await assault(undefined, { jobs })
put(
  '',
  `## Coordinators: ${jobs} jobs of an honest one at a provider with four slots, beside twenty hostile ones`,
  '',
  `Without them: p50 ${unharmed.medianMs}, p99 ${unharmed.p99Ms}.`,
  '',
  row('what they do', 'p50', 'p99', 'jobs of theirs for one of its', 'harm'),
  '| --- | --: | --: | --: | --: |',
)
for (const attack of coordinatorAttacks) {
  const { failed, wrong, slandered, medianMs, p99Ms, share } = await assault(attack, {
    ...{ jobs, paceMs: 50 },
  })
  const harm = `${failed.length} / ${wrong} / ${Number(slandered)}`
  const [p50, p99] = [times(medianMs, unharmed.medianMs), times(p99Ms, unharmed.p99Ms)]
  put(row(attack.name, p50, p99, share.toFixed(2), harm))
}

const results = join(dirname(fileURLToPath(import.meta.url)), '../results')
mkdirSync(results, { recursive: true })
writeFileSync(join(results, 'attack.md'), `${lines.join('\n')}\n`)
