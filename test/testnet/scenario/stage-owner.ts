import { GATEWAY, gatewayPlan, Stage } from '../../../testnet/scenario/stage.ts'

// Has a peer that stands still, and is killed by the test.

const [programPath = '', dir = ''] = process.argv.slice(2)
const { signal } = new AbortController()
const stage = new Stage({ programPath, dir, env: process.env, signal })
await stage.open()
await stage.add(gatewayPlan(), { through: [] })
stage.peer(GATEWAY).freeze()
process.send?.(stage.peer(GATEWAY).pid)
