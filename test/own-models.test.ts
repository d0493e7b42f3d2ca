import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { systemClock } from '../src/base/clock.ts'
import { ModelFolder } from '../src/engines/store/model-folder.ts'
import { OwnModels } from '../src/own-models.ts'
import { writePeerInfo } from '../src/peer-file.ts'

const uriOf = (name: string) => `hf:org/${name}:Q8_0`

/** A data folder with models of no bytes to speak of. */
async function stage(...names: string[]) {
  const dataDir = mkdtempSync(join(tmpdir(), 'pinaivu-own-'))
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }))
  const folder = new ModelFolder(join(dataDir, 'models'), systemClock)
  const { signal } = new AbortController()
  const paths: string[] = []
  for (const name of names) {
    const uri = uriOf(name)
    writeFileSync(join(await folder.begin({ name, uri }), 'm.gguf'), 'GGUF')
    const files = [{ name: 'm.gguf', sizeBytes: 4, sha256: 'a'.repeat(64) }]
    paths.push((await folder.finish({ name, uri, files, id: 'cid:x', pulledAt: 0 }, signal)).path)
  }
  const models = new OwnModels({ dataDir, modelQuota: undefined }, { env: {} })
  const left = () => readdirSync(folder.root).filter((name) => name !== '.locks')
  return { dataDir, folder, models, paths, left }
}

const peer = { version: '0', peerId: 'x', pid: process.pid, http: null, certFile: null }

describe('models rm', () => {
  it('looks at whole names of folders for what the running peer serves, also behind a link', async () => {
    const { dataDir, models, paths, left } = await stage('phi', 'phi-4')
    await writePeerInfo(dataDir, { ...peer, files: [paths[1] ?? ''] })
    const link = `${dataDir}-link`
    symlinkSync(dataDir, link)
    onTestFinished(() => rmSync(link))
    const linked = new OwnModels({ dataDir: link, modelQuota: undefined }, { env: {} })
    await expect(linked.remove('phi-4')).rejects.toMatchObject({ code: 'model_in_use' })
    await models.remove('phi')
    expect(left()).toEqual(['.pulling', 'phi-4'])
  })

  it('twice at once: one removes it, the other says that there is none', async () => {
    const { models, left } = await stage('phi')
    const both = await Promise.allSettled([models.remove('phi'), models.remove('phi')])
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    const failed = both.find((each) => each.status === 'rejected')
    expect(failed?.reason).toMatchObject({ code: 'model_not_stored' })
    expect(left()).toEqual(['.pulling'])
  })

  it('removes with a damaged model what another pull of it has left', async () => {
    const { folder, models, paths } = await stage('phi')
    writeFileSync(paths[0] ?? '', '')
    mkdirSync(await folder.begin({ name: 'phi', uri: uriOf('phi'), sizeBytes: 4 }), {
      recursive: true,
    })
    await models.remove('phi')
    expect([await folder.list(), await folder.unfinished()]).toEqual([[], []])
  })
})
