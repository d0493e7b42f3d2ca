import { randomInt } from 'node:crypto'
import {
  type Happening,
  isScenario,
  runApart,
  type ScenarioName,
  scenarioNames,
  scenarios,
  type Verdict,
} from '../testnet/index.ts'
import { type Input, numberOf } from './command.ts'
import { columnsOf, exitCodes, type Io, print, UsageError } from './io.ts'
import { paintFor, safeJson, safeLine, widthOf, wrap } from './text.ts'

const SEED_MAX = 2 ** 31 - 1

/** What becomes of a network to which something happens; the exit code says whether it held. */
export async function runTestnetScenario(
  { name, dir }: { name: string; dir: string | undefined },
  input: Input,
  io: Io,
  programPath: string,
): Promise<number> {
  if (!isScenario(name)) {
    throw new UsageError(`--scenario: expected one of ${scenarioNames.join(', ')}; got "${name}".`)
  }
  if (input.values.peers !== undefined) throw new UsageError('--scenario has peers of its own.')
  const seed = numberOf(input, 'seed', { min: 0, max: SEED_MAX, whole: true })
  const report = input.json ? new JsonLines(io) : new Told(io)
  const drawn = seed ?? randomInt(SEED_MAX)
  report.begin(name, drawn)
  const verdict = await runApart(name, {
    ...{ programPath, env: io.env, signal: io.signal, seed: drawn },
    keep: input.values.keep === true,
    tell: (happening) => report.tell(happening),
    ...(dir === undefined ? {} : { dir }),
  })
  report.end(verdict)
  return verdict.held ? exitCodes.done : exitCodes.failed
}

class JsonLines {
  readonly #io: Io

  constructor(io: Io) {
    this.#io = io
  }

  begin(scenario: ScenarioName, seed: number): void {
    print(this.#io.stdout, safeJson({ event: 'scenario', scenario, seed }))
  }

  tell(happening: Happening): void {
    print(this.#io.stdout, safeJson({ event: 'happened', ...happening }))
  }

  end(verdict: Verdict): void {
    print(this.#io.stdout, safeJson({ event: 'verdict', ...verdict }))
  }
}

class Told {
  readonly #io: Io

  constructor(io: Io) {
    this.#io = io
  }

  begin(name: ScenarioName, seed: number): void {
    const { stdout, env } = this.#io
    const paint = paintFor(stdout, env)
    const lines = wrap(scenarios[name].summary, columnsOf(stdout))
    print(stdout, `${paint('bold', name)}, seed ${seed}`, ...lines, '')
  }

  tell({ ms, says }: Happening): void {
    this.#row(`${(ms / 1000).toFixed(1)} s`.padStart(8), says)
  }

  end({ held, findings, figures }: Verdict): void {
    const { stdout, env } = this.#io
    const paint = paintFor(stdout, env)
    print(stdout, '')
    for (const { what, holds, says } of findings) {
      const mark = holds ? paint('green', 'yes') : paint('red', 'NO ')
      this.#row(`  ${mark}  ${what.padEnd(10)}`, says)
    }
    const numbers = Object.entries(figures).map(([name, value]) => `${name} ${value}`)
    const verdict = held ? paint('green', 'It held.') : paint('red', 'It did not hold.')
    const lines = wrap(numbers.join(', '), columnsOf(stdout))
    print(stdout, '', ...lines, '', verdict)
  }

  /** What is told stands in a column of its own. */
  #row(label: string, says: string): void {
    const { stdout } = this.#io
    const width = widthOf(label) + 2
    const lines = wrap(safeLine(says), columnsOf(stdout) - width)
    const indent = ' '.repeat(width)
    print(stdout, ...lines.map((line, at) => `${at === 0 ? `${label}  ` : indent}${line}`))
  }
}
