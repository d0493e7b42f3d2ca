import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { InvalidError } from '../../src/simulation.ts'
import { argsOf, commandOf, HELP, type Order, readOrder } from './options.ts'
import { planOf, type SimOptions } from './plan.ts'
import { runReal } from './real.ts'
import { printOutcome, printReal, printShrunk, printSummary } from './report.ts'
import { shrink } from './shrink.ts'
import { type Outcome, Simulation } from './simulation.ts'

async function told(options: SimOptions): Promise<Outcome> {
  const simulation = new Simulation(planOf(options))
  const progress = (virtualMs: number) => {
    if (process.stderr.isTTY) process.stderr.write(`\r${Math.round(virtualMs / 1000)} s `)
  }
  const outcome = await simulation.run({ onProgress: progress })
  if (process.stderr.isTTY) process.stderr.write('\r')
  return outcome
}

/** Whether all went well. */
async function tell(options: SimOptions, order: Order): Promise<boolean> {
  const outcome = await told(options)
  printOutcome(options, outcome, order.json)
  const [first] = outcome.violations
  if (first !== undefined) {
    if (!order.shrink) return false
    const fails = async (smaller: SimOptions) =>
      (await told(smaller)).violations.some(({ rule }) => rule === first.rule)
    printShrunk(await shrink(options, fails), first)
    return false
  }
  if (!order.twice) return true
  const again = await told(options)
  if (again.hash === outcome.hash) return true
  console.error(`The second time it went another way: ${commandOf(options)} --twice`)
  return false
}

/** Likewise, in a process of its own: what its peers took is free again afterwards. */
async function tellApart(options: SimOptions, order: Order): Promise<boolean> {
  const { twice, shrink, stacks, json } = order
  const switches = Object.entries({ twice, 'no-shrink': !shrink, stacks, json })
  const flags = switches.flatMap(([name, isOn]) => (isOn ? [`--${name}`] : []))
  const args = [import.meta.filename, ...argsOf(options), ...flags]
  const child = spawn(process.execPath, [...process.execArgv, ...args], { stdio: 'inherit' })
  const [status] = await once(child, 'exit')
  return status === 0
}

async function main(order: Order): Promise<boolean> {
  if (order.help) {
    console.log(HELP)
    return true
  }
  // Where an error comes from costs more than all that the peer does with it.
  if (!order.stacks) Error.stackTraceLimit = 0
  if (order.real !== undefined) {
    const outcome = await runReal(order.real)
    printReal(outcome, order.json)
    return outcome.violations.length === 0
  }
  const [first, ...others] = order.stories
  if (first !== undefined && others.length === 0) return await tell(first, order)
  const failed: SimOptions[] = []
  for (const options of order.stories) if (!(await tellApart(options, order))) failed.push(options)
  if (!order.json) printSummary(order.stories.length, failed)
  return failed.length === 0
}

try {
  process.exitCode = (await main(readOrder(process.argv.slice(2)))) ? 0 : 1
} catch (error) {
  if (!(error instanceof InvalidError)) throw error
  console.error(`${error.message}\nnpm run sim -- --help shows what there is.`)
  process.exitCode = 2
}
