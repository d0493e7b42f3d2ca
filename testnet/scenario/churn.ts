import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../../src/index.ts'
import type { Answer } from './answer.ts'
import { checkReceipts } from './receipts-check.ts'
import { assemble, providers, type Scene, undisturbed } from './scene.ts'
import { story } from './stage.ts'

const PROVIDERS = 4
/** Never fewer are well. */
const WELL_MIN = 2
const CLIENTS = 2
/** One in so many that leaves is in the middle of an answer. */
const AT_WORK_OF = 2
const LASTS_MS = 30_000
const PAUSE_MS_MIN = 500
const PAUSE_MS_MAX = 3_000

type State = 'well' | 'killed' | 'stopped' | 'frozen'
const ways: readonly Exclude<State, 'well'>[] = ['killed', 'stopped', 'frozen']

/** Providers come and go, in every manner, while clients ask without a break. */
export async function churn(scene: Scene): Promise<void> {
  const { stage, findings } = scene
  const names = providers(PROVIDERS).map(({ name }) => name)
  await assemble(scene, providers(PROVIDERS))
  const whole = await undisturbed(scene)
  const answers: Answer[] = []
  const over = new AbortController()
  /** Whom each client has its last word of. */
  const heard = names.slice(0, CLIENTS)
  const ask = async (_: unknown, client: number) => {
    while (!over.signal.aborted) {
      const answer = await stage.ask(story, ({ nodes }) => {
        heard[client] = stage.nameOf(nodes[0])
      })
      answers.push(answer)
    }
  }
  const asking = Array.from({ length: CLIENTS }, ask)
  const states = new Map<string, State>(names.map((name) => [name, 'well']))
  const changes = await comeAndGo(scene, states, heard).finally(() => over.abort())
  await Promise.all(asking)
  for (const name of names) await revive(scene, states, name)
  await stage.untilServed(PROVIDERS)
  findings.say(`${changes} times one went or came. All are back.`)
  findings.figure('changes', changes)
  await judgeAll(scene, whole.text, answers)
}

async function comeAndGo(
  scene: Scene,
  states: Map<string, State>,
  heard: readonly string[],
): Promise<number> {
  const { stage, random } = scene
  const until = performance.now() + LASTS_MS
  let changes = 0
  while (performance.now() < until) {
    const isAtWork = random.below(AT_WORK_OF) === 0
    const name = drawn(isAtWork ? heard : [...states.keys()], random)
    const isWell = states.get(name) === 'well'
    const well = [...states.values()].filter((state) => state === 'well').length
    if (!isWell || well > WELL_MIN) {
      if (isWell) await strike(scene, states, name)
      else await revive(scene, states, name)
      changes++
    }
    const pause = PAUSE_MS_MIN + random.below(PAUSE_MS_MAX - PAUSE_MS_MIN)
    await sleep(pause, undefined, { signal: stage.signal })
  }
  return changes
}

const drawn = <T extends string>(from: readonly T[], { below }: Random): T =>
  from[below(from.length)] as T

async function strike(
  { stage, findings, random }: Scene,
  states: Map<string, State>,
  name: string,
): Promise<void> {
  const way = drawn(ways, random)
  findings.say(`${name} is ${way}.`)
  states.set(name, way)
  if (way === 'killed') await stage.peer(name).kill()
  if (way === 'stopped') await stage.peer(name).stop()
  if (way === 'frozen') stage.peer(name).freeze()
}

async function revive(
  { stage, findings }: Scene,
  states: Map<string, State>,
  name: string,
): Promise<void> {
  const state = states.get(name)
  if (state === 'well') return
  states.set(name, 'well')
  if (state === 'frozen') stage.peer(name).thaw()
  else await stage.start(name)
  findings.say(`${name} is back.`)
}

async function judgeAll(
  { stage, findings }: Scene,
  text: string,
  answers: readonly Answer[],
): Promise<void> {
  const failed = answers.flatMap(({ error }) => error ?? [])
  const all = `All ${answers.length} answers came to their end.`
  const some = `${failed.length} of ${answers.length} failed: ${failed[0]}.`
  findings.finds('answers', failed.length === 0, failed.length === 0 ? all : some)
  const others = answers.filter((answer) => answer.error === undefined && answer.text !== text)
  const same = others.length === 0 ? 'Each has' : `${others.length} do not have`
  findings.finds('text', others.length === 0, `${same} the text of the undisturbed answer.`)
  const resumed = answers.filter((answer) => answer.resumed > 0)
  const problems: string[] = []
  for (const answer of answers.filter(({ error }) => error === undefined)) {
    const checked = await checkReceipts(stage.gateway, answer, { signal: stage.signal })
    problems.push(...checked.problems)
  }
  const sound = `Their receipts verify and add up; in ${resumed.length} answers another went on.`
  findings.finds('receipts', problems.length === 0, problems[0] ?? sound)
  findings.figure('answers', answers.length)
  findings.figure('resumed', resumed.length)
  findings.figure('failed', failed.length)
  findings.figure('longest_stall_ms', Math.max(0, ...answers.map(({ stall }) => stall.ms)))
}
