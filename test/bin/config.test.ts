import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { fakePeer, json, peerState, stage, temporaryFolder } from './stage.ts'

function desk(env: Record<string, string> = {}) {
  const dataDir = temporaryFolder()
  const path = join(dataDir, 'config.toml')
  const run = async (...args: string[]) => {
    const io = stage({ env })
    const code = await io.run('config', ...args, '--data-dir', dataDir)
    return { code, out: io.stdout.text, err: io.stderr.text }
  }
  const json = async (...args: string[]) => JSON.parse((await run(...args, '--json')).out)
  return { dataDir, path, run, json, text: () => readFileSync(path, 'utf8') }
}

describe('pinaivu-peer config', () => {
  it('shows each value and where it comes from', async () => {
    const { path, json, run } = desk({ PINAIVU_REGION: 'DE' })
    writeFileSync(path, 'price = "1/2"\nmdns = true\n[aliases]\n"gpt-4.1" = "phi-4"\n')
    expect(await json('get', 'price')).toEqual({
      key: 'price',
      value: '1/2',
      source: 'file',
      place: `${path} line 1, price`,
    })
    const place = { source: 'env', place: 'PINAIVU_REGION' }
    expect(await json('get', 'region')).toEqual({ key: 'region', value: 'DE', ...place })
    expect(await json('get', 'price', '--price', '3/4')).toMatchObject({
      value: '3/4',
      source: 'flag',
      place: '--price',
    })
    expect(await json('get', 'mdns', '--no-mdns')).toMatchObject({ value: 'false', source: 'flag' })
    expect(await json('get', 'listen')).toMatchObject({
      value: ['/ip4/0.0.0.0/tcp/7463'],
      source: 'default',
    })
    expect(await json('get', 'slots')).toMatchObject({
      value: null,
      place: 'default: measured on this machine',
    })
    expect(await json('get', 'aliases.gpt-4.1')).toMatchObject({ value: 'phi-4', source: 'file' })
    expect(await json('get')).toEqual(
      expect.arrayContaining([expect.objectContaining({ key: 'aliases.gpt-4.1' })]),
    )
    expect((await run('get', 'price')).out).toMatch(
      /^KEY +VALUE +FROM\nprice +1\/2 +\S+config\.toml/,
    )
  })

  it('refuses what is unknown, and what start would refuse', async () => {
    const { path, run } = desk()
    expect(await run('get', 'prise')).toMatchObject({
      code: 2,
      err: expect.stringContaining('Did you mean price?'),
    })
    expect(await run('get', 'aliases.x')).toMatchObject({ code: 2 })
    expect(await run('set', 'price')).toMatchObject({ code: 2 })
    expect(await run('set', 'price', 'x')).toMatchObject({ code: 2 })
    expect(await run('unset')).toMatchObject({ code: 2 })
    writeFileSync(path, 'price = "cheap"\n')
    expect(await run('get')).toMatchObject({
      code: 2,
      err: expect.stringContaining('line 1, price'),
    })
  })

  it('sets, unsets and says where', async () => {
    const { path, run, json, text } = desk()
    expect(await run('set', 'aliases.gpt-4o-mini', 'llama3.2:1b')).toEqual({
      code: 0,
      out: `aliases.gpt-4o-mini is set (${path}).\n`,
      err: '',
    })
    // A file that was not there begins with every option, commented out.
    expect(text()).toContain('#price = "0/0"\n')
    expect(text()).toMatch(/\[aliases\]\ngpt-4o-mini = "llama3\.2:1b"\n$/)
    expect(await json('set', 'price', '4/5')).toEqual({
      key: 'price',
      changed: true,
      path,
      start_refuses: null,
    })
    expect(await json('set', 'price', '4/5')).toMatchObject({ changed: false })
    expect(text()).toContain('#price = "0/0"\nprice = "4/5"\n')
    expect((await run('unset', 'price')).out).toContain('price is out')
    expect((await run('unset', 'price')).out).toContain('price was not in there')
    expect((await run('path')).out).toBe(`${path}\n`)
  })

  it('tells the running peer of the folder, and only when there is something to read', async () => {
    const heard: string[] = []
    const onHangup = () => void heard.push('SIGHUP')
    process.on('SIGHUP', onHangup)
    onTestFinished(() => void process.off('SIGHUP', onHangup))
    // Its process is the one of this test.
    const reload = async (peerId: string, toml: string) => {
      const state = { ...peerState, network: { ...peerState.network, peer_id: peerId } }
      const { dataDir } = await fakePeer({ 'GET /readyz': json(state) })
      writeFileSync(join(dataDir, 'config.toml'), toml)
      const io = stage()
      const code = await io.run('config', 'reload', '--json', '--data-dir', dataDir)
      return { code, out: io.stdout.text, err: io.stderr.text }
    }
    const { pid } = process
    expect(await reload('12D3KooTest', 'price = "cheap"\n')).toMatchObject({
      code: 2,
      err: expect.stringContaining('line 1, price: expected'),
    })
    const other = 'What answers at http'
    expect(await reload('12D3KooOther', '')).toMatchObject({
      code: 1,
      err: expect.stringContaining(other),
    })
    expect(heard).toEqual([])
    expect(await reload('12D3KooTest', '')).toMatchObject({ code: 0, out: `{"pid":${pid}}\n` })
    await vi.waitUntil(() => heard.length > 0)
    expect(heard).toEqual(['SIGHUP'])
    expect(await desk().run('reload')).toMatchObject({
      code: 1,
      err: expect.stringContaining('No peer is running'),
    })
  })

  it('says when a peer would not start with it yet', async () => {
    const { run, json } = desk()
    const first = await run('set', 'tls-cert', '/c.pem')
    expect(first).toMatchObject({ code: 0, err: expect.stringMatching(/^Note: .*belong together/) })
    expect(await json('set', 'tls-key', '/k.pem')).toMatchObject({ start_refuses: null })
  })
})
