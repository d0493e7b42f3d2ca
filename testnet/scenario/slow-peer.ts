import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../../src/index.ts'
import type { Answer } from './answer.ts'
import type { Machine } from './lan.ts'
import { assemble, judgeReceipts, providers, type Scene, undisturbed } from './scene.ts'
import { story } from './stage.ts'

const PROVIDERS = 3
const ANSWERS = 30
/** By then its measured speed counts for more than what it said of itself. */
const LEARNT = 10
const short = { ...story, max_tokens: 60 }
const cable = { delayMs: 150, lossPercent: 5 }
/** Without a network of its own: it stands still for most of the time. */
const STILL_MS = 200
const AWAKE_MS = 50

/** Of three the one that would be asked first becomes far slower than the others. */
export async function slowPeer(scene: Scene): Promise<void> {
  const { stage, findings } = scene
  const machines = await assemble(scene, providers(PROVIDERS))
  // How fast each of them is, the gateway has to know first: it gives one that it does not know little.
  for (const { name } of providers(PROVIDERS)) {
    await stage.ask({ ...short, node: { only: [stage.ready(name).peerId] } })
  }
  const whole = await undisturbed(scene, short)
  const end = new AbortController()
  const slow = stage.nameOf(whole.nodes[0])
  const isFar = await worsened(scene, slow, machines.get(slow))
  const stuttering = isFar ? undefined : stutter(scene, slow, end.signal)
  const answers: Answer[] = []
  try {
    while (answers.length < ANSWERS) answers.push(await stage.ask(short))
  } finally {
    end.abort()
    await stuttering
  }
  const failed = answers.filter(({ error, text }) => error !== undefined || text !== whole.text)
  const wrong = failed[0]?.error ?? `${failed.length} answers are not what they should be`
  const isRight = failed.length === 0
  findings.finds('answers', isRight, isRight ? `All ${ANSWERS} answers are right.` : `${wrong}.`)
  const later = answers.slice(LEARNT)
  const bySlow = (of: readonly Answer[]) =>
    of.filter(({ nodes }) => stage.nameOf(nodes[0]) === slow).length
  const share = bySlow(later) / later.length
  const first = bySlow(answers.slice(0, LEARNT))
  const says = `${slow} was given ${first} of the first ${LEARNT}, ${bySlow(later)} of the others.`
  findings.finds('share', share < 1 / PROVIDERS, says)
  findings.figure('slow_share_percent', 100 * share)
  findings.figure('median_ms', median(later.map(({ totalMs }) => totalMs)))
  findings.figure('slowest_ms', Math.max(...answers.map(({ totalMs }) => totalMs)))
  const last = answers.at(-1)
  if (last !== undefined) await judgeReceipts(scene, last)
}

/** Its cable is made bad where that can be; false where not. */
async function worsened(
  { findings }: Scene,
  name: string,
  machine: Machine | undefined,
): Promise<boolean> {
  const { delayMs, lossPercent } = cable
  if (machine === undefined) return false
  try {
    await machine.worsen(cable)
    findings.say(`Each packet of ${name} takes ${delayMs} ms, and ${lossPercent} % are lost.`)
    return true
  } catch (error) {
    findings.say(`No packets can be delayed or lost here (${messageOf(error)}).`)
    return false
  }
}

/** Now still, now not. */
async function stutter(
  { stage, findings }: Scene,
  name: string,
  signal: AbortSignal,
): Promise<void> {
  const peer = stage.peer(name)
  findings.say(`${name} stands still for ${STILL_MS} of each ${STILL_MS + AWAKE_MS} ms.`)
  const pause = (ms: number) => sleep(ms, undefined, { signal }).catch(() => {})
  while (!signal.aborted) {
    peer.freeze()
    await pause(STILL_MS)
    peer.thaw()
    await pause(AWAKE_MS)
  }
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
