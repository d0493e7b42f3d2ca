import { examine, type Finding, settingList, unknownSetting, type Verdict } from '../src/index.ts'
import { type Command, type Input, optionOf } from './command.ts'
import { lookForPeer } from './doctor-peer.ts'
import { columnsOf, exitCodes, type Io, print } from './io.ts'
import { type Colour, paintFor, safeJson, safeLine, wrap } from './text.ts'

export const doctor: Command = {
  name: 'doctor',
  summary: 'Find what keeps a peer from working on this machine, and say what to do.',
  options: settingList.map((setting) => ({ ...optionOf(setting), group: setting.group })),
  details: [
    'It asks the peer that runs on the data folder, and looks itself at ports, network, graphics ' +
      'card, disk, clock and model files. Without a running peer it looks at what one would meet ' +
      'that is started with the same options. It changes nothing, and takes five seconds at most.',
    'ok: nothing to do. warn: it works, but worse than it could. fail: it does not work. "-": this ' +
      'could not be looked at. It ends with 1 when there is a fail, else with 0.',
  ],
  examples: [
    ['pinaivu-peer doctor', 'A line for each thing that was looked at'],
    ['pinaivu-peer doctor --model phi-4.gguf', 'Whether that model can be served'],
    ['pinaivu-peer doctor --json', 'For programs: one JSON object'],
  ],
  unknownOption: (name) => unknownSetting(name, '--', ['json', 'help', 'version']),
  run: (input, io) => runDoctor(input, io, examine),
}

export async function runDoctor(input: Input, io: Io, look: typeof examine): Promise<number> {
  const sources = { flags: input.values, env: io.env }
  const findings = await look({ sources, lookForPeer, signal: io.signal })
  const verdict = worst(findings)
  if (input.json) print(io.stdout, safeJson({ verdict, findings }))
  else
    print(io.stdout, ...findings.flatMap((finding) => linesOf(finding, io)), '', summary(findings))
  return verdict === 'fail' ? exitCodes.failed : exitCodes.done
}

const worst = (findings: readonly Finding[]): Verdict =>
  (['fail', 'warn'] as const).find((each) => findings.some(({ verdict }) => verdict === each)) ??
  'ok'

const colours: Readonly<Record<Verdict, Colour>> = {
  ok: 'green',
  warn: 'yellow',
  fail: 'red',
  skip: 'dim',
}
const verdictWidth = 6
const checkWidth = 13

/** One line, which a terminal gets broken. */
function linesOf({ check, verdict, cause, next }: Finding, { stdout, env }: Io): string[] {
  const paint = paintFor(stdout, env)
  const word = verdict === 'skip' ? '-' : verdict
  const head = `${paint(colours[verdict], word)}${' '.repeat(verdictWidth - word.length)}`
  const indent = verdictWidth + checkWidth
  const text = safeLine(next === undefined ? cause : `${cause} ${next}`)
  const [first = '', ...more] =
    stdout.isTTY === true ? wrap(text, columnsOf(stdout) - indent) : [text]
  return [
    `${head}${check.padEnd(checkWidth)}${first}`,
    ...more.map((line) => ' '.repeat(indent) + line),
  ]
}

function summary(findings: readonly Finding[]): string {
  const count = (wanted: Verdict) => findings.filter(({ verdict }) => verdict === wanted).length
  const [fails, warns] = [count('fail'), count('warn')]
  if (fails + warns === 0) return 'Nothing is wrong.'
  return [
    fails > 0 ? [`${fails} to be mended`] : [],
    warns > 0 ? [`${warns} that could be better`] : [],
  ]
    .flat()
    .join(', ')
    .concat('.')
}
