import { mkdtempSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { aliasTable } from '../../src/engines/aliases.ts'
import { fileIdentity, findModels } from '../../src/engines/model-store.ts'

const folder = mkdtempSync(join(tmpdir(), 'pinaivu-'))
const file = (name: string, content: string) => {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}

describe('findModels', () => {
  it('finds the demo models that come with the package', async () => {
    const found = await findModels({ models: [], demo: true })
    const files = found.map(({ name, path, draft = '', demo }) => [
      ...[name, basename(path), basename(draft), demo],
    ])
    expect(files).toEqual([
      ['pinaivu-demo', 'pinaivu-demo-q8_0.gguf', 'pinaivu-demo-draft-q8_0.gguf', true],
      ['pinaivu-demo-embed', 'pinaivu-demo-embed-q8_0.gguf', '', true],
    ])
  })

  it('takes a .gguf file, and any file that begins like one', async () => {
    const models = [
      { name: 'a', path: file('a.gguf', '') },
      { name: 'b', path: file('sha256-0123', 'GGUF...') },
    ]
    expect(await findModels({ models, demo: false })).toEqual(
      models.map((model) => ({ ...model, demo: false })),
    )
  })

  it.each([
    ['a file that is not there', join(folder, 'none.gguf'), /Cannot read .*none\.gguf: ENOENT/],
    ['a folder', folder, /is not a file\. Give the path of a \.gguf file\./],
    ['another kind of file', file('notes.txt', 'GGU'), /notes\.txt is not a GGUF file/],
  ])('refuses %s', async (_, path, message) => {
    const finding = findModels({ models: [{ name: 'm', path }], demo: false })
    await expect(finding).rejects.toThrow(message)
    await expect(finding).rejects.toMatchObject({ code: 'invalid_value', param: 'model' })
  })

  it('gives each model its drafter; without a name, the only one that is no demo', async () => {
    const [a, b, c] = ['a', 'b', 'c'].map((name) => ({ name, path: file(`${name}.gguf`, '') }))
    if (a === undefined || b === undefined || c === undefined) throw new Error('never')
    const drafts = async (models: (typeof a)[], ...wanted: { model?: string; path: string }[]) =>
      (await findModels({ models, drafts: wanted, demo: false })).map(({ draft }) => draft)
    expect(await drafts([a], { path: c.path })).toEqual([c.path])
    expect(await drafts([a, b], { model: 'b', path: c.path })).toEqual([undefined, c.path])
    await expect(drafts([a, b], { path: c.path })).rejects.toMatchObject({ param: 'draft' })
    await expect(drafts([a, b], { model: 'd', path: c.path })).rejects.toThrow('no model "d"')
    const gone = { path: join(folder, 'gone.gguf') }
    await expect(drafts([a], gone)).rejects.toMatchObject({ param: 'draft' })
  })

  it('refuses two models of one name, a demo model being one', async () => {
    const models = [{ name: 'pinaivu-demo', path: file('mine.gguf', '') }]
    await expect(findModels({ models, demo: true })).rejects.toThrow(
      'Two models are called "pinaivu-demo".',
    )
  })
})

describe('fileIdentity', () => {
  it('is the same until the file changes', async () => {
    const path = file('identity.gguf', 'GGUF one')
    const before = await fileIdentity(path)
    expect(await fileIdentity(path)).toBe(before)
    utimesSync(path, 1, 1)
    const touched = await fileIdentity(path)
    expect(touched).not.toBe(before)
    writeFileSync(path, 'GGUF two')
    utimesSync(path, 1, 1)
    expect(await fileIdentity(path)).not.toBe(touched)
  })

  it('sees a change at either end of a large file', async () => {
    const path = join(folder, 'large.gguf')
    const identityOf = async (change: number) => {
      const bytes = Buffer.alloc(3 * 1024 * 1024)
      bytes[change] = 1
      writeFileSync(path, bytes)
      utimesSync(path, 1, 1)
      return await fileIdentity(path)
    }
    const first = await identityOf(0)
    const last = await identityOf(3 * 1024 * 1024 - 1)
    expect(first).not.toBe(last)
  })
})

describe('aliasTable', () => {
  const model = (path: string, name = basename(path, '.gguf')) => ({ name, path })

  it.each([
    ['phi-4', 'phi-4-Q4_K_M.gguf'],
    ['phi-4', 'microsoft_phi-4-IQ3_XXS.gguf'],
    ['phi-4', 'phi-4-bf16-00001-of-00003.gguf'],
    ['llama-3.2-3b', 'Llama-3.2-3B-Instruct-Q4_K_M.gguf'],
    ['llama-3.2-3b', 'Llama-3.2-3B-Instruct-UD-Q4_K_XL.gguf'],
    ['ryvion-llama-3.2-3b', 'llama-3.2-3b-instruct-q8_0.gguf'],
    ['llama3.2:3b', 'Llama-3.2-3B-Instruct-f16.gguf'],
    ['llama3.2:1b', 'Llama-3.2-1B-Instruct-Q4_0_4_4.gguf'],
    ['tinyllama', 'tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf'],
    ['tinyllama', 'TinyLlama-1.1B-Chat-v0.6.Q5_K_S.gguf'],
  ])('knows %s in %s', (alias, path) => {
    expect(aliasTable([model(`/models/${path}`)]).get(alias)).toBe(basename(path, '.gguf'))
  })

  it.each([
    'phi-4-mini-instruct-Q4_K_M.gguf',
    'Phi-4-reasoning-plus-Q4_K_M.gguf',
    'Llama-3.2-11B-Vision-Instruct.Q4_K_M.gguf',
    'Llama-3.1-8B-Instruct-Q4_K_M.gguf',
    'my-llama-3.2-3b-finetune.gguf',
  ])('does not mistake %s for one it knows', (path) => {
    expect([...aliasTable([model(path)])]).toEqual([])
  })

  it('gives an alias to the first file that fits', () => {
    const models = [model('phi-4-Q4_K_M.gguf', 'small'), model('phi-4-Q8_0.gguf', 'large')]
    expect(aliasTable(models).get('phi-4')).toBe('small')
  })

  it("never lets an alias hide a model's own name", () => {
    const models = [model('phi-4-Q4_K_M.gguf', 'a'), model('other.gguf', 'phi-4')]
    expect(aliasTable(models).size).toBe(0)
  })
})
