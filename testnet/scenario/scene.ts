import { PeerError, type Random } from '../../src/index.ts'
import type { PeerPlan } from '../plan.ts'
import type { Answer } from './answer.ts'
import type { Findings } from './findings.ts'
import type { Lan, Machine } from './lan.ts'
import { checkReceipts } from './receipts-check.ts'
import { CREDIT, gatewayPlan, providerPlan, type Stage, story } from './stage.ts'

/** What a scenario has to work with. */
export interface Scene {
  stage: Stage
  findings: Findings
  random: Random
  /** Undefined where there may be none: peers then stand still instead. */
  lan: Lan | undefined
}

/** A peer that is told of by name, and its machine if it has one of its own. */
export type Machines = ReadonlyMap<string, Machine>

/** A gateway, and peers that join through it; on machines of their own where that can be. */
export async function assemble(
  { stage, findings, lan }: Scene,
  plans: readonly PeerPlan[],
): Promise<Machines> {
  const machines = new Map<string, Machine>()
  await stage.add(gatewayPlan(lan && { host: lan.host }), { through: [] })
  const joining = plans.map(async (plan) => {
    const machine = await lan?.machine()
    if (machine === undefined) return await stage.add(plan)
    machines.set(plan.name, machine)
    return await stage.add({ ...plan, host: machine.host }, { prefix: machine.prefix })
  })
  await Promise.all(joining)
  const providers = plans.filter(({ serves }) => serves)
  await stage.untilServed(providers.length)
  for (const { name } of providers) await stage.untilWell(name, CREDIT)
  const others = plans.flatMap(({ name, serves }) => (serves ? [] : [`, an ${name}`]))
  findings.say(`A gateway, ${providers.length} providers${others.join('')} run, and are known.`)
  return machines
}

export const providers = (count: number, more: Partial<PeerPlan> = {}): PeerPlan[] =>
  Array.from({ length: count }, (_, at) => providerPlan(`provider-${at + 1}`, more))

/** What the client gets when nothing happens. */
export async function undisturbed({ stage, findings }: Scene, body: object = story) {
  const answer = await stage.ask(body)
  if (answer.error !== undefined) throw new PeerError('scenario_stuck', answer.error)
  const whole = `${answer.outputTokens} tokens in ${Math.round(answer.totalMs)} ms`
  findings.say(`Undisturbed, ${stage.nameOf(answer.nodes[0])} answers: ${whole}.`)
  findings.figure('undisturbed_ms', answer.totalMs)
  return answer
}

/** The same answer, in the middle of which something happens to the peer that writes it. */
export async function disturbed(
  { stage, random }: Scene,
  whole: Answer,
  strike: (name: string) => void,
): Promise<{ answer: Answer; victim: string }> {
  // Somewhere in the middle half: its provider is not at the end yet, for sure.
  const behind = Math.ceil(whole.text.length * (1 / 4 + random.below(1000) / 2000))
  let victim = ''
  const answer = await stage.ask(story, ({ text, nodes }) => {
    if (victim !== '' || text.length < behind) return
    victim = stage.nameOf(nodes[0])
    strike(victim)
  })
  if (victim === '') throw new PeerError('scenario_stuck', answer.error ?? 'It ended too early.')
  return { answer, victim }
}

/** Within which another has to be asked. */
export const noticedMs = { killed: 250, silent: 3_500 }
/** What other work of the machine may add. */
const BUSY_MS = 1_000

/** What it takes until one that was lost does its part again, from when it can. */
export async function cameBack(
  { stage, findings }: Scene,
  name: string,
  come: () => unknown,
): Promise<void> {
  const began = performance.now()
  await come()
  await stage.untilWell(name)
  const ms = Math.round(performance.now() - began)
  findings.finds('back', true, `${name} answers again, after ${ms} ms.`)
  findings.figure('back_ms', ms)
}

/** Holds what a client got against what it gets when nothing happens. */
export async function judge(
  { stage, findings }: Scene,
  { whole, answer, stallMs }: { whole: Answer; answer: Answer; stallMs: number },
): Promise<void> {
  const { error, resumed, nodes, text, stall, takeoverMs, outputTokens } = answer
  const names = nodes.map((node) => stage.nameOf(node))
  findings.finds('answer', error === undefined, error ?? 'The client got its answer to the end.')
  const isSame = text === whole.text
  const said = isSame ? 'is' : 'is not'
  findings.finds('text', isSame, `The text ${said} that of the undisturbed answer.`)
  const often = resumed === 1 ? 'once' : `${resumed} times`
  const went = `Another went on ${often}: ${names.join(', then ')}.`
  findings.finds('resumed', resumed > 0, went)
  const pause = `The longest pause was ${Math.round(stall.ms)} ms, ${Math.round(takeoverMs)} of them`
  const isSoon = stall.ms <= stallMs + takeoverMs + BUSY_MS
  const first = 'from asking the next provider to its first token'
  const allowed = `${stallMs} are allowed to notice, ${BUSY_MS} for other work of the machine`
  findings.finds('stall', isSoon, `${pause} ${first}; ${allowed}.`)
  findings.figure('stall_ms', stall.ms)
  findings.figure('takeover_ms', takeoverMs)
  findings.figure('output_tokens', outputTokens)
  findings.figure('resumed', resumed)
  await judgeReceipts({ stage, findings }, answer)
}

/** What the log says of it. */
export async function judgeReceipts(
  { stage, findings }: Pick<Scene, 'stage' | 'findings'>,
  answer: Answer,
): Promise<void> {
  const checked = await checkReceipts(stage.gateway, answer, { signal: stage.signal })
  const { problems, parts, amount } = checked
  const each = parts.map(
    (part) => `${stage.nameOf(part.node)} ${part.outputTokens} tokens for ${part.amount}`,
  )
  const sums = `${each.join(', ')}; together ${answer.outputTokens} for ${amount} micro-credits`
  const says = problems[0] ?? `The receipts verify and add up: ${sums}.`
  findings.finds('receipts', problems.length === 0, says)
  findings.figure('parts', parts.length)
  findings.figure('amount', amount)
}
