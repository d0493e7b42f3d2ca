import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  mayRun,
  type PeerInfo,
  readPeerInfo,
  removePeerInfo,
  writePeerInfo,
} from '../src/peer-file.ts'

const info: PeerInfo = {
  version: '0.1.0',
  peerId: '12D3KooTest',
  pid: process.pid,
  http: 'https://127.0.0.1:7462',
  certFile: '/cert.pem',
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'pinaivu-peer-file-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

describe('peer.json', () => {
  it('is read as it was written, by its owner alone, and leaves nothing beside it', async () => {
    const dataDir = join(folder(), 'new')
    await writePeerInfo(dataDir, { ...info, http: null, certFile: null })
    await writePeerInfo(dataDir, info)
    expect(await readPeerInfo(dataDir)).toEqual(info)
    expect(statSync(join(dataDir, 'peer.json')).mode & 0o777).toBe(0o600)
    expect(readdirSync(dataDir)).toEqual(['peer.json'])
  })

  it('makes use of what a killed peer left beside it', async () => {
    const dataDir = folder()
    writeFileSync(join(dataDir, 'peer.json.tmp'), '{"half', { mode: 0o644 })
    await writePeerInfo(dataDir, info)
    expect(readdirSync(dataDir)).toEqual(['peer.json'])
    expect(statSync(join(dataDir, 'peer.json')).mode & 0o777).toBe(0o600)
  })

  it('is removed by the peer that wrote it, and not by one that went before', async () => {
    const dataDir = folder()
    await removePeerInfo(dataDir, info.pid)
    await writePeerInfo(dataDir, info)
    await removePeerInfo(dataDir, info.pid + 1)
    expect(await readPeerInfo(dataDir)).toEqual(info)
    await removePeerInfo(dataDir, info.pid)
    expect(await readPeerInfo(dataDir)).toBeUndefined()
  })

  it.each([
    '',
    '{"version":',
    'null',
    '[]',
    JSON.stringify({ ...info, pid: -1 }),
    JSON.stringify({ ...info, pid: '1' }),
    JSON.stringify({ ...info, http: 'file:///etc/passwd' }),
    JSON.stringify({ ...info, certFile: 7 }),
  ])('counts as missing when it says %j', async (text) => {
    const dataDir = folder()
    writeFileSync(join(dataDir, 'peer.json'), text)
    expect(await readPeerInfo(dataDir)).toBeUndefined()
  })

  it('tells whether its process is certainly gone', () => {
    expect(mayRun(info)).toBe(true)
    // Above the highest process number of any system.
    expect(mayRun({ ...info, pid: 2 ** 30 })).toBe(false)
  })
})
