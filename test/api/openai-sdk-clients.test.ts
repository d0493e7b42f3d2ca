import { afterAll, beforeAll, beforeEach } from 'vitest'
import { openaiClientSuite } from './openai-client-suite.ts'
import { startTestApi, type TestApi } from './openai-server.ts'
import { endless, talk } from './scripted-engine.ts'

let api: TestApi

beforeAll(async () => {
  api = await startTestApi()
})

beforeEach(() => {
  // Without a limit on its length an answer goes on until its reader has enough.
  api.engine.script = (job, signal) =>
    job.work.kind !== 'chat' || job.work.sampling.maxTokens !== undefined
      ? talk(job, signal)
      : endless(job, signal)
})

afterAll(() => api.stop())

openaiClientSuite(() => api)
