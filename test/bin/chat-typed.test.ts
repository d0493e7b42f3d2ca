import { copyFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { receiptJson } from '../../src/api/receipts/receipt-json.ts'
import { createVerifyNative } from '../../src/identity/verify-native.ts'
import { writePeerInfo } from '../../src/peer-file.ts'
import { finalView } from '../api/receipt-views.ts'
import { network } from '../wire/log-examples.ts'
import { chatPath, chunk, counting, end, head, messagesOf } from './chat-answers.ts'
import { type Answer, fakePeer, json, stage, wholePeer } from './stage.ts'

describe('what a person at a terminal can type besides', () => {
  const enter = '\r'
  const esc = '\u001b'

  async function talk(routes: Record<string, Answer> = {}, ...args: string[]) {
    const peer = await fakePeer({ ...wholePeer, [chatPath]: counting, ...routes })
    const io = stage({ tty: true, env: { NO_COLOR: '1' } })
    const done = io.run('chat', '--data-dir', peer.dataDir, ...args)
    let at = await io.stdout.until('> ')
    /** Types a line; gives what was shown until the next prompt. */
    const type = async (line: string) => {
      const before = at
      io.stdin.write(`${line}${enter}`)
      // The prompt is drawn once when the line is typed, and once behind what came of it.
      at = await io.stdout.until(`${esc}[0J> ${esc}[3G`, at)
      return io.stdout.text.slice(before, at)
    }
    const leave = async () => {
      io.stdin.write(`/bye${enter}`)
      expect(await done).toBe(0)
    }
    return { ...peer, io, done, type, leave }
  }

  it('lists the models and switches, and says which one was meant', async () => {
    const gone = json({ error: { message: 'No.', code: 'model_not_found' } }, 404)
    const { type, leave, io, asked } = await talk({
      'GET /v1/models/phi-4': json({ id: 'phi-4', kind: 'chat' }),
      'GET /v1/models/phi-3': gone,
    })
    expect(await type('/model')).toMatch(/\* +pinaivu-demo +this peer[\s\S]* phi-4 +1 other peer /)
    await type('/model phi-3')
    expect(io.stderr.text).toMatch(/no model "phi-3"\. Did you mean phi-4\?/)
    expect(await type('/model phi-4')).toContain('From now on with phi-4.')
    await type('Hello')
    expect(asked.at(-1)?.body).toMatchObject({ model: 'phi-4' })
    await leave()
  })

  it('sets, shows and clears what the model is told beforehand', async () => {
    const { type, leave, asked } = await talk({}, '--system', 'Be brief.')
    expect(await type('/system')).toContain('Be brief.')
    await type('/system "Be kind."')
    await type('Hello')
    expect(messagesOf(asked.at(-1))).toContainEqual({ role: 'system', content: 'Be kind.' })
    await type('/system clear')
    expect(await type('/system')).toContain('told nothing')
    await leave()
  })

  it('asks the last question again, in place of its answer', async () => {
    let calls = 0
    const { type, leave, io, asked } = await talk({
      [chatPath]: (one, response) => {
        calls += 1
        if (calls === 3) json({ error: { message: 'Busy.' } }, 503)(one, response)
        else counting(one, response)
      },
    })
    await type('/retry')
    expect(io.stderr.text).toMatch(/Nothing was asked yet/)
    const hello = [{ role: 'user', content: 'Hello' }]
    await type('Hello')
    await type('/retry')
    expect(messagesOf(asked.at(-1))).toEqual(hello)
    await type('Fails')
    expect(io.stderr.text).toMatch(/Busy\./)
    await type('/retry')
    const answer = { role: 'assistant', content: 'I was sent 1 messages.' }
    expect(messagesOf(asked.at(-1))).toEqual([...hello, answer, { role: 'user', content: 'Fails' }])
    await leave()
  })

  it('shows the receipt of the last answer, what it cost, and that it is of another text', async () => {
    const receipt = receiptJson(await finalView(), { network, verify: createVerifyNative() })
    const named = { request_id: 'req_1', choices: [], receipt: { cid: receipt.cid } }
    const charge = { type: 'charge', amount: -40, request_id: 'req_1' }
    const { type, leave, io } = await talk({
      [chatPath]: (_one, response) => {
        head(response)
        response.end(`${chunk('Hm.', 'stop')}data: ${JSON.stringify(named)}\n\n${end}`)
      },
      [`GET /v8/receipts/${encodeURIComponent(receipt.cid)}`]: json(receipt),
      'GET /api/v1/credits/ledger?limit=100': json({
        data: [charge, { ...charge, request_id: 'req_2' }],
      }),
    })
    await type('/receipt')
    expect(io.stderr.text).toMatch(/There is no answer yet/)
    await type('Who?')
    const shown = await type('/receipt')
    expect(shown).toContain('It does not hold.')
    expect(shown).toMatch(/NO +This does not hold: The text is the one/)
    expect(shown).toMatch(/Cost +40 micro-credits/)
    await leave()
  })

  it('saves and loads', async () => {
    const { type, leave, io, asked, dataDir } = await talk()
    const file = join(dataDir, 'a chat.json')
    await type('Hello')
    expect(await type(`/save ${file}`)).toContain('Written to')
    await type(`/save ${file}`)
    expect(io.stderr.text).toMatch(/is there already/)
    await type('/clear')
    expect(await type(`/load ${file}`)).toContain('Loaded 1 answer from')
    await type('And now?')
    expect(messagesOf(asked.at(-1))).toHaveLength(3)
    await leave()
  })

  it('sends a line with a slash, a block, and what is pasted', async () => {
    const { type, leave, io, asked } = await talk()
    await type('/modle')
    expect(io.stderr.text).toMatch(/no \/modle\. Did you mean \/model\?/)
    await type('//etc')
    await type(`"""${enter}a${enter}b"""`)
    await type(`${esc}[200~/one${enter}two${esc}[201~`)
    const contents = (messagesOf(asked.at(-1)) as { content: string }[]).map((each) => each.content)
    expect(contents.filter((_, at) => at % 2 === 0)).toEqual(['/etc', 'a\nb', '/one\ntwo'])
    await leave()
  })

  it('has the lines of earlier chats again, but for secret and pasted ones', async () => {
    const first = await talk()
    await first.type('Hello')
    await first.type(' my password')
    await first.type(`${esc}[200~pasted${enter}text${esc}[201~`)
    await first.leave()
    expect(first.io.stderr.text).toBe('')
    const file = join(first.dataDir, 'chat-history')
    expect(readFileSync(file, 'utf8')).toBe('Hello\n/bye\n')
    const again = stage({ tty: true, env: { NO_COLOR: '1' } })
    const done = again.run('chat', '--data-dir', first.dataDir)
    const at = await again.stdout.until('> ')
    const up = `${esc}[A`
    again.stdin.write(`${up}${up}${enter}`)
    await again.stdout.until('I was sent 1 messages.', at)
    again.stdin.write('\u0004')
    expect(await done).toBe(0)
    expect(messagesOf(first.asked.at(-1))).toEqual([{ role: 'user', content: 'Hello' }])
  })

  it('keeps no lines with --no-history', async () => {
    const { type, leave, dataDir } = await talk({}, '--no-history')
    await type('Hello')
    await leave()
    expect(existsSync(join(dataDir, 'chat-history'))).toBe(false)
  })

  it('says once what the model is no longer given', async () => {
    const { type, leave, asked } = await talk({
      'GET /v1/models/pinaivu-demo': json({ id: 'pinaivu-demo', context_length: 80 }),
    })
    const said: string[] = []
    for (const question of ['1', '2', '3', '4', '5']) said.push(await type(question))
    expect(said.map((text) => text.includes('The context is full'))).toEqual([
      ...[false, false, false, true, false],
    ])
    const given = messagesOf(asked.at(-1)) as { content: string }[]
    expect(given.length).toBeLessThan(9)
    expect(given.at(-1)?.content).toBe('5')
    await leave()
  })

  it('gives less where the model finds it too long all the same', async () => {
    const { type, leave, asked } = await talk({
      [chatPath]: (one, response) => {
        const tooLong = { message: 'Shorten it.', code: 'context_length_exceeded' }
        const { length } = messagesOf(one) as unknown[]
        if (length > 3) json({ error: tooLong }, 400)(one, response)
        else counting(one, response)
      },
    })
    for (const question of ['1', '2', '3']) await type(question)
    expect(await type('4')).toContain('I was sent 3 messages.')
    expect(messagesOf(asked.at(-1))).toHaveLength(3)
    await leave()
  })
})

describe('a peer that is started anew', () => {
  it('is found again, and asked what it had not begun to answer', async () => {
    const cut: Answer = (_one, response) => {
      head(response)
      response.write(chunk('so f'), () => response.destroy())
    }
    const peer = await fakePeer({ ...wholePeer, [chatPath]: cut })
    const io = stage({ tty: true, env: { NO_COLOR: '1' } })
    const done = io.run('chat', '--data-dir', peer.dataDir)
    let at = await io.stdout.until('> ')
    // In the midst of an answer: what came of it stays.
    io.stdin.write('Hello\r')
    at = await io.stdout.until('Waiting for the peer', at)
    at = await io.stdout.until('/retry asks again', at)
    // Before it: the question is asked of the new one.
    const next = await fakePeer({ ...wholePeer, [chatPath]: counting })
    await peer.close()
    io.stdin.write('Again\r')
    at = await io.stdout.until('Waiting for the peer', at)
    copyFileSync(join(next.dataDir, 'peer.json'), join(peer.dataDir, 'peer.json'))
    at = await io.stdout.until('(the peer is back)', at)
    at = await io.stdout.until('> ', await io.stdout.until('I was sent 3 messages.', at))
    expect(messagesOf(next.asked.at(-1))).toHaveLength(3)
    // Also for what is no question.
    const last = await fakePeer(wholePeer)
    await next.close()
    io.stdin.write('/model\r')
    at = await io.stdout.until('Waiting for the peer', at)
    copyFileSync(join(last.dataDir, 'peer.json'), join(peer.dataDir, 'peer.json'))
    await io.stdout.until('* ', await io.stdout.until('(the peer is back)', at))
    io.stdin.write('\u0004')
    expect(await done, io.stderr.text).toBe(0)
    expect(messagesOf(next.asked.at(-1))).toEqual([
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: 'so f' },
      { role: 'user', content: 'Again' },
    ])
  })

  it('is waited for to end, when it says that it does', async () => {
    const closing = { error: { message: 'The peer is shutting down.', code: 'shutting_down' } }
    const peer = await fakePeer({ ...wholePeer, [chatPath]: json(closing, 503) })
    const next = await fakePeer({ ...wholePeer, [chatPath]: counting })
    const io = stage({ tty: true, env: { NO_COLOR: '1' } })
    const done = io.run('chat', '--data-dir', peer.dataDir)
    let at = await io.stdout.until('> ')
    io.stdin.write('Hello\r')
    at = await io.stdout.until('(The peer is shutting down. Waiting for the peer', at)
    // The first still answers, but another process says that it runs on the folder.
    const info = { version: '0.1.0', peerId: '12D3KooTest', http: next.url, certFile: null }
    await writePeerInfo(peer.dataDir, { ...info, pid: process.ppid })
    at = await io.stdout.until('I was sent 1 messages.', at)
    expect(io.stdout.text.match(/Waiting for the peer/g)).toHaveLength(1)
    io.stdin.write('\u0004')
    expect(await done, io.stderr.text).toBe(0)
  })

  it('is no longer waited for after Ctrl-C', async () => {
    const peer = await fakePeer({ ...wholePeer, [chatPath]: counting })
    const io = stage({ tty: true, env: { NO_COLOR: '1' } })
    const done = io.run('chat', '--data-dir', peer.dataDir)
    let at = await io.stdout.until('> ')
    await peer.close()
    io.stdin.write('Hello\r')
    at = await io.stdout.until('Waiting for the peer', at)
    io.stdin.write('\u0003')
    at = await io.stdout.until('(stopped; Ctrl-C again leaves)', at)
    await io.stdout.until('> ', at)
    io.stdin.write('\u0003')
    expect(await done).toBe(0)
  })
})
