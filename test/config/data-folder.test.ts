import { describe, expect, it } from 'vitest'
import { findDataDir } from '../../src/config/config.ts'
import { machine } from './machine.ts'

describe('the data folder', () => {
  it('is a whole path, whatever the home folder is called', () => {
    expect(findDataDir(machine({ home: 'eve' }))).toBe('/there/eve/.local/share/pinaivu')
    expect(findDataDir(machine({ home: '', flags: { 'data-dir': '/d' } }))).toBe('/d')
  })

  it.each([
    ['linux', {}, '/home/eve/.local/share/pinaivu'],
    ['linux', { XDG_DATA_HOME: '/xdg' }, '/xdg/pinaivu'],
    ['linux', { XDG_DATA_HOME: 'relative' }, '/home/eve/.local/share/pinaivu'],
    ['darwin', {}, '/home/eve/Library/Application Support/pinaivu'],
    ['win32', { LOCALAPPDATA: '/app' }, '/app/pinaivu'],
    ['linux', { PINAIVU_DATA_DIR: '~/here' }, '/home/eve/here'],
  ])('on %s with %j is %s', (platform, env, path) => {
    expect(findDataDir(machine({ platform, env }))).toBe(path)
  })

  it('is found although the rest of the configuration is broken', () => {
    const broken = machine({ flags: { 'data-dir': 'd' }, env: { PINAIVU_HTTP: '?' }, toml: '=' })
    expect(findDataDir(broken)).toBe('/there/d')
  })
})
