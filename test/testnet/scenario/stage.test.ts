import { fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { GATEWAY, gatewayPlan, Stage } from '../../../testnet/scenario/stage.ts'
import { isRunning, untilGone } from '../pids.ts'

// With a small program in place of the peer's.

const programPath = join(import.meta.dirname, '../fake-peer.ts')

async function opened() {
  const downs: string[] = []
  const down = Promise.withResolvers<void>()
  const stage = new Stage({
    ...{ programPath, env: process.env, signal: new AbortController().signal },
    onDown: (name, reason) => {
      downs.push(`${name}: ${reason}`)
      down.resolve()
    },
  })
  onTestFinished(() => stage.close())
  await stage.open()
  await stage.add(gatewayPlan(), { through: [] })
  return { stage, downs, down: down.promise }
}

const hasProc = existsSync('/proc/self/stat')

/** As the kernel shows it: T is of one that stands still. */
const stateOf = (pid: number): string =>
  /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1] ?? ''

describe('a stage', () => {
  it('tells of peers that end by themselves, and not of those that it ends', async () => {
    const { stage, downs, down } = await opened()
    await stage.peer(GATEWAY).kill()
    expect(downs).toEqual([])
    await stage.start(GATEWAY)
    process.kill(stage.peer(GATEWAY).pid ?? 0, 'SIGKILL')
    await down
    expect(downs).toEqual([`${GATEWAY}: signal SIGKILL`])
    await expect(stage.providers()).rejects.toMatchObject({
      ...{ code: 'scenario_stuck', message: `${GATEWAY} does not answer /v1/models.` },
    })
  })

  it.runIf(hasProc)('has peers that stand still, and go on', async () => {
    const { stage } = await opened()
    const peer = stage.peer(GATEWAY)
    const pid = peer.pid ?? 0
    peer.freeze()
    await expect.poll(() => stateOf(pid)).toBe('T')
    peer.thaw()
    await expect.poll(() => stateOf(pid)).not.toBe('T')
    peer.freeze()
    await stage.close()
    expect(isRunning(pid)).toBe(false)
    expect(existsSync(stage.dir)).toBe(false)
  })

  it.runIf(hasProc)('leaves nobody behind that stands still', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'pinaivu-test-'))
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
    const owner = fork(join(import.meta.dirname, 'stage-owner.ts'), [programPath, dir])
    const [pid] = (await once(owner, 'message')) as [number]
    await expect.poll(() => stateOf(pid)).toBe('T')
    owner.kill('SIGKILL')
    await untilGone([pid])
  })
})
