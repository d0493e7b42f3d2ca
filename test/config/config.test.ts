import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type ConfigSources, readConfig } from '../../src/config/config.ts'
import { envName, notYet, type SettingKey, settingList } from '../../src/config/settings.ts'
import { machine, refusal } from './machine.ts'

const peerId = '12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X'

describe('readConfig', () => {
  it('gives the defaults of the contract', () => {
    expect(readConfig(machine())).toEqual({
      http: { host: '127.0.0.1', port: 7462 },
      tls: null,
      insecureHttp: false,
      corsOrigins: [],
      hostNames: [],
      allowPrivateWebhooks: false,
      listen: ['/ip4/0.0.0.0/tcp/7463'],
      bootstrap: [],
      mdns: false,
      network: 'main',
      publish: 'receipts',
      models: [],
      upstreams: [],
      drafts: [],
      drafters: [],
      guesses: true,
      demo: true,
      acceptLicence: false,
      modelQuota: undefined,
      modelMemory: undefined,
      modelIdle: undefined,
      slots: undefined,
      threads: undefined,
      reproducible: false,
      roles: ['provider', 'coordinator', 'auditor'],
      price: { input: 0, output: 0 },
      creditLimit: undefined,
      region: undefined,
      drain: 8,
      dataDir: '/home/eve/.local/share/pinaivu',
      logLevel: undefined,
      logFile: undefined,
      logSize: 10,
      logFiles: 5,
      aliases: {},
      notices: [],
    })
  })

  it('is frozen through and through', () => {
    const config = readConfig(machine())
    expect(Object.isFrozen(config)).toBe(true)
    expect(Object.isFrozen(config.http)).toBe(true)
    expect(Object.isFrozen(config.listen)).toBe(true)
  })

  it('reads a whole config.toml', () => {
    const config = readConfig(
      machine({
        toml: `
          http = "[::1]:0"
          mdns = true
          slots = 4
          roles = ["provider", "provider"]
          region = "uk"
          model = ["phi-4=models/phi.gguf", "~/qwen-0.5b-q8_0.gguf"]
          cors-origin = "https://app.example.com"
          [aliases]
          gpt-4o-mini = "phi-4"
        `,
      }),
    )
    expect(config).toMatchObject({
      http: { host: '::1', port: 0 },
      mdns: true,
      slots: 4,
      roles: ['provider'],
      region: 'GB',
      demo: false,
      models: [
        { name: 'phi-4', path: '/home/eve/.local/share/pinaivu/models/phi.gguf' },
        { name: 'qwen-0.5b-q8_0', path: '/home/eve/qwen-0.5b-q8_0.gguf' },
      ],
      corsOrigins: ['https://app.example.com'],
    })
    expect(config.aliases['gpt-4o-mini']).toBe('phi-4')
    expect(config.aliases.constructor).toBeUndefined()
  })

  it('reads the environment, lists with commas', () => {
    const address = `/dns4/peer.example.com/tcp/7463/p2p/${peerId}`
    const config = readConfig(
      machine({
        env: {
          PINAIVU_BOOTSTRAP: `${address}, /dnsaddr/example.com/p2p/${peerId}`,
          PINAIVU_HTTP: 'off',
          PINAIVU_MDNS: '1',
          PINAIVU_DATA_DIR: 'peer',
          PINAIVU_SLOTS: '',
        },
      }),
    )
    expect(config.bootstrap).toEqual([address, `/dnsaddr/example.com/p2p/${peerId}`])
    expect(config).toMatchObject({
      http: null,
      mdns: true,
      dataDir: '/there/peer',
      slots: undefined,
    })
  })

  it('leaves nothing to be measured where answers are to be reproducible', () => {
    const read = (more: object) => readConfig(machine({ flags: { reproducible: true, ...more } }))
    expect(read({})).toMatchObject({ slots: 1, threads: 1 })
    expect(read({ slots: '1', threads: '4' })).toMatchObject({ slots: 1, threads: 4 })
    const flags = { reproducible: true, slots: '2' }
    expect(refusal({ flags })).toMatch(/^slots: with reproducible there is one, not 2/)
  })

  it('takes --no-… for switches and for the endpoint', () => {
    const toml = 'http = "127.0.0.1:1"\nmdns = true\n'
    const flags = { 'no-http': true, 'no-mdns': true, 'no-demo': true }
    expect(readConfig(machine({ flags, toml }))).toMatchObject({
      http: null,
      mdns: false,
      demo: false,
    })
    expect(refusal({ flags: { mdns: true, 'no-mdns': true } })).toMatch(/--mdns or --no-mdns/)
  })

  it('serves the demo beside other models only when asked', () => {
    const model = ['/m/a.gguf']
    expect(readConfig(machine({ flags: { model } })).demo).toBe(false)
    expect(readConfig(machine({ flags: { model, demo: true } })).demo).toBe(true)
  })

  it('writes names as a Host header does', () => {
    const flags = { 'host-name': ['Peer.Example.com', '2001:DB8::1'] }
    expect(readConfig(machine({ flags })).hostNames).toEqual(['peer.example.com', '[2001:db8::1]'])
  })

  it('says out loud that webhooks may reach into the own network', () => {
    expect(readConfig(machine({ flags: {} }))).toMatchObject({ allowPrivateWebhooks: false })
    const flags = { 'allow-private-webhooks': true }
    const { allowPrivateWebhooks, notices } = readConfig(machine({ flags }))
    expect(allowPrivateWebhooks).toBe(true)
    expect(notices).toEqual([expect.stringMatching(/allow-private-webhooks.*this network/)])
  })

  it('notices a misspelt variable', () => {
    const { notices } = readConfig(
      machine({ env: { PINAIVU_PASSPHRASE: 'of a backup', PINAIVU_HTPP: 'x', OTHER: 'y' } }),
    )
    expect(notices).toEqual([
      'PINAIVU_HTPP is set, but there is no such setting. Did you mean PINAIVU_HTTP?',
    ])
  })

  it('reads the real file system', () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'pinaivu-config-'))
    const read = () => readConfig({ flags: { 'data-dir': dataDir }, env: {} })
    expect(read().network).toBe('main')
    writeFileSync(join(dataDir, 'config.toml'), 'network = "lab"\n')
    expect(read().network).toBe('lab')
  })
})

describe('a refusal names the source and what is expected', () => {
  const flag = (name: string, value: string) => ({ flags: { [name]: value } })
  it.each([
    [flag('http', '7462'), /^--http: expected HOST:PORT.*got "7462"/],
    [flag('http', 'localhost:99999'), /^--http: expected HOST:PORT/],
    [flag('http', '::1:80'), /^--http: expected HOST:PORT/],
    [flag('http', '[x]:80'), /^--http: expected HOST:PORT/],
    [flag('http', 'http://localhost:1'), /^--http: expected HOST:PORT/],
    [{ env: { PINAIVU_HTTP: 'x' } }, /^PINAIVU_HTTP: expected HOST:PORT/],
    [{ toml: 'network = "m"\nhttp = 7462' }, /config\.toml line 2, http: expected HOST:PORT/],
    [{ toml: '\nhttp = [1]' }, /line 2, http: expected a single value/],
    [{ toml: 'listen = [{}]' }, /line 1, listen: expected a text or a list of texts/],
    [{ toml: 'a = ' }, /config\.toml line 1: /],
    [{ toml: 'mnds = true' }, /line 1, mnds: there is no such setting\. Did you mean mdns\?/],
    [{ toml: 'tls_cert = "a"' }, /Did you mean tls-cert\?/],
    [{ toml: '[alias]\na = "b"' }, /line 1, alias: .*Did you mean aliases\?/],
    [{ toml: 'aliases = 1' }, /line 1, aliases: expected a table/],
    [{ toml: '[aliases]\na = 1' }, /line 1, aliases: expected "a" to be given the name/],
    [{ toml: 'data-dir = "x"' }, /line 1, data-dir: use --data-dir or PINAIVU_DATA_DIR instead/],
    [flag('http', '0.0.0.0:7462'), /--tls-cert and --tls-key, or say --insecure-http/],
    [flag('tls-cert', 'a.pem'), /tls-cert and tls-key belong together/],
    [flag('slots', '0'), /^--slots: expected a whole number from 1 to 256, got "0"/],
    [flag('slots', '1e3'), /^--slots: expected a whole number/],
    [flag('threads', '-1'), /^--threads: expected a whole number from 1 to 1024/],
    [flag('mdns', 'maybe'), /^--mdns: expected true or false/],
    [flag('network', 'Main'), /^--network: expected 1 to 32 of the characters/],
    [flag('network', 'x'.repeat(33)), /^--network: expected 1 to 32/],
    [flag('roles', 'provder'), /^--roles: expected one of provider.*Did you mean provider\?/],
    [flag('log-level', 'trace'), /^--log-level: expected one of debug, info/],
    [flag('price', '40'), /^--price: expected micro-credits .* IN\/OUT, such as 40\/120, got "40"/],
    [flag('price', '-1/2'), /^--price: expected micro-credits/],
    [flag('price', '1.5/2'), /^--price: expected micro-credits/],
    [flag('price', '1/9999999999999'), /^--price: expected micro-credits/],
    [flag('credit-limit', '-1'), /^--credit-limit: expected a whole number/],
    [flag('region', 'EU'), /^--region: expected a country/],
    [flag('region', 'DEU'), /^--region: expected a country/],
    [flag('region', 'QX'), /^--region: expected a country/],
    [flag('cors-origin', 'null'), /^--cors-origin: expected an origin/],
    [flag('cors-origin', 'https://a.example/x'), /^--cors-origin: expected an origin/],
    [flag('host-name', 'https://a.example'), /^--host-name: expected a host name/],
    [flag('listen', '/ip4/0.0.0.0/udp/7463/quic-v1'), /^--listen: expected a TCP multiaddr/],
    [flag('listen', '/ip4/1.2.3/tcp/1'), /^--listen: expected a TCP multiaddr/],
    [flag('listen', '0.0.0.0:7463'), /^--listen: expected a TCP multiaddr/],
    [flag('bootstrap', '/ip4/1.2.3.4/tcp/1'), /^--bootstrap: expected the multiaddr of a peer/],
    [flag('bootstrap', `/ip4/1.2.3.4/tcp/0/p2p/${peerId}`), /^--bootstrap: expected/],
    [flag('model', 'hf:org'), /^--model: expected hf:ORG\/REPO:QUANT/],
    [flag('model', 'http://example.org/m.gguf'), /^--model: .* is not encrypted. Use https/],
    [flag('model-quota', '10 apples'), /^--model-quota: expected a size, such as 200G/],
    [flag('model-idle', '10'), /^--model-idle: expected a time, such as 90s/],
    [flag('model', ''), /^--model: expected a path/],
    [flag('model', 'phi='), /^--model: expected a path/],
    [flag('model', '/m/.gguf'), /^--model: "" cannot be a model's name.*NAME=PATH/],
    [flag('model', '/m/a b.gguf'), /^--model: "a b" cannot be a model's name/],
    [flag('roles', ','), /^--roles: expected at least one value/],
    [{ toml: 'roles = []' }, /line 1, roles: expected at least one value/],
    [{ toml: '[aliases]\n"a/../b" = "c"' }, /expected "a\/..\/b" to be given the name/],
    [{ home: '' }, /no home folder.*--data-dir/],
    [{ home: '', flags: { 'data-dir': '~/x' } }, /^--data-dir: there is no home folder/],
    [{ flags: { model: ['/a/x.gguf', '/b/x.gguf'] } }, /would both be called "x"/],
  ] satisfies [Parameters<typeof machine>[0], RegExp][])('%j', (sources, message) => {
    expect(refusal(sources)).toMatch(message)
  })

  it('also when config.toml cannot be read', () => {
    const readFile = () => {
      throw new Error('EACCES: permission denied')
    }
    expect(refusal({ readFile })).toMatch(/config\.toml: EACCES/)
  })

  it.each(notYet)('%s, which this version does not have, is not accepted in silence', (name) => {
    expect(refusal({ toml: `${name} = "x"` })).toMatch(`this version does not have ${name} yet`)
    expect(refusal({ env: { [envName(name)]: 'x' } })).toMatch('does not have that yet')
  })
})

describe('model names', () => {
  it.each(['a/../b', 'a/./b', 'a//b', 'a/'])('%s would be another address', (name) => {
    // So the text before the = is no name, and all of it is a path.
    expect(refusal({ flags: { model: `${name}=/m/x y.gguf` } })).toMatch(/cannot be a model's name/)
  })
  it.each(['org/model:q4', 'a.b', 'x..y/z'])('%s is fine', (name) => {
    expect(readConfig(machine({ flags: { model: `${name}=/m/x.gguf` } })).models[0]?.name).toBe(
      name,
    )
  })
})

describe('config.toml', () => {
  it('takes a list in one text where a flag does', () => {
    const { roles } = readConfig(machine({ toml: 'roles = "provider, archive"' }))
    expect(roles).toEqual(['provider', 'archive'])
  })

  it('that is no file, or far too large, is refused at once', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'pinaivu-config-'))
    onTestFinished(() => rmSync(dir, { recursive: true }))
    const path = join(dir, 'config.toml')
    const read = () => readConfig({ flags: { 'data-dir': dir }, env: {} })
    mkdirSync(path)
    expect(read).toThrow(/config\.toml: this is not a file/)
    rmSync(path, { recursive: true })
    if (process.platform !== 'win32') {
      execFileSync('mkfifo', [path])
      expect(read).toThrow(/config\.toml: this is not a file/)
      rmSync(path)
    }
    writeFileSync(path, '#'.repeat(1024 * 1024 + 1))
    expect(read).toThrow(/config\.toml: this is larger than/)
    writeFileSync(path, '\ufeffslots = 3\r\nmdns = true\r\n')
    expect(read()).toMatchObject({ slots: 3, mdns: true })
  })
})

/** Two different good values for each setting, as text. */
const samples: Record<SettingKey, [string, string]> = {
  http: ['127.0.0.1:1', 'off'],
  tlsCert: ['/a.pem', '/b.pem'],
  tlsKey: ['/a.key', '/b.key'],
  insecureHttp: ['true', 'false'],
  corsOrigins: ['https://a.example', 'http://b.example:8080'],
  hostNames: ['peer.example.com', 'b.example'],
  allowPrivateWebhooks: ['true', 'false'],
  listen: ['/ip4/127.0.0.1/tcp/0', '/ip6/::/tcp/1'],
  bootstrap: [`/ip4/1.2.3.4/tcp/1/p2p/${peerId}`, `/dns/a.example/tcp/2/p2p/${peerId}`],
  mdns: ['true', 'false'],
  network: ['lab', 'test-2'],
  publish: ['receipts', 'none'],
  models: ['/m/a.gguf', 'b=/m/c.gguf'],
  upstreams: ['a=http://127.0.0.1:8000', 'b=https://example.com/v1#c'],
  drafts: ['/m/d.gguf', 'a=/m/d.gguf'],
  drafters: [peerId, '12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5'],
  guesses: ['false', 'true'],
  demo: ['true', 'false'],
  acceptLicence: ['true', 'false'],
  modelQuota: ['200G', '1024'],
  modelMemory: ['24GiB', '512M'],
  modelIdle: ['10m', '90s'],
  slots: ['1', '256'],
  threads: ['1', '8'],
  reproducible: ['true', 'false'],
  price: ['40/120', '0/1'],
  creditLimit: ['1000000', '0'],
  roles: ['provider', 'archive'],
  region: ['DE', 'JP'],
  dataDir: ['/data/a', '/data/b'],
  drain: ['0', '3600'],
  logLevel: ['debug', 'error'],
  logFile: ['/a.log', '/b.log'],
  logSize: ['1', '10000'],
  logFiles: ['1', '100'],
}

describe('precedence', () => {
  it('holds for any setting given by any two sources: flag, then environment, then file', () => {
    const sourcesOf = ['flag', 'env', 'file'] as const
    // These two only make sense together.
    const pair = (flag: string, value: string) => (flag.startsWith('tls-') ? value : undefined)
    const give = (
      into: ConfigSources & { toml?: string },
      source: string,
      key: string,
      v: string,
    ) => {
      if (source === 'flag') return { ...into, flags: { ...into.flags, [key]: v } }
      if (source === 'env') return { ...into, env: { ...into.env, [envName(key)]: v } }
      return { ...into, toml: `${into.toml ?? ''}${key} = ${JSON.stringify(v)}\n` }
    }
    fc.assert(
      fc.property(
        fc.constantFrom(...settingList),
        fc.subarray([...sourcesOf], { minLength: 2, maxLength: 2 }),
        fc.boolean(),
        (setting, [strong = '', weak = ''], swap) => {
          const [a, b] = samples[setting.key]
          const [high, low] = swap ? [b, a] : [a, b]
          if (!setting.inFile && weak === 'file') return
          const only = give({}, strong, setting.flag, high)
          const both = give(only, weak, setting.flag, low)
          const other = { 'tls-cert': 'tls-key', 'tls-key': 'tls-cert' }[setting.flag]
          const complete = (parts: typeof both) =>
            readConfig(
              machine(other && pair(other, '/p') ? give(parts, 'flag', other, '/p') : parts),
            )
          expect(complete(both)).toEqual(complete(only))
          expect(complete(only)).not.toEqual(complete(give({}, strong, setting.flag, low)))
        },
      ),
    )
  })
})
