import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { aliasTable } from '../../../src/engines/aliases.ts'
import { chooseFiles, type ListedFile } from '../../../src/engines/store/choose-files.ts'
import { knownModel, knownNames } from '../../../src/engines/store/known-models.ts'
import { type HubSource, modelSource, sourceText } from '../../../src/engines/store/model-source.ts'

const hub = (text: string) => modelSource(text) as HubSource

describe('where a model comes from', () => {
  it.each([
    ['hf:org/repo', { repo: 'org/repo', revision: 'main' }],
    ['hf:org/repo:q4_k_m', { repo: 'org/repo', revision: 'main', quant: 'Q4_K_M' }],
    ['hf:org/repo@v1:Q8_0', { repo: 'org/repo', revision: 'v1', quant: 'Q8_0' }],
    ['HF:org/repo/sub/a-Q8_0.gguf', { repo: 'org/repo', file: 'sub/a-Q8_0.gguf' }],
    ['https://huggingface.co/org/repo', { repo: 'org/repo', revision: 'main' }],
    ['https://huggingface.co/org/repo/tree/main', { repo: 'org/repo' }],
    [
      'https://huggingface.co/org/repo/blob/main/a%20b.gguf',
      { repo: 'org/repo', revision: 'main', file: 'a b.gguf' },
    ],
    [
      'https://hf.co/org/repo/resolve/abc/a.gguf?download=true',
      { repo: 'org/repo', revision: 'abc', file: 'a.gguf' },
    ],
  ])('%s is on the hub', (text, wanted) => {
    expect(modelSource(text)).toMatchObject({ type: 'hub', ...wanted })
  })

  it.each([
    ['https://a.example/m.gguf#x', { type: 'web', url: 'https://a.example/m.gguf' }],
    [
      'https://mirror.example/org/repo/blob/main/m.gguf',
      { type: 'web', url: 'https://mirror.example/org/repo/resolve/main/m.gguf' },
    ],
    ['http://127.0.0.1:8080/m.gguf', { type: 'web', url: 'http://127.0.0.1:8080/m.gguf' }],
    ['file:///a%20b/m.gguf', { type: 'file', path: '/a b/m.gguf' }],
    ['file:m.gguf', { type: 'file', path: 'm.gguf' }],
  ])('%s is elsewhere', (text, wanted) => expect(modelSource(text)).toEqual(wanted))

  it.each(['/a/m.gguf', 'm.gguf', 'C:\\m.gguf', 'word'])('%s is none of these', (text) => {
    expect(modelSource(text)).toBeUndefined()
  })

  it.each([
    ['hf:', /expected hf:ORG\/REPO:QUANT/],
    ['hf:../repo:Q8_0', /expected hf:/],
    ['hf:org/repo/../../x.gguf', /expected hf:/],
    ['hf:org/repo/readme.md', /expected hf:/],
    ['http://a.example/m.gguf', /is not encrypted\. Use https/],
    ['https://user:pass@a.example/m.gguf', /a password in it would be logged/],
    ['https://', /is no address/],
    ['https://huggingface.co/datasets/a/b', /is not a model's page/],
    ['https://huggingface.co/org/repo/blob/main/README.md', /is not a \.gguf file/],
    ['file://server/share/m.gguf', /names no file of this machine/],
    [`https://a.example/${'x'.repeat(3000)}`, /is too long/],
  ])('%s is refused', (text, message) => expect(() => modelSource(text)).toThrow(message))

  it('has one text, which means the same again', () => {
    const word = fc.stringMatching(/^[a-z][a-z0-9._-]{0,8}[a-z]$/)
    const what = fc.oneof(
      word.map((quant) => `:${quant}`),
      word.map((name) => `/${name}.gguf`),
    )
    const text = fc.tuple(word, word, fc.option(word, { nil: undefined }), what)
    fc.assert(
      fc.property(text, ([org, repo, revision, rest]) => {
        const at = revision === undefined ? '' : `@${revision}`
        const source = modelSource(`hf:${org}/${repo}${at}${rest}`)
        if (source === undefined) throw new Error('never')
        expect(modelSource(sourceText(source))).toEqual(source)
      }),
    )
  })

  it('is known for the names that other products use', () => {
    // As these repos list them.
    const files: Record<string, string> = {
      'phi-4': 'phi-4-Q4_K_M.gguf',
      'llama-3.2-3b': 'Llama-3.2-3B-Instruct-Q4_K_M.gguf',
      'ryvion-llama-3.2-3b': 'Llama-3.2-3B-Instruct-Q4_K_M.gguf',
      'llama3.2:3b': 'Llama-3.2-3B-Instruct-Q4_K_M.gguf',
      'llama3.2:1b': 'Llama-3.2-1B-Instruct-Q8_0.gguf',
      tinyllama: 'tinyllama-1.1b-chat-v1.0.Q4_0.gguf',
      'nomic-embed-text': 'nomic-embed-text-v1.5.f16.gguf',
    }
    expect(knownNames.toSorted()).toEqual(Object.keys(files).sort())
    for (const [name, file] of Object.entries(files)) {
      const listed = [
        { path: file, sizeBytes: 1 },
        { path: 'other-Q2_K.gguf', sizeBytes: 1 },
      ]
      expect(chooseFiles(hub(name), listed).map(({ path }) => path)).toEqual([file])
      // Under whatever name it is served, it has this one too.
      expect(aliasTable([{ name: 'mine', path: `/store/mine/${file}` }]).get(name)).toBe('mine')
    }
    expect(knownModel('constructor')).toBeUndefined()
  })
})

describe('the files of a quant', () => {
  const list = (...paths: string[]): ListedFile[] => paths.map((path) => ({ path, sizeBytes: 1 }))
  const chosen = (text: string, listed: ListedFile[]) =>
    chooseFiles(hub(text), listed).map(({ path }) => path)

  it('are what is called so, and not what only begins so', () => {
    const listed = list('M-Q4_K_M.gguf', 'M-Q4_K_S.gguf', 'M-UD-Q4_K_M.gguf', 'M-IQ4_XS.gguf')
    expect(chosen('hf:o/r:Q4_K_M', listed)).toEqual(['M-Q4_K_M.gguf'])
    expect(chosen('hf:o/r:UD-Q4_K_M', listed)).toEqual(['M-UD-Q4_K_M.gguf'])
    expect(chosen('hf:o/r:iq4_xs', listed)).toEqual(['M-IQ4_XS.gguf'])
    expect(() => chosen('hf:o/r:Q4', listed)).toThrow(
      /has no Q4\. It has Q4_K_M, Q4_K_S, UD-Q4_K_M/,
    )
  })

  it('are no projectors and no statistics', () => {
    const listed = list(
      'mmproj-F16.gguf',
      'M.imatrix.gguf',
      'sub/mmproj-M-Q8_0.gguf',
      'M-Q8_0.gguf',
    )
    expect(chosen('hf:o/r:Q8_0', listed)).toEqual(['M-Q8_0.gguf'])
    expect(() => chosen('hf:o/r:F16', listed)).toThrow(/has no F16/)
  })

  it('are the usual ones where none is named, or the only one', () => {
    expect(chosen('hf:o/r', list('M-Q8_0.gguf', 'M-Q4_K_M.gguf'))).toEqual(['M-Q4_K_M.gguf'])
    expect(chosen('hf:o/r', list('M-IQ1_M.gguf'))).toEqual(['M-IQ1_M.gguf'])
    expect(() => chosen('hf:o/r', list('A-IQ1_M.gguf', 'A-IQ1_S.gguf'))).toThrow(
      /has no usual quant\. It has IQ1_M, IQ1_S: say hf:o\/r:QUANT/,
    )
    expect(() => chosen('hf:o/r', list('model.safetensors'))).toThrow(/has no GGUF files/)
  })

  it('of folders are all of their parts', () => {
    const parts = [1, 2].map((n) => `Q8_0/M-Q8_0-0000${n}-of-00002.gguf`)
    expect(chosen('hf:o/r:Q8_0', list(...parts.toReversed()))).toEqual(parts)
    expect(chosen(`hf:o/r/${parts[0]}`, list(...parts))).toEqual(parts)
  })
})
