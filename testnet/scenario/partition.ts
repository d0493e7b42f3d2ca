import type { PeerPlan } from '../plan.ts'
import type { Side } from './lan.ts'
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
import { GATEWAY, type Stage } from './stage.ts'

/** After 30 s of silence it is gone for the others. */
const GONE_MS = 60_000
/** An archive asks for what it missed twice a minute. */
const SETTLED_MS = 90_000

const archive: PeerPlan = { name: 'archive', region: undefined, roles: ['archive'], serves: false }

/** Two sides that hear nothing of each other for a while, each with a part of the work. */
export async function partition(scene: Scene): Promise<void> {
  const { stage, findings } = scene
  const plans = [...providers(2), archive]
  const machines = await assemble(scene, plans)
  const whole = await undisturbed(scene)
  const cables: Promise<void>[] = []
  const move = (name: string, side: Side) => {
    const machine = machines.get(name)
    if (machine !== undefined) cables.push(machine.plugInto(side))
    else if (side === 'far') stage.peer(name).freeze()
    else stage.peer(name).thaw()
  }
  const { answer, victim } = await disturbed(scene, whole, (name) => {
    const what = machines.size > 0 ? 'are cut off from the others' : 'stand still'
    findings.say(`${name}, amid its answer, and the archive ${what}.`)
    for (const far of [name, archive.name]) move(far, 'far')
  })
  await Promise.all(cables.splice(0))
  await judge(scene, { whole, answer, stallMs: noticedMs.silent })
  await lost(stage, [victim, archive.name])
  findings.say('The gateway lists them no more.')
  const { error, nodes } = await stage.ask()
  findings.finds('meanwhile', error === undefined, error ?? `${stage.nameOf(nodes[0])} answers.`)
  findings.say(machines.size > 0 ? 'They are together again.' : 'They go on.')
  await cameBack(scene, victim, async () => {
    for (const far of [victim, archive.name]) move(far, 'near')
    await Promise.all(cables)
  })
  const names = [GATEWAY, ...plans.filter(({ serves }) => serves).map(({ name }) => name)]
  await agreed(stage, names)
  findings.finds('logs', true, 'The archive has the whole log of each.')
}

async function lost(stage: Stage, names: readonly string[]): Promise<void> {
  const ids = names.map((name) => stage.ready(name).peerId)
  await stage.until('a list without them', GONE_MS, async () => {
    const { data } = (await stage.get('/v8/network/peers')) as { data: { node: string }[] }
    return data.some(({ node }) => ids.includes(node)) ? undefined : true
  })
}

interface Head {
  author: string
  epoch: string
  size: number
  root: string
}

/** Until the archive shows of each what it shows of itself. */
async function agreed(stage: Stage, names: readonly string[]): Promise<void> {
  const heads = async (of: string, author: string): Promise<string> => {
    const { data } = (await stage.get('/v8/log/heads', of)) as { data: Head[] }
    const { peerId } = stage.ready(author)
    const own = data.filter((head) => head.author === peerId)
    return JSON.stringify(own.map(({ epoch, size, root }) => [epoch, size, root]))
  }
  for (const name of names) {
    await stage.until(`the log of ${name} in the archive`, SETTLED_MS, async () => {
      const own = await heads(name, name)
      return own !== '[]' && own === (await heads(archive.name, name)) ? true : undefined
    })
  }
}
