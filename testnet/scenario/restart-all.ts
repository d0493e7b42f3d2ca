import type { Answer } from './answer.ts'
import { checkReceipts } from './receipts-check.ts'
import { assemble, judgeReceipts, providers, type Scene, undisturbed } from './scene.ts'
import { GATEWAY, story } from './stage.ts'

const PROVIDERS = 2
const ANSWERS = 10
const short = { ...story, max_tokens: 60 }

/** Power fails for all of them at once, in the middle of their work. */
export async function restartAll(scene: Scene): Promise<void> {
  const { stage, findings } = scene
  const names = providers(PROVIDERS).map(({ name }) => name)
  await assemble(scene, providers(PROVIDERS))
  const whole = await undisturbed(scene)
  const answers: Answer[] = []
  while (answers.length < ANSWERS) answers.push(await stage.ask(short))
  const told = answers.filter(({ error }) => error === undefined)
  let killing: Promise<unknown> | undefined
  const cut = await stage.ask(story, () => {
    killing ??= Promise.all([GATEWAY, ...names].map((name) => stage.peer(name).kill()))
  })
  await killing
  findings.say(`All are killed in the middle of an answer, after ${told.length} whole ones.`)
  const seen = cut.error === undefined ? 'nothing' : `that it was cut off (${cut.error})`
  findings.finds('cut', cut.error !== undefined, `The client saw ${seen}.`)
  const began = performance.now()
  await stage.start(GATEWAY)
  await Promise.all(names.map((name) => stage.start(name)))
  await stage.untilServed(PROVIDERS)
  for (const name of names) await stage.untilWell(name)
  const ms = Math.round(performance.now() - began)
  findings.say(`All are started again, and answer after ${ms} ms.`)
  findings.figure('restart_ms', ms)
  const problems: string[] = []
  for (const answer of told) {
    const checked = await checkReceipts(stage.gateway, answer, { signal: stage.signal })
    problems.push(...checked.problems)
  }
  const kept = `The receipts of all ${told.length} answers are there, verify and add up.`
  const isKept = told.length === ANSWERS && problems.length === 0
  findings.finds('kept', isKept, problems[0] ?? kept)
  const again = await stage.ask()
  const isSame = again.text === whole.text
  const same = isSame ? 'The same question has the same answer.' : 'It has another answer now.'
  findings.finds('again', isSame, again.error ?? same)
  await judgeReceipts(scene, again)
}
