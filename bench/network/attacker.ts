/** Floods a peer, in a process of its own, or takes as much of the processor as a flood did. */
import { type Flood, type Flooding, flood } from './floods.ts'

export type AttackOrder =
  | { type: 'flood'; flood: Flood; address: string }
  | { type: 'burn'; share: number }
  | { type: 'stop' }

export interface Attacked {
  /** Streams or connections a second. */
  perSecond: number
  /** Of one core. */
  share: number
}

const BURN_EVERY_MS = 10

let flooding: Flooding | undefined
let began = { at: 0, cpu: process.cpuUsage() }

process.on('message', async (order: AttackOrder) => {
  if (order.type === 'stop') {
    const { user, system } = process.cpuUsage(began.cpu)
    const ms = performance.now() - began.at
    const perSecond = ((flooding?.count ?? 0) * 1000) / ms
    await flooding?.stop()
    process.send?.({ perSecond, share: (user + system) / 1000 / ms } satisfies Attacked)
    return
  }
  flooding = order.type === 'flood' ? flood(order.flood, order.address) : burn(order.share)
  began = { at: performance.now(), cpu: process.cpuUsage() }
  process.send?.('begun')
})
process.once('disconnect', () => process.exit())
process.send?.('ready')

/** A part of each hundredth of a second. */
function burn(share: number): Flooding {
  const timer = setInterval(() => {
    const until = performance.now() + share * BURN_EVERY_MS
    while (performance.now() < until);
  }, BURN_EVERY_MS)
  return { count: 0, stop: async () => clearInterval(timer) }
}
