import {
  assemble,
  cameBack,
  disturbed,
  judge,
  noticedMs,
  providers,
  type Scene,
  undisturbed,
} from './scene.ts'

const PROVIDERS = 2

/** SIGKILL: its connections end with it. */
export async function killProvider(scene: Scene): Promise<void> {
  const { stage, findings } = scene
  await assemble(scene, providers(PROVIDERS))
  const whole = await undisturbed(scene)
  let ended: Promise<void> | undefined
  const { answer, victim } = await disturbed(scene, whole, (name) => {
    findings.say(`${name} is killed in the middle of its answer.`)
    ended = stage.peer(name).kill()
  })
  await ended
  await judge(scene, { whole, answer, stallMs: noticedMs.killed })
  findings.say(`${victim} is started again.`)
  await cameBack(scene, victim, () => stage.start(victim))
}

/** SIGSTOP: its connections stay, and nothing comes. */
export async function freezeProvider(scene: Scene): Promise<void> {
  const { stage, findings } = scene
  await assemble(scene, providers(PROVIDERS))
  const whole = await undisturbed(scene)
  const { answer, victim } = await disturbed(scene, whole, (name) => {
    findings.say(`${name} stands still in the middle of its answer.`)
    stage.peer(name).freeze()
  })
  await judge(scene, { whole, answer, stallMs: noticedMs.silent })
  findings.say(`${victim} goes on.`)
  await cameBack(scene, victim, () => stage.peer(victim).thaw())
}
