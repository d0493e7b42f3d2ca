import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { seededRandom } from '../../src/base/random.ts'
import { rounds } from '../campaign.ts'
import { fakeHub, ggufLike, sha256 } from '../engines/store/fake-hub.ts'
import { ask, program, runProgram, startPeer, temporaryFolder } from './peer-process.ts'

const models = join(import.meta.dirname, '../../models')
const demo = readFileSync(join(models, 'pinaivu-demo-q8_0.gguf'))
const draft = readFileSync(join(models, 'pinaivu-demo-draft-q8_0.gguf'))

function dataFolder(): string {
  const { path, remove } = temporaryFolder()
  onTestFinished(remove)
  return path
}

describe('a peer with a model from the hub', () => {
  it('pulls it, serves it by its names, and needs no hub the next time', async () => {
    const hub = await fakeHub(
      {
        id: 'bartowski/Llama-3.2-1B-Instruct-GGUF',
        files: [{ path: 'Llama-3.2-1B-Instruct-Q8_0.gguf', bytes: demo }],
      },
      { id: 'org/Small-GGUF', files: [{ path: 'Small-Q8_0.gguf', bytes: draft }] },
    )
    const dataDir = dataFolder()
    const args = ['--model', 'llama3.2:1b', '--draft', 'llama3.2:1b=hf:org/Small-GGUF:Q8_0']
    const options = { dataDir, args }
    const env = { HF_ENDPOINT: hub.url }
    const first = await startPeer({ ...options, env })
    expect(first.ready.models).toEqual(['llama3.2:1b'])
    await first.event((event) => event.event === 'model' && event.state === 'ready')
    const done = await first.event((event) => event.type === 'progress')
    expect(done).toMatchObject({ event: 'pull', name: 'llama3.2:1b' })
    const answer = await ask(first.ready, '/v1/chat/completions', {
      ...{ model: 'llama3.2:1b', max_tokens: 5 },
      messages: [{ role: 'user', content: 'Hello' }],
    })
    expect(answer.status).toBe(200)
    const busy = await runProgram(['models', 'rm', 'llama3.2:1b', '--data-dir', dataDir])
    expect([busy.code, busy.stderr]).toEqual([1, expect.stringMatching(/serves llama3\.2:1b/)])
    const drafter = await runProgram(['models', 'rm', 'Small-Q8_0', '--data-dir', dataDir])
    expect([drafter.code, drafter.stderr]).toEqual([1, expect.stringMatching(/serves Small-Q8_0/)])
    const listed = await ask(first.ready, '/v1/models')
    const { data } = (await listed.json()) as { data: { id: string; content_id?: string }[] }
    expect(data[0]?.content_id).toMatch(/^cid:bafkrei/)
    expect(await first.stop()).toBe(0)
    hub.stop()
    const second = await startPeer({ ...options, env })
    await second.event((event) => event.event === 'model' && event.state === 'ready')
    expect(await second.stop()).toBe(0)
    const other = await fakeHub({ id: 'o/r', files: [{ path: 'm-Q8_0.gguf', bytes: draft }] })
    // Two processes at once: one fetches it, and the other waits for that.
    const pull = ['models', 'pull', 'hf:o/r:Q8_0', '--json', '--data-dir', dataDir]
    const both = await Promise.all(
      [1, 2].map(() => runProgram(pull, { env: { HF_ENDPOINT: other.url } })),
    )
    expect(both.map(({ code, stderr }) => [code, stderr])).toEqual([
      [0, ''],
      [0, ''],
    ])
    expect(other.of('cdn').length).toBe(1)
    const why = await runProgram(
      ['start', '--model', 'hf:org/Other-GGUF:Q8_0', '--data-dir', dataDir, '--http', 'off'],
      { env: { HF_ENDPOINT: other.url } },
    )
    expect([why.code, why.stderr]).toEqual([
      1,
      expect.stringMatching(
        /^Error: hf:org\/Other-GGUF:Q8_0 cannot be fetched: There is no org\/Other-GGUF on/m,
      ),
    ])
  })
})

describe('SIGKILL in the midst of a pull', () => {
  it('leaves what the next pull goes on with, and nothing that looks whole', async () => {
    const random = seededRandom(Number(process.env.PINAIVU_SEED ?? 7))
    const bytes = ggufLike(3_000_000)
    const draw = (below: number) => random.below(below)
    const hub = await fakeHub({ id: 'o/r', files: [] })
    const dataDir = dataFolder()
    const args = ['models', 'pull', 'hf:o/r:Q8_0', '--json', '--data-dir', dataDir]
    for (let round = 0; round < rounds(1, 100); round++) {
      hub.repos = [
        { id: 'o/r', files: [{ path: 'm-Q8_0.gguf', bytes: round % 2 ? bytes : draft }] },
      ]
      const wanted = hub.repos[0]?.files[0]?.bytes ?? bytes
      hub.faults = draw(3) > 0 ? [{ hangAfter: draw(wanted.length) }] : []
      await killed(args, hub.url, { lines: 1 + draw(3), ms: draw(60) })
      hub.faults = []
      const kept = readdirSync(join(dataDir, 'models'), { recursive: true, encoding: 'utf8' })
      const list = await runProgram(['models', 'list', '--json', '--data-dir', dataDir])
      expect(list.code).toBe(0)
      for (const each of JSON.parse(list.stdout)) {
        if (each.state !== 'stored') continue
        expect(sha256(readFileSync(each.path))).toBe(sha256(wanted))
      }
      expect(kept.filter((path) => /^[^.].*\.part/.test(path))).toEqual([])
      // Random bytes are no model: that is said, and nothing of them is left.
      const { code, stderr } = await runProgram(args, { env: { HF_ENDPOINT: hub.url } })
      if (wanted === draft) {
        const [found] = JSON.parse(
          (await runProgram(['models', 'list', '--json', '--data-dir', dataDir])).stdout,
        )
        expect([code, stderr, sha256(readFileSync(found.path))]).toEqual([0, '', sha256(draft)])
        const removed = await runProgram(['models', 'rm', 'r-Q8_0', '--data-dir', dataDir])
        expect([removed.code, removed.stderr]).toEqual([0, ''])
      } else expect([code, stderr]).toEqual([1, expect.stringMatching(/is not a usable model/)])
      const left = readdirSync(join(dataDir, 'models'), { recursive: true, encoding: 'utf8' })
      expect(left.filter((path) => !path.startsWith('.locks')).sort()).toEqual(['.pulling'])
    }
  })
})

/** Runs the program until it has said so many lines, and ends it a moment later. */
async function killed(args: string[], hub: string, at: { lines: number; ms: number }) {
  const child = spawn(process.execPath, [program, ...args], {
    env: { PATH: process.env.PATH ?? '', HF_ENDPOINT: hub },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const exited = new Promise((resolve) => child.once('exit', resolve))
  let lines = 0
  const first = Promise.withResolvers<void>()
  const enough = new Promise<void>((resolve) => {
    createInterface({ input: child.stdout }).on('line', () => {
      lines += 1
      first.resolve()
      if (lines >= at.lines) resolve()
    })
  })
  await Promise.race([first.promise, exited])
  // One whose server has fallen silent says no more.
  await Promise.race([enough, exited, delay(700)])
  await Promise.race([delay(at.ms), exited])
  child.kill('SIGKILL')
  await exited
}
