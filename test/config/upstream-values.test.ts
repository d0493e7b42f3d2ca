import { describe, expect, it } from 'vitest'
import { readConfig } from '../../src/config/config.ts'

const config = (
  upstream: string | string[],
  env: Record<string, string> = {},
  flags: Record<string, string> = {},
) => {
  const readFile = () => undefined
  const sources = { env, readFile, home: '/home/eve', platform: 'linux', cwd: '/there' }
  return readConfig({ ...sources, flags: { upstream: [upstream].flat(), ...flags } })
}

describe('a server behind the peer', () => {
  it.each([
    ['vllm=http://127.0.0.1:8000', { name: 'vllm', url: 'http://127.0.0.1:8000' }],
    ['vllm=http://127.0.0.1:8000/v1/', { name: 'vllm', url: 'http://127.0.0.1:8000' }],
    [
      'a.b_c-1=HTTPS://GPU.example.com/llm/v1',
      { name: 'a.b_c-1', url: 'https://gpu.example.com/llm' },
    ],
    [
      'o=http://[::1]:11434#llama3.2:1b',
      { name: 'o', url: 'http://[::1]:11434', model: 'llama3.2:1b' },
    ],
    ['o=http://h/#org/Model#2', { name: 'o', url: 'http://h', model: 'org/Model#2' }],
  ])('%s is understood', (text, spec) => {
    expect(config(text).upstreams).toEqual([spec])
  })

  it('is served alone, unless the demo models are wanted too', () => {
    expect(config('a=http://h').demo).toBe(false)
    const { demo } = readConfig({ flags: { upstream: ['a=http://h'], demo: true }, env: {} })
    expect(demo).toBe(true)
  })

  it.each([
    ['http://127.0.0.1:8000', /expected NAME=URL/],
    ['=http://127.0.0.1', /expected NAME=URL/],
    ['a/b=http://127.0.0.1', /expected NAME=URL/],
    [`${'x'.repeat(65)}=http://127.0.0.1`, /expected NAME=URL/],
    ['a=127.0.0.1:8000', /must begin with http/],
    ['a=ftp://127.0.0.1', /must begin with http/],
    ['a=file:///etc/passwd', /must begin with http/],
    ['a=http:///etc', /must begin with http/],
    ['a=http://h\\@evil/', /must begin with http/],
    ['a=http://h /', /must begin with http/],
    [`a=http://h/${'x'.repeat(3000)}`, /must begin with http/],
    ['a=http://eve:hunter2@h', /PINAIVU_UPSTREAM_KEY_A/],
    ['a=http://hunter2@h', /PINAIVU_UPSTREAM_KEY_A/],
    ['a=http://@h', /PINAIVU_UPSTREAM_KEY_A/],
    ['a=http://h/?key=hunter2', /question mark/],
    ['a=http://h#', /name a model/],
  ])('%s is refused', (text, message) => {
    expect(() => config(text)).toThrow(message)
    expect(() => config(text)).not.toThrow(/hunter2/)
  })

  it.each([
    [['a=http://h', 'a=http://i'], {}, /a and a are too alike/],
    [['a-b=http://h', 'A_B=http://i'], {}, /they would have one key/],
    [['phi=http://h'], { model: '/m/phi.gguf' }, /would both be called "phi"/],
  ])('%j beside %j is refused', (upstream, flags, message) => {
    expect(() => config(upstream, {}, flags as Record<string, string>)).toThrow(message)
  })

  it('has its key from the environment, and shows it to nobody', () => {
    const made = config('my-gpu=http://h', { PINAIVU_UPSTREAM_KEY_MY_GPU: ' sk-7 ' })
    expect(made.upstreams[0]?.key?.()).toBe('sk-7')
    expect(made.notices).toEqual([])
    expect(JSON.stringify(made)).not.toContain('sk-7')
    expect(config('a=http://h').upstreams[0]).not.toHaveProperty('key')
  })

  it('has no key that could be two headers', () => {
    const env = { PINAIVU_UPSTREAM_KEY_A: 'sk-7\r\nx: y' }
    expect(() => config('a=http://h', env)).toThrow(/PINAIVU_UPSTREAM_KEY_A/)
    expect(() => config('a=http://h', env)).not.toThrow(/sk-7/)
  })

  it('comes from a file or the environment as well', () => {
    const env = { PINAIVU_UPSTREAM: 'a=http://h,b=http://i#m' }
    const { upstreams } = readConfig({ env, flags: {}, readFile: () => undefined, home: '/h' })
    expect(upstreams.map(({ name }) => name)).toEqual(['a', 'b'])
  })
})
