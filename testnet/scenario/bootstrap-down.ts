import { judgeReceipts, providers, type Scene, undisturbed } from './scene.ts'
import { GATEWAY, gatewayPlan } from './stage.ts'

const DOOR = 'bootstrap'

/** The peer through which all others joined is gone for good. */
export async function bootstrapDown(scene: Scene): Promise<void> {
  const { stage, findings } = scene
  await stage.add(gatewayPlan({ name: DOOR }), { through: [] })
  const through = [DOOR]
  const [first, second, later] = providers(3)
  if (first === undefined || second === undefined || later === undefined) return
  await stage.add(gatewayPlan(), { through })
  await Promise.all([first, second].map((plan) => stage.add(plan, { through })))
  await stage.untilServed(2)
  findings.say(`A gateway and 2 providers found each other through ${DOOR}.`)
  const whole = await undisturbed(scene)
  await stage.peer(DOOR).kill()
  findings.say(`${DOOR} is killed, and does not come back.`)
  const answer = await stage.ask()
  const isSame = answer.error === undefined && answer.text === whole.text
  findings.finds('answers', isSame, answer.error ?? 'Who knows each other works on.')
  await judgeReceipts(scene, answer)
  await stage.peer(first.name).kill()
  findings.say(`${first.name} is killed, and started again with ${DOOR} as its only address.`)
  const began = performance.now()
  await stage.start(first.name)
  await stage.untilServed(2)
  await stage.untilWell(first.name)
  findings.figure('rejoined_ms', performance.now() - began)
  findings.finds('again', true, `${first.name} found the others by what it had written down.`)
  await stage.add(later, { through: [GATEWAY] })
  await stage.untilServed(3)
  await stage.untilWell(later.name)
  findings.finds('newcomer', true, `${later.name} joined through the gateway instead.`)
}
