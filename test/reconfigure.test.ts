import { describe, expect, it } from 'vitest'
import { readConfig } from '../src/config/config.ts'
import { settingList } from '../src/config/settings.ts'
import { reconfigured } from '../src/reconfigure.ts'

const read = (toml = '') =>
  readConfig({ flags: { 'data-dir': '/d' }, env: {}, home: '/', readFile: () => toml })

describe('a configuration for a running peer', () => {
  it('takes over what is read anew each time, and names the rest', () => {
    const wanted = read(
      'price = "1/2"\nregion = "DE"\ncredit-limit = 7\nlog-level = "debug"\nslots = 2\n' +
        'tls-cert = "/c"\ntls-key = "/k"\n[aliases]\na = "b"\n',
    )
    const { config, changed, needsRestart } = reconfigured(read(), wanted)
    expect(changed.toSorted()).toEqual(['aliases', 'credit-limit', 'log-level', 'price'])
    expect(needsRestart.toSorted()).toEqual(['region', 'slots', 'tls-cert'])
    const { price, aliases, creditLimit, logLevel } = wanted
    expect(config).toEqual({ ...read(), price, aliases, creditLimit, logLevel })
    expect(Object.isFrozen(config)).toBe(true)
    // What needs a restart goes on needing it; what was taken over is no news.
    expect(reconfigured(config, wanted)).toMatchObject({ changed: [], needsRestart })
  })

  it('says nothing where nothing changed, whatever was odd', () => {
    const before = { ...read(), notices: ['odd'] }
    expect(reconfigured(before, read())).toMatchObject({ changed: [], needsRestart: [] })
  })

  it('has a name for every setting', () => {
    const flags = settingList.map(({ flag }) => flag)
    const other = Object.fromEntries(Object.keys(read()).map((key) => [key, 'other']))
    const { changed, needsRestart } = reconfigured(read(), other as never)
    for (const name of [...changed, ...needsRestart]) expect([...flags, 'aliases']).toContain(name)
  })
})
