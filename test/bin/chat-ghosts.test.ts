import { describe, expect, it } from 'vitest'
import { v8Frame } from '../../src/wire/v8-codec.ts'
import type { V8Event } from '../../src/wire/v8-event.ts'
import { commit, draft, failed, finalize, opened, rollback } from '../wire/vectors/v8-events.ts'
import { chatPath, counting, head, messagesOf, ready } from './chat-answers.ts'
import { Screen } from './screen.ts'
import { type Answer, fakePeer, json, stage } from './stage.ts'

describe('chat at a terminal that shows colours', () => {
  const watched =
    (...events: V8Event[]): Answer =>
    (_asked, response) => {
      head(response)
      response.end(events.map(v8Frame).join(''))
    }
  const guessing = [opened, draft(0, 'I'), draft(1, ' guess'), commit(0, 'I'), rollback(1)]

  async function once(answer: Answer) {
    const { dataDir, asked } = await fakePeer({ ...ready, [chatPath]: answer })
    const io = stage({ tty: true })
    const screen = new Screen(80, 24)
    const seen: string[] = []
    io.stdout.write = (text) => {
      screen.write(text)
      seen.push(screen.lines.join('\n'))
    }
    const code = await io.run('chat', '--once', 'Hi', '--data-dir', dataDir)
    return { code, seen, screen, asked, stderr: io.stderr.text }
  }

  it('shows what is drafted until it is settled', async () => {
    const { code, seen, screen, asked } = await once(
      watched(...guessing, commit(1, ' know.'), finalize(2, 1)),
    )
    expect(code).toBe(0)
    expect(asked.at(-1)?.body).toMatchObject({ stream: true, stream_mode: 'v8' })
    expect(seen).toContain('I guess')
    expect(screen.lines.join('\n').trimEnd()).toBe('I know.')
  })

  it.each([
    ['breaks off', watched(...guessing, draft(1, ' am')), /ended before its answer did/],
    ['has an error', watched(...guessing, draft(1, ' am'), failed), /The engine failed/],
    ['is no such stream', counting, /`"stream_mode": "v8"`/],
    ['is refused', json({ error: { message: 'The model is gone.' } }, 404), /model is gone/],
  ])('leaves nothing that was only drafted where the answer %s', async (_name, answer, text) => {
    const { code, screen, stderr } = await once(answer)
    expect(code).toBe(1)
    expect(stderr).toMatch(text)
    expect(stderr).not.toMatch(/unexpected/)
    expect(screen.lines.join('\n')).toMatch(/^I?$/)
  })

  it('remembers what was settled of an answer that Ctrl-C stopped', async () => {
    let calls = 0
    const { dataDir, asked } = await fakePeer({
      ...ready,
      [chatPath]: (one, response) => {
        calls += 1
        if (calls > 1) watched(opened, commit(0, 'Yes.'), finalize(1, 0))(one, response)
        else {
          head(response)
          response.write(guessing.map(v8Frame).join('') + v8Frame(draft(1, ' am'), 9))
        }
      },
    })
    const io = stage({ tty: true })
    const done = io.run('chat', '--data-dir', dataDir)
    let at = await io.stdout.until('> ')
    io.stdin.write('Who?\r')
    at = await io.stdout.until(' am', at)
    io.stdin.write('\u0003')
    at = await io.stdout.until('> ', await io.stdout.until('(stopped;', at))
    io.stdin.write('Sure?\r')
    await io.stdout.until('Yes.', at)
    io.stdin.write('\u0004')
    expect(await done, io.stderr.text).toBe(0)
    expect(messagesOf(asked.at(-1))).toEqual([
      { role: 'user', content: 'Who?' },
      { role: 'assistant', content: 'I' },
      { role: 'user', content: 'Sure?' },
    ])
  })

  it('waits for the peer when the connection breaks, and keeps what was settled', async () => {
    let calls = 0
    const { dataDir, asked } = await fakePeer({
      ...ready,
      [chatPath]: (one, response) => {
        calls += 1
        if (calls > 1) watched(opened, commit(0, 'Yes.'), finalize(1, 0))(one, response)
        else {
          head(response)
          response.write(guessing.map(v8Frame).join(''), () => response.destroy())
        }
      },
    })
    const io = stage({ tty: true })
    const done = io.run('chat', '--data-dir', dataDir)
    let at = await io.stdout.until('> ')
    io.stdin.write('Who?\r')
    at = await io.stdout.until('Waiting for the peer', at)
    at = await io.stdout.until('> ', await io.stdout.until('(the peer is back)', at))
    io.stdin.write('Sure?\r')
    await io.stdout.until('Yes.', at)
    io.stdin.write('\u0004')
    expect(await done, io.stderr.text).toBe(0)
    expect(messagesOf(asked.at(-1))).toContainEqual({ role: 'assistant', content: 'I' })
  })

  it('leaves with Ctrl-D in the middle of an answer', async () => {
    const { dataDir } = await fakePeer({
      ...ready,
      [chatPath]: (_one, response) => {
        head(response)
        response.write(guessing.map(v8Frame).join('') + v8Frame(draft(1, ' am'), 9))
      },
    })
    const io = stage({ tty: true })
    const done = io.run('chat', '--data-dir', dataDir)
    const at = await io.stdout.until('> ')
    io.stdin.write('Who?\r')
    await io.stdout.until(' am', at)
    io.stdin.write('\u0004')
    expect(await done, io.stderr.text).toBe(0)
  })
})
