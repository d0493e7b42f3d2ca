import { describe, expect, it } from 'vitest'
import { expiryOf } from '../../bin/keys.ts'
import { fakePeer, json, stage } from './stage.ts'

const list = '/api/v1/auth/api-keys?order=asc&limit=100'

const row = {
  id: 'key_01',
  object: 'api_key',
  name: 'laptop',
  prefix: 'sk-pnv-abcd',
  account: 'owner',
  scopes: ['inference', 'models:read'],
  created_at: '2027-01-15T08:00:00.000Z',
  last_used_at: null,
  expires_at: null,
  revoked_at: null,
  credit_limit: null,
  rpm_limit: 60,
  tpm_limit: null,
  concurrency_limit: 4,
  jurisdiction: 'DE',
  overlap_ends_at: null,
}

describe('keys', () => {
  it('lists', async () => {
    const other = { ...row, id: 'key_02', rpm_limit: null, concurrency_limit: null }
    const { dataDir, asked } = await fakePeer({
      [`GET ${list}`]: json({ object: 'list', data: [row], has_more: true }),
      [`GET ${list}&after=key_01`]: json({
        ...{ object: 'list', data: [{ ...other, jurisdiction: null }], has_more: false },
      }),
    })
    const io = stage()
    expect(await io.run('keys', 'list', '--data-dir', dataDir)).toBe(0)
    expect(io.stdout.text).toBe(
      'ID      NAME    KEY           ACCOUNT  SCOPES                 LIMITS                   ' +
        'CREATED           LAST USED  EXPIRES\n' +
        'key_01  laptop  sk-pnv-abcd…  owner    inference models:read  60 rpm, 4 at a time, DE  ' +
        '2027-01-15 08:00  -          -\n' +
        'key_02  laptop  sk-pnv-abcd…  owner    inference models:read  -                        ' +
        '2027-01-15 08:00  -          -\n',
    )
    expect(asked.at(-1)?.authorization).toBe('Bearer sk-pnv-owner')
    io.stdout.text = ''
    await io.run('keys', 'list', '--json', '--data-dir', dataDir)
    expect(JSON.parse(io.stdout.text)).toEqual([row, { ...other, jurisdiction: null }])
  })

  it('creates, and prints the key alone on stdout', async () => {
    const { dataDir, asked } = await fakePeer({
      'POST /api/v1/auth/api-keys': json({ ...row, key: 'sk-pnv-abcdefgh' }, 201),
    })
    const io = stage()
    const args = ['--name', 'laptop', '--account', 'alice', '--scope', 'inference', '--data-dir']
    const numbers = ['--credit-limit', '0', '--rpm', '60', '--tpm', '40000', '--concurrency', '4']
    const limits = [...numbers, '--jurisdiction', 'EU']
    expect(
      await io.run('keys', 'create', ...args, dataDir, '--scope', 'models:read', ...limits),
    ).toBe(0)
    expect(io.stdout.text).toBe('sk-pnv-abcdefgh\n')
    expect(io.stderr.text).toMatch(/not shown again/)
    expect(asked.at(-1)?.body).toEqual({
      name: 'laptop',
      account: 'alice',
      scopes: ['inference', 'models:read'],
      ...{ credit_limit: 0, rpm_limit: 60, tpm_limit: 40_000, concurrency_limit: 4 },
      jurisdiction: 'EU',
    })
  })

  it.each([
    [[], {}, '2027-01-16T08:00:00.000Z', /the old one works until 2027-01-16 08:00 UTC/],
    [['--overlap', '2h'], { overlap_seconds: 7200 }, null, /the old one ended just now/],
    [['--overlap', '0'], { overlap_seconds: 0 }, null, /the old one ended just now/],
  ])('rotates %j', async (options, body, overlap_ends_at, note) => {
    const key = 'sk-pnv-abcdefgh'
    const { dataDir, asked } = await fakePeer({
      'POST /api/v1/auth/api-keys/key_01/rotate': json({ ...row, key, overlap_ends_at }),
    })
    const io = stage()
    expect(await io.run('keys', 'rotate', 'key_01', ...options, '--data-dir', dataDir)).toBe(0)
    expect(io.stdout.text).toBe(`${key}\n`)
    expect(io.stderr.text).toMatch(note)
    expect(asked.at(-1)?.body).toEqual(body)
  })

  it('revokes', async () => {
    const revoked = { ...row, revoked_at: '2027-01-15T08:00:00.000Z', deleted: true }
    const { dataDir } = await fakePeer({ 'DELETE /api/v1/auth/api-keys/key_01': json(revoked) })
    const io = stage()
    expect(await io.run('keys', 'revoke', 'key_01', '--data-dir', dataDir)).toBe(0)
    expect(io.stdout.text).toBe('Key "laptop" of account owner is revoked.\n')
    io.stdout.text = ''
    await io.run('keys', 'revoke', 'key_01', '--json', '--data-dir', dataDir)
    expect(JSON.parse(io.stdout.text)).toEqual(revoked)
  })

  it.each([
    [['rotate'], /Say which key by its id/],
    [['revoke', 'laptop'], /Say which key by its id/],
    [['revoke', 'key_1/../me'], /Say which key by its id/],
    [['rotate', 'key_1', '--overlap', '1'], /--overlap: expected 7d, 12h, 30min or 0: "1"/],
    [['create', '--rpm', '0'], /--rpm: expected a whole number from 1 on: "0"/],
    [['create', '--credit-limit', '-1'], /--credit-limit/],
    [['create', '--tpm', 'many'], /--tpm: expected a whole number/],
  ])('%j is wrong use', async (args, text) => {
    const io = stage()
    expect(await io.run('keys', ...args)).toBe(2)
    expect(io.stderr.text).toMatch(text)
  })

  it('understands when a key expires', () => {
    const now = Date.UTC(2026, 0, 1)
    expect(expiryOf('90d', now)).toBe('2026-04-01T00:00:00.000Z')
    expect(expiryOf('12h', now)).toBe('2026-01-01T12:00:00.000Z')
    expect(expiryOf('30min', now)).toBe('2026-01-01T00:30:00.000Z')
    expect(expiryOf('2026-01-02', now)).toBe('2026-01-02T00:00:00.000Z')
    expect(() => expiryOf('2025-12-31', now)).toThrow(/in the past/)
    expect(() => expiryOf('0d', now)).toThrow(/in the past/)
    expect(expiryOf('2026-01-02T03:04:05+01:00', now)).toBe('2026-01-02T02:04:05.000Z')
    for (const text of ['2026-13-45', '2026-02-31', '2026-01-31junk', '2026-01-02T25:00']) {
      expect(() => expiryOf(text, now)).toThrow(/expected 90d/)
    }
  })
})
