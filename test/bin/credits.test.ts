import { describe, expect, it } from 'vitest'
import { fakePeer, json, stage } from './stage.ts'

const transaction = {
  ...{ id: 'txn_0000000000000002', type: 'charge', amount: -1_500, balance: 8_500 },
  ...{ created_at: '2027-01-15T08:00:00.000Z', model: 'phi-4', job_id: 'job_1', expires_at: null },
}
const wallet = {
  ...{ account: 'alice', current_credits: 8_500 },
  ...{ reserved_credits: 500, available_credits: 8_000 },
}

describe('credits', () => {
  it('shows what there is, and where it went', async () => {
    const { dataDir, asked } = await fakePeer({
      'GET /api/v1/credits?account=alice': json(wallet),
      'GET /api/v1/credits/ledger?account=alice&limit=5': json({ data: [transaction] }),
    })
    const io = stage()
    const args = ['--account', 'alice', '--limit', '5', '--data-dir', dataDir]
    expect(await io.run('credits', ...args)).toBe(0)
    expect(io.stdout.text).toBe(
      '  account      alice\n  available    8,000\n  set aside    500\n\n' +
        'WHEN              WHAT    AMOUNT  BALANCE  FOR\n' +
        '2027-01-15 08:00  charge  -1,500    8,500  phi-4\n',
    )
    io.stdout.text = ''
    await io.run('credits', '--json', ...args)
    expect(JSON.parse(io.stdout.text)).toEqual({ ...wallet, ledger: [transaction] })
    expect(asked.at(-1)?.authorization).toBe('Bearer sk-pnv-owner')
  })

  it('are granted', async () => {
    const made = { ...transaction, account: 'alice', type: 'grant', balance: 9_000 }
    const { dataDir, asked } = await fakePeer({ 'POST /api/v1/credits/grants': json(made, 201) })
    const io = stage()
    expect(await io.run('credits', 'grant', 'alice', '500', '--data-dir', dataDir)).toBe(0)
    expect(io.stdout.text).toBe('alice has 9,000 micro-credits now.\n')
    expect(asked.at(-1)?.body).toEqual({ account: 'alice', amount: 500 })
    const end = ['--expires', '2999-01-01', '--json', '--data-dir', dataDir]
    expect(await io.run('credits', 'grant', 'alice', '500', ...end)).toBe(0)
    expect(asked.at(-1)?.body).toMatchObject({ expires_at: '2999-01-01T00:00:00.000Z' })
  })

  it.each([
    [['credits', 'grant', 'alice'], /needs an account and a number/],
    [['credits', 'grant', 'alice', '1.5'], /N: expected a whole number of micro-credits/],
    [['credits', 'grant', 'alice', '0'], /N: expected a whole number of micro-credits/],
    [['credits', 'grnt'], /no use for "grnt"/],
    [['credits', '--limit', '101'], /--limit: expected a whole number from 1 to 100/],
    [['usage', '--days', '0'], /--days: expected a whole number from 1 to 400/],
  ])('%j is wrong use', async (args, text) => {
    const io = stage()
    expect(await io.run(...args)).toBe(2)
    expect(io.stderr.text).toMatch(text)
  })

  it.each([
    [{ ok: true, problems: [] }, 0, /Everything adds up/],
    [{ ok: false, problems: ['alice has 5'] }, 1, /wrong +alice has 5[\s\S]*does not add up/],
  ])('are audited: %j', async (found, code, text) => {
    const report = {
      ...{ sum: 0, accounts: 2, entries: 7, charges: { matched: 4, without_entry: 0 } },
      ...{ balances: { wallets: 5, issued: -5 }, ...found },
    }
    const { dataDir } = await fakePeer({ 'GET /api/v1/credits/audit': json(report) })
    const io = stage()
    expect(await io.run('credits', 'audit', '--data-dir', dataDir)).toBe(code)
    expect(io.stdout.text).toMatch(text)
    expect(io.stdout.text).toMatch(/charges +4 as in the log/)
  })

  it('that peers owe each other are listed', async () => {
    const id = '12D3KooWx'
    const row = { id, owed_to_peer: 7_000, owed_by_peer: 5, acknowledged_by_peer: 4 }
    const list = json({ data: [row], has_more: true })
    const { dataDir } = await fakePeer({ 'GET /api/v1/credits/owed?order=asc': list })
    const io = stage()
    expect(await io.run('credits', 'owed', '--data-dir', dataDir)).toBe(0)
    expect(io.stdout.text).toBe(
      'PEER       WE OWE  THEY OWE  ACKNOWLEDGED\n' +
        '12D3KooWx   7,000         5             4\n' +
        'More with --after 12D3KooWx.\n',
    )
  })
})

describe('usage', () => {
  it('shows it in all, by model, day and key', async () => {
    const counts = { requests: 3, failed_requests: 1, input_tokens: 30, output_tokens: 9, cost: 5 }
    const report = {
      ...{ account: 'alice', start_date: '2027-01-09', end_date: '2027-01-15' },
      ...{ total_requests: 3, failed_requests: 1, total_input_tokens: 30, total_output_tokens: 9 },
      ...{ total_cost: 5, by_model: [{ model: 'phi-4', ...counts }], by_day: [], by_key: [] },
    }
    const { dataDir } = await fakePeer({ 'GET /v1/usage?account=alice&days=7': json(report) })
    const io = stage()
    const args = ['--account', 'alice', '--days', '7', '--data-dir', dataDir]
    expect(await io.run('usage', ...args)).toBe(0)
    expect(io.stdout.text).toContain('3, of which 1 failed')
    expect(io.stdout.text).toMatch(/MODEL +REQUESTS +FAILED.*\nphi-4 +3 +1 +30 +9 +5\n/)
    io.stdout.text = ''
    await io.run('usage', '--json', ...args)
    expect(JSON.parse(io.stdout.text)).toEqual(report)
  })
})
