import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { engineEnvironment } from '../../../src/engines/llama/child-process.ts'
import type { ChatWork } from '../../../src/wire/job.ts'
import { chatJob, collect, supervised, textOf } from './supervised.ts'

const counter = () => join(mkdtempSync(join(tmpdir(), 'pinaivu-')), 'count')

describe('an engine process', () => {
  it('answers, also a request that came before it was ready', async () => {
    await using it = supervised('good')
    const early = collect(it.engine.generate, chatJob('answer'))
    it.supervisor.start()
    expect((await early).map((chunk) => chunk.type)).toEqual([
      'accepted',
      'tokens',
      'tokens',
      'done',
    ])
    expect(it.supervisor.loaded?.slots).toBe(4)
    expect(textOf(await collect(it.engine.generate, chatJob('answer')))).toBe('ab')
  })

  it('is started again when it dies, and a run without a token is repeated once', async () => {
    await using it = supervised('good')
    it.supervisor.start()
    const chunks = await collect(it.engine.generate, chatJob(`crash-before-token|${counter()}`))
    expect(chunks.map((chunk) => chunk.type)).toEqual(['accepted', 'tokens', 'done'])
    expect(textOf(chunks)).toBe('again')
  })

  it('does not repeat a run that kills it each time', async () => {
    await using it = supervised('good')
    it.supervisor.start()
    await expect(collect(it.engine.generate, chatJob('crash-always'))).rejects.toMatchObject({
      code: 'engine_failed',
    })
    expect(textOf(await collect(it.engine.generate, chatJob('answer')))).toBe('ab')
  })

  it('ends a run that had delivered with a typed error, and comes back', async () => {
    await using it = supervised('good')
    const states: string[] = []
    it.supervisor.listen({ onState: (state) => states.push(state) })
    it.supervisor.start()
    await expect(collect(it.engine.generate, chatJob('crash-after-token'))).rejects.toMatchObject({
      code: 'engine_failed',
      message: 'The engine process stopped while it wrote this answer. Ask again.',
    })
    await it.state('ready')
    expect(states).toEqual(['loading', 'ready', 'restarting', 'ready'])
    expect(textOf(await collect(it.engine.generate, chatJob('answer')))).toBe('ab')
  })

  it('comes back although its model could not be loaded again at once', async () => {
    await using it = supervised(`refuse-second|${counter()}`)
    it.supervisor.start()
    await expect(collect(it.engine.generate, chatJob('crash-after-token'))).rejects.toMatchObject({
      code: 'engine_failed',
    })
    expect(textOf(await collect(it.engine.generate, chatJob('answer')))).toBe('ab')
    expect(it.supervisor.failure).toBeUndefined()
  })

  it('hands a typed error of a run through', async () => {
    await using it = supervised('good')
    it.supervisor.start()
    await expect(collect(it.engine.generate, chatJob('fail'))).rejects.toMatchObject({
      code: 'context_length_exceeded',
      param: 'messages',
    })
  })
})

describe('a model that cannot be loaded', () => {
  it('is given up when it kills the process twice', async () => {
    await using it = supervised('crash')
    const waiting = collect(it.engine.generate, chatJob('answer'))
    waiting.catch(() => {})
    it.supervisor.start()
    await it.state('failed')
    expect(it.supervisor.failure?.code).toBe('model_crashes_engine')
    await expect(waiting).rejects.toMatchObject({ code: 'model_failed', param: 'model' })
    await expect(collect(it.engine.generate, chatJob('answer'))).rejects.toMatchObject({
      code: 'model_failed',
    })
  })

  it('gets a second chance', async () => {
    await using it = supervised(`crash-first|${counter()}`)
    it.supervisor.start()
    await it.state('ready')
  })

  it('fails at once when the process says so, without telling where the file lies', async () => {
    await using it = supervised('/home/somebody/refuse')
    it.supervisor.start()
    await it.state('failed')
    expect(it.supervisor.failure).toMatchObject({
      code: 'model_unreadable',
      message: 'refuse is too old.',
    })
  })

  it.each(['hang', 'nonsense'])('is given up when loading ends in %s', async (script) => {
    await using it = supervised(script, { loadSilenceMs: 50 })
    it.supervisor.start()
    await it.state('failed')
    expect(it.supervisor.failure?.code).toBe('model_crashes_engine')
  })

  it('is not given up once it was ready, but tried more and more rarely', async () => {
    await using it = supervised(`crash-after-first|${counter()}`)
    it.supervisor.start()
    await it.state('ready')
    let deaths = 0
    const enough = new Promise<void>((resolve) => {
      it.supervisor.listen({ onLost: () => ++deaths === 4 && resolve() })
    })
    it.supervisor.kill('a test')
    await enough
    expect(it.supervisor.state).toBe('restarting')
  })
})

describe('a run', () => {
  it('is cancelled by its signal and ends with what the process says', async () => {
    await using it = supervised('good')
    it.supervisor.start()
    const abort = new AbortController()
    const chunks = []
    for await (const chunk of it.engine.generate(chatJob('wait'), abort)) {
      chunks.push(chunk)
      if (chunk.type === 'tokens') abort.abort()
    }
    expect(chunks.at(-1)).toEqual({
      type: 'done',
      finish: ['cancelled'],
      usage: { inputTokens: 3, cachedTokens: 0, outputTokens: 1 },
    })
  })

  it('that waits for the model wakes up on abort', async () => {
    await using it = supervised('hang')
    it.supervisor.start()
    const abort = new AbortController()
    const waiting = collect(it.engine.generate, chatJob('answer'), abort.signal)
    abort.abort()
    expect(await waiting).toMatchObject([{ type: 'done', finish: ['cancelled'] }])
  })

  it('ends soon after its abort even when the process is frozen, which is then replaced', async () => {
    await using it = supervised('good', { cancelMs: 50, runSilenceMs: 400 })
    it.supervisor.start()
    await it.state('ready')
    const abort = new AbortController()
    const frozen = collect(it.engine.generate, chatJob('freeze'), abort.signal)
    abort.abort()
    expect(await frozen).toMatchObject([{ type: 'done', finish: ['cancelled'] }])
    await it.state('restarting')
    expect(textOf(await collect(it.engine.generate, chatJob('answer')))).toBe('ab')
  })

  it('is stopped when nobody reads it', async () => {
    await using it = supervised('good', { lagMax: 100 })
    it.supervisor.start()
    const reader = it.engine
      .generate(chatJob('flood|1000'), new AbortController())
      [Symbol.asyncIterator]()
    await reader.next()
    let read = 0
    const readOn = async () => {
      while (!(await reader.next()).done) read++
    }
    await expect(readOn()).rejects.toMatchObject({ code: 'reader_too_slow' })
    expect(read).toBeLessThanOrEqual(101)
    expect(textOf(await collect(it.engine.generate, chatJob('answer')))).toBe('ab')
  })

  it.each([
    [undefined, undefined],
    [0, undefined],
    [1, 'reader_too_slow'],
  ])('holds less for it where tokens come with others (%s)', async (logprobs, code) => {
    await using it = supervised('good', { lagMax: 100, lagWithLogprobsMax: 10 })
    it.supervisor.start()
    const { work } = chatJob('flood|50') as { work: ChatWork }
    const sampling = { ...work.sampling, ...(logprobs !== undefined && { logprobs }) }
    const job = chatJob('', { work: { ...work, sampling } })
    const reader = it.engine.generate(job, new AbortController())[Symbol.asyncIterator]()
    await reader.next()
    const readOn = async () => {
      for (let read = 0; read < 50; read++) await reader.next()
    }
    expect(await readOn().catch((error) => error.code)).toBe(code)
    await reader.return?.()
  })

  it('that answers for a choice nobody asked for costs the process its life', async () => {
    await using it = supervised('good')
    it.supervisor.start()
    await expect(collect(it.engine.generate, chatJob('other-choice'))).rejects.toMatchObject({
      code: 'engine_failed',
    })
  })

  it('ends with a typed error when the peer stops', async () => {
    const it = supervised('good')
    it.supervisor.start()
    const running = collect(it.engine.generate, chatJob('wait'))
    running.catch(() => {})
    await it.state('ready')
    it.engine.stop()
    await it.supervisor.stop()
    await expect(running).rejects.toMatchObject({ code: 'shutting_down' })
    await expect(collect(it.engine.generate, chatJob('wait'))).rejects.toMatchObject({
      code: 'shutting_down',
    })
  })
})

it('ends every run with an answer or a typed error, whenever it is killed', async () => {
  await using it = supervised('good', { backoffMs: 1 })
  it.supervisor.start()
  const endings = []
  for (let round = 0; round < 3; round++) {
    await it.state('ready')
    const runs = ['answer', 'answer', 'answer', 'answer'].map((what) =>
      collect(it.engine.generate, chatJob(what)).then(textOf, (error: unknown) => error),
    )
    process.kill(Number(it.supervisor.pid), 'SIGKILL')
    await it.state('restarting')
    endings.push(...(await Promise.all(runs)))
  }
  expect(endings).toHaveLength(12)
  for (const ending of endings) {
    if (ending !== 'ab') expect(ending).toMatchObject({ code: 'engine_failed' })
  }
})

it('calibrates, and passes its result on', async () => {
  await using it = supervised('good')
  it.supervisor.start()
  await it.state('ready')
  expect(await it.engine.calibrate()).toMatchObject({ slots: 2, threads: 1 })
})

it('hands on what a compute library needs of the environment, and no secrets', () => {
  const env = {
    PATH: '/bin',
    CUDA_VISIBLE_DEVICES: '0',
    PINAIVU_API_KEY: 'secret',
    HF_TOKEN: 'secret',
    NODE_OPTIONS: '--inspect',
    HOME: undefined,
  }
  expect(engineEnvironment(env)).toEqual({ PATH: '/bin', CUDA_VISIBLE_DEVICES: '0' })
})
