import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { receiptJson, receiptLiteJson } from '../../src/api/receipts/receipt-json.ts'
import type { ReceiptJson, ReceiptLiteJson } from '../../src/api/receipts/receipt-schema.ts'
import { createVerifyNative } from '../../src/identity/verify-native.ts'
import { entryCids, finalView, openView, segmentView } from '../api/receipt-views.ts'
import { network, provider } from '../wire/log-examples.ts'
import { fakePeer, json, stage, temporaryFolder } from './stage.ts'

const verifying = { network, verify: createVerifyNative() }

let final: ReceiptJson
let open: ReceiptJson
let other: ReceiptJson
let rows: ReceiptLiteJson[]
beforeAll(async () => {
  const views = [await finalView(), await openView({ isOver: false }), await segmentView()]
  ;[final, open, other] = views.map((view) => receiptJson(view, verifying)) as [
    ...[ReceiptJson, ReceiptJson, ReceiptJson],
  ]
  rows = views.map(receiptLiteJson)
})

const at = (cid: string) => `GET /v8/receipts/${encodeURIComponent(cid)}`
/** With a key: what was not published, too. */
const own = (id: string) => `GET /v1/receipts/${encodeURIComponent(id)}`
const missing = { error: { message: 'No peer that could be asked has this receipt.' } }
const request = 'req_01jd0000000000000000000000'

function fileOf(value: unknown): string {
  const path = join(temporaryFolder(), 'receipt.json')
  writeFileSync(path, typeof value === 'string' ? value : JSON.stringify(value))
  return path
}

/** A folder on which no peer runs. */
const nowhere = ['--data-dir', '/nowhere']

describe('receipts get', () => {
  it('shows what a receipt says, and what of it was checked here', async () => {
    const { dataDir, asked } = await fakePeer({ [at(final.cid)]: json(final) })
    const io = stage()
    expect(await io.run('receipts', 'get', final.cid, '--data-dir', dataDir)).toBe(0)
    const text = io.stdout.text
    expect(text).toMatch(/^ {2}CID +ryv1:sha256:/)
    for (const shown of [
      'llama-3.2-3b',
      '14 + 312',
      'All of it holds.',
      'That this model really',
    ]) {
      expect(text).toContain(shown)
    }
    expect(asked.at(-1)?.authorization).toBeUndefined()
  })

  it('is a file for "verify" with --json', async () => {
    const { dataDir } = await fakePeer({ [at(entryCids.routing)]: json(final) })
    const io = stage()
    const line = ['receipts', 'get', entryCids.routing, '--json', '--data-dir', dataDir]
    expect(await io.run(...line)).toBe(0)
    expect(JSON.parse(io.stdout.text)).toEqual(final)
    expect(await stage().run('receipts', 'verify', fileOf(io.stdout.text), ...nowhere)).toBe(0)
  })

  it('shows one that is still open', async () => {
    const { dataDir } = await fakePeer({ [at(open.cid)]: json(open) })
    const io = stage()
    expect(await io.run('receipts', 'get', open.cid, '--data-dir', dataDir)).toBe(0)
    expect(io.stdout.text).toMatch(/Status +open/)
  })

  it('does not take the word of a peer that shows another, or changed it', async () => {
    const forged = { ...final, model: 'gpt-9', verified: true }
    const { dataDir } = await fakePeer({
      [at(final.cid)]: json(forged),
      [at(open.cid)]: json(final),
    })
    for (const cid of [final.cid, open.cid]) {
      const io = stage()
      expect(await io.run('receipts', 'get', cid, '--data-dir', dataDir)).toBe(1)
      expect(io.stdout.text).toContain('It does not hold.')
    }
  })

  it('fails where there is none, or what is no receipt', async () => {
    const { dataDir } = await fakePeer({
      [at(final.cid)]: json(missing, 404),
      [own(final.cid)]: json(missing, 404),
      [at(open.cid)]: json({ hello: 'world' }),
    })
    const io = stage()
    expect(await io.run('receipts', 'get', final.cid, '--data-dir', dataDir)).toBe(1)
    expect(io.stderr.text).toContain('No peer that could be asked')
    expect(await io.run('receipts', 'get', open.cid, '--data-dir', dataDir)).toBe(1)
    expect(io.stderr.text).toContain('no receipt')
    expect(await io.run('receipts', 'get', '--data-dir', dataDir)).toBe(2)
  })

  it('shows one of an own request, and one that was not published', async () => {
    const { dataDir, asked } = await fakePeer({
      [own(request)]: json({ object: 'routing_receipt', ryv1_cid: final.cid }),
      [own('req_2')]: json({ object: 'routing_receipt', ryv1_cid: null, parts: [] }),
      [at(final.cid)]: json(missing, 404),
      [own(final.cid)]: json({ ...final, proof: null }),
    })
    const io = stage()
    expect(await io.run('receipts', 'get', request, '--data-dir', dataDir)).toBe(0)
    expect(io.stdout.text).toContain(final.cid)
    expect(asked.at(-1)?.authorization).toBe('Bearer sk-pnv-owner')
    expect(await io.run('receipts', 'get', 'req_2', '--data-dir', dataDir)).toBe(1)
    expect(io.stderr.text).toContain('names no receipt')
  })

  it('cannot make a mess of a terminal', async () => {
    const loud = '\u001b[2J\u202e'
    const { dataDir } = await fakePeer({ [at(final.cid)]: json({ ...final, model: loud }) })
    const io = stage()
    await io.run('receipts', 'get', final.cid, '--data-dir', dataDir)
    for (const each of ['\u001b', '\u202e']) expect(io.stdout.text).not.toContain(each)
  })
})

describe('receipts list', () => {
  it('is a table', async () => {
    const list = { object: 'list', data: rows }
    const { dataDir, asked } = await fakePeer({
      'GET /v8/receipts/recent': json(list),
      'GET /v8/receipts/recent?limit=2&model=phi-4': json({ ...list, data: [] }),
    })
    const io = stage()
    expect(await io.run('receipts', 'list', '--data-dir', dataDir)).toBe(0)
    const [head, first, ...others] = io.stdout.text.split('\n')
    expect(head).toMatch(/^CID +TIME +STATUS +NODE +MODEL +TOKENS +CHECKED$/)
    expect(first).toContain(`${final.cid}  2026-09-21 14:13  final`)
    expect(first).toMatch(/14 \+ 312 {2}ok$/)
    expect(others.filter((line) => line !== '')).toHaveLength(2)
    const few = ['--limit', '2', '--model', 'phi-4']
    expect(await io.run('receipts', 'list', ...few, '--data-dir', dataDir)).toBe(0)
    expect(io.stdout.text).toContain('No receipt yet')
    expect(asked.at(-1)?.path).toContain('limit=2')
    expect(await io.run('receipts', 'list', '--limit', '0', '--data-dir', dataDir)).toBe(2)
  })

  it('is an array for programs', async () => {
    const { dataDir } = await fakePeer({
      'GET /v8/receipts/recent': json({ object: 'list', data: rows }),
    })
    const io = stage()
    expect(await io.run('receipts', 'list', '--json', '--data-dir', dataDir)).toBe(0)
    expect(JSON.parse(io.stdout.text)).toEqual(rows)
  })

  it.each([{ data: 7 }, { data: [null] }, { data: [{ cid: 7 }] }])('refuses %j', async (answer) => {
    const { dataDir } = await fakePeer({ 'GET /v8/receipts/recent': json(answer) })
    const io = stage()
    expect(await io.run('receipts', 'list', '--data-dir', dataDir)).toBe(1)
  })
})

describe('receipts verify', () => {
  it('says what a file proves and what it does not, with no peer around', async () => {
    const io = stage()
    expect(await io.run('receipts', 'verify', fileOf(final.proof), ...nowhere)).toBe(0)
    expect(io.stdout.text).toContain(`All of it holds. ${final.cid}`)
    expect(io.stdout.text).toMatch(/yes {2}12D3Koo\w+ signed 326 units/)
    expect(io.stdout.text.replaceAll(/\s+/g, ' ')).toMatch(
      /Not proved by it: .* That this model really ran/,
    )
  })

  it('says what does not hold, by its exit code too', async () => {
    const proof = final.proof as { receipt: object }
    const changed = { ...proof, receipt: { ...proof.receipt, metering_units: 327 } }
    const io = stage()
    expect(await io.run('receipts', 'verify', fileOf(changed), ...nowhere)).toBe(1)
    expect(io.stdout.text).toMatch(/It does not hold\.[\s\S]*NO {3}This does not hold/)
  })

  it('checks that it is a certain one, and about a certain text', async () => {
    const file = fileOf(final)
    const verify = (...more: string[]) =>
      stage().run('receipts', 'verify', file, ...more, ...nowhere)
    expect(await verify('--cid', final.multiformats_cid)).toBe(0)
    expect(await verify('--cid', other.cid)).toBe(1)
    expect(await verify('--answer', fileOf('job_1.1'))).toBe(0)
    expect(await verify('--answer', fileOf('job_1.2'))).toBe(1)
    // As `chat > FILE` and echo write it; what has more lines than that is another text.
    expect(await verify('--answer', fileOf('job_1.1\n'))).toBe(0)
    expect(await verify('--answer', fileOf('job_1.1\n\n'))).toBe(1)
    expect(await verify('--answer', fileOf('job_1.1'), '--nonce', '00'.repeat(32))).toBe(1)
    expect(await verify('--nonce', 'zz')).toBe(2)
    expect(await verify('--cid', 'zz')).toBe(2)
  })

  it('takes a CID too', async () => {
    const { dataDir } = await fakePeer({
      [at(final.cid)]: json(final),
      [at(open.cid)]: json(final),
    })
    const verify = (cid: string) => stage().run('receipts', 'verify', cid, '--data-dir', dataDir)
    expect(await verify(final.cid)).toBe(0)
    expect(await verify(open.cid)).toBe(1)
  })

  it('is a report for programs', async () => {
    const io = stage()
    expect(await io.run('receipts', 'verify', fileOf(final), '--json', ...nowhere)).toBe(0)
    expect(JSON.parse(io.stdout.text)).toMatchObject({
      cid: final.cid,
      node: provider.peerId,
      holds: true,
      findings: expect.arrayContaining([
        { what: 'receipt', holds: true, says: expect.any(String) },
      ]),
    })
  })

  it.each(['', '{', '{}', '[]', '"text"'])('fails on %j, which is no receipt', async (text) => {
    const io = stage()
    expect(await io.run('receipts', 'verify', fileOf(text), ...nowhere)).toBe(1)
    expect(io.stderr.text).toContain('no receipt that can be checked')
  })

  it('fails on a file that is not UTF-8', async () => {
    const file = fileOf('')
    writeFileSync(file, Buffer.concat([Buffer.from('{"a":"'), Buffer.of(0xff), Buffer.from('"}')]))
    const io = stage()
    expect(await io.run('receipts', 'verify', file, ...nowhere)).toBe(1)
    expect(io.stderr.text).toContain('utf-8')
  })

  it('fails on a file that is not there', async () => {
    const io = stage()
    expect(await io.run('receipts', 'verify', '/nowhere/receipt.json', ...nowhere)).toBe(1)
    expect(io.stderr.text).toContain('Cannot read')
    expect(await io.run('receipts', 'verify', ...nowhere)).toBe(2)
  })
})

describe('receipts export', () => {
  const exported = (...args: string[]) => ['receipts', 'export', ...args]

  it('writes a file that proves itself, with nothing but the file', async () => {
    const { dataDir } = await fakePeer({ [at(final.cid)]: json(final) })
    const file = join(temporaryFolder(), 'proof.json')
    const io = stage()
    expect(await io.run(...exported(final.cid, file), '--data-dir', dataDir)).toBe(0)
    expect(io.stdout.text).toContain(`Written to ${file}.`)
    expect(io.stdout.text).toContain('All of it holds.')
    const proof = JSON.parse(readFileSync(file, 'utf8'))
    expect(proof).toEqual(final.proof)
    expect(proof.entries).toHaveLength(2)
    expect(await stage().run('receipts', 'verify', file, '--cid', final.cid, ...nowhere)).toBe(0)
  })

  it('writes over no file but when told to', async () => {
    const { dataDir } = await fakePeer({ [at(final.cid)]: json(final) })
    const file = fileOf('precious')
    const io = stage()
    expect(await io.run(...exported(final.cid, file), '--data-dir', dataDir)).toBe(1)
    expect(io.stderr.text).toContain('--force')
    expect(readFileSync(file, 'utf8')).toBe('precious')
    const forced = [...exported(final.cid, file), '--force', '--json', '--data-dir', dataDir]
    expect(await io.run(...forced)).toBe(0)
    expect(JSON.parse(io.stdout.text)).toMatchObject({
      file,
      report: { holds: true, cid: final.cid },
    })
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(final.proof)
  })

  it('is the output for a pipe, and what came of an open receipt', async () => {
    const over = { ...open, final_cid: final.cid }
    const { dataDir } = await fakePeer({
      [own(request)]: json({ ryv1_cid: open.cid }),
      [at(open.cid)]: json(over),
      [at(final.cid)]: json(final),
    })
    const io = stage()
    expect(await io.run(...exported(request, '-'), '--data-dir', dataDir)).toBe(0)
    expect(JSON.parse(io.stdout.text)).toEqual(final.proof)
  })

  it('writes nothing that does not hold, is another, or is not done', async () => {
    const proof = final.proof as { receipt: object }
    const forged = { ...proof, receipt: { ...proof.receipt, metering_units: 1 } }
    const { dataDir } = await fakePeer({
      [at(final.cid)]: json({ ...final, proof: forged }),
      [at(other.cid)]: json(final),
      [at(open.cid)]: json({ ...open, final_cid: null }),
    })
    for (const [cid, says] of [
      [final.cid, 'does not hold'],
      [other.cid, 'does not hold'],
      [open.cid, 'still open'],
    ] as const) {
      const io = stage()
      const file = join(temporaryFolder(), 'proof.json')
      expect(await io.run(...exported(cid, file), '--data-dir', dataDir)).toBe(1)
      expect(io.stderr.text).toContain(says)
      expect(existsSync(file)).toBe(false)
    }
    expect(await stage().run(...exported(), '--data-dir', dataDir)).toBe(2)
  })
})
