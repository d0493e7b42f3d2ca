import { describe, expect, it } from 'vitest'
import { chatPath, chunk, counting, head, messagesOf, ready } from './chat-answers.ts'
import { type Answer, fakePeer, json, stage } from './stage.ts'

describe('chat at a terminal', () => {
  const ctrlC = '\u0003'
  const ctrlD = '\u0004'
  const enter = '\r'

  async function dialogue(answer: Answer) {
    const peer = await fakePeer({ ...ready, [chatPath]: answer })
    const io = stage({ tty: true, env: { NO_COLOR: '1' } })
    const done = io.run('chat', '--data-dir', peer.dataDir)
    const prompt = await io.stdout.until('> ')
    return { ...peer, io, done, prompt }
  }

  it('converses, clears, helps, and leaves with /quit', async () => {
    const { io, done, asked, prompt } = await dialogue(counting)
    io.stdin.write(`Hello!${enter}`)
    let at = await io.stdout.until('I was sent 1 messages.\n', prompt)
    at = await io.stdout.until('> ', at)
    io.stdin.write(`/clear${enter}`)
    at = await io.stdout.until('> ', await io.stdout.until('forgotten.', at))
    io.stdin.write(`/help${enter}`)
    at = await io.stdout.until('> ', await io.stdout.until('stops an answer', at))
    io.stdin.write(`Again${enter}`)
    await io.stdout.until('I was sent 1 messages.\n', at)
    io.stdin.write(`/quit${enter}`)
    expect(await done).toBe(0)
    expect(messagesOf(asked.at(-1))).toEqual([{ role: 'user', content: 'Again' }])
  })

  it('stops an answer with Ctrl-C, keeps what came of it, and leaves with Ctrl-D', async () => {
    let vanished: () => void = () => {}
    const clientLeft = new Promise<void>((resolve) => {
      vanished = resolve
    })
    let calls = 0
    const { io, done, asked, prompt } = await dialogue((one, response) => {
      calls += 1
      if (calls > 1) {
        counting(one, response)
        return
      }
      head(response)
      response.on('close', vanished)
      response.write(chunk('It was a dark'))
    })
    io.stdin.write(`Tell me${enter}`)
    let at = await io.stdout.until('It was a dark', prompt)
    io.stdin.write(ctrlC)
    at = await io.stdout.until('> ', await io.stdout.until('(stopped;', at))
    await clientLeft
    io.stdin.write(`Go on${enter}`)
    at = await io.stdout.until('I was sent 3 messages.', at)
    expect(messagesOf(asked.at(-1))).toEqual([
      { role: 'user', content: 'Tell me' },
      { role: 'assistant', content: 'It was a dark' },
      { role: 'user', content: 'Go on' },
    ])
    await io.stdout.until('> ', at)
    io.stdin.write(ctrlD)
    expect(await done).toBe(0)
  })

  it('leaves at the second Ctrl-C at the prompt, and first drops what is half typed', async () => {
    const { io, done, prompt } = await dialogue(counting)
    io.stdin.write('half typ')
    let at = await io.stdout.until('half typ', prompt)
    io.stdin.write(ctrlC)
    at = await io.stdout.until('> ', at)
    io.stdin.write(ctrlC)
    await io.stdout.until('(Ctrl-C again, Ctrl-D or /bye leaves)', at)
    io.stdin.write(ctrlC)
    expect(await done).toBe(0)
  })

  it('goes on after an answer that failed, without its question', async () => {
    let calls = 0
    const { io, done, asked, prompt } = await dialogue((one, response) => {
      calls += 1
      if (calls > 1) counting(one, response)
      else json({ error: { message: 'Too long.' } }, 400)(one, response)
    })
    io.stdin.write(`Long${enter}`)
    await io.stderr.until('Error: Too long.')
    io.stdin.write(`Short${enter}`)
    await io.stdout.until('I was sent 1 messages.', prompt)
    expect(messagesOf(asked.at(-1))).toEqual([{ role: 'user', content: 'Short' }])
    io.interrupt()
    expect(await done).toBe(0)
  })
})
