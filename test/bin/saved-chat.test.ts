import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { jsonOf, loadChat, markdownOf, parseChat, pathOf, saveChat } from '../../bin/saved-chat.ts'
import type { Turn } from '../../bin/trim-turns.ts'
import { temporaryFolder } from './stage.ts'

const turn: Turn = {
  ...{ question: 'Who?', answer: 'I.', model: 'phi-4', isCut: false },
  ...{ requestId: 'req_1', receipt: { cid: 'ryv1:sha256:00', prompt_nonce: 'ab' } },
}
const chat = { model: 'phi-4', system: 'Be brief.', turns: [turn, { ...turn, isCut: true }] }

describe('a saved chat', () => {
  it('is Markdown, with what was cut and which receipt belongs to what', () => {
    expect(markdownOf({ ...chat, turns: [{ ...turn, isCut: true }] })).toBe(
      '# A chat with phi-4\n\n## System\n\nBe brief.\n\n## You\n\nWho?\n\n## phi-4\n\nI.\n\n' +
        '*(cut off)*\n\n<!-- receipt ryv1:sha256:00 -->\n',
    )
  })

  it('has nothing in it that a terminal obeys, and all of it in JSON', () => {
    const evil = 'a\u001b]0;x\u0007b\u009b2J\u007f\tc\n'
    const given = { ...chat, system: undefined, turns: [{ ...turn, answer: evil }] }
    expect(markdownOf(given)).toContain('a␛]0;x␇b\ufffd2J␡\tc\n')
    for (const text of [markdownOf(given), jsonOf(given)]) {
      expect(text).not.toMatch(/(?![\n\t])\p{Cc}/u)
    }
    expect(parseChat(jsonOf(given), 'x').turns[0]?.answer).toBe(evil)
  })

  it('comes back from JSON as it was', () => {
    const text = fc.string({ unit: 'binary', maxLength: 20 })
    const turns = fc.array(
      fc.record({ question: text, answer: text, model: text, isCut: fc.boolean() }),
      { maxLength: 4 },
    )
    const system = fc.option(text, { nil: undefined })
    fc.assert(
      fc.property(text, system, turns, (model, told, said) => {
        const all = said.map((each) => ({ ...each, requestId: undefined, receipt: undefined }))
        const given = { model, system: told, turns: all }
        expect(parseChat(jsonOf(given), 'x')).toEqual(given)
      }),
    )
    expect(parseChat(jsonOf(chat), 'x')).toEqual(chat)
  })

  it('is read as other programs write it, too', () => {
    const messages = [
      { role: 'user', content: 'a' },
      { role: 'assistant', content: 'b', receipt: { cid: '--> evil' }, request_id: '../../x' },
      { role: 'user', content: 'without an answer' },
    ]
    const { turns, ...rest } = parseChat(JSON.stringify({ messages }), 'x')
    expect(rest).toEqual({ model: '', system: undefined })
    expect(turns).toEqual([
      { question: 'a', answer: 'b', model: '', isCut: false, requestId: undefined },
    ])
  })

  it.each([
    ['not JSON', /it is not JSON/],
    ['null', /no list of messages/],
    ['{"messages":{}}', /no list of messages/],
    ['{"messages":[null]}', /no role or no text/],
    ['{"messages":[{"role":"user","content":["a"]}]}', /no role or no text/],
    ['{"messages":[{"role":"assistant","content":"a"}]}', /do not take turns/],
    [JSON.stringify({ messages: Array(5000).fill(0) }), /more than 2000 answers/],
  ])('%.40s is none', (text, says) => {
    expect(() => parseChat(text, 'x.json')).toThrow(says)
    expect(() => parseChat(text, 'x.json')).toThrow(/^x\.json is no chat/)
  })

  it('replaces no file unless that is said, and is for its owner alone', async () => {
    const folder = temporaryFolder()
    const file = join(folder, 'chat.JSON')
    await saveChat(file, chat, false)
    expect(await loadChat(file)).toEqual(chat)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    writeFileSync(file, 'mine', { mode: 0o644 })
    await expect(saveChat(file, chat, false)).rejects.toThrow(/is there already.*\/save! /)
    expect(readFileSync(file, 'utf8')).toBe('mine')
    await saveChat(file, chat, true)
    expect(await loadChat(file)).toEqual(chat)
    expect(readdirSync(folder)).toEqual(['chat.JSON'])
    await expect(saveChat(join(folder, 'no', 'x.md'), chat, false)).rejects.toThrow(/Cannot write/)
    await expect(loadChat(join(folder, 'none.json'))).rejects.toThrow(/Cannot read/)
    // It never ends.
    if (existsSync('/dev/zero')) await expect(loadChat('/dev/zero')).rejects.toThrow(/too large/)
  })

  it('may be at home', () => {
    expect(pathOf('~/a b.md')).toBe(join(homedir(), 'a b.md'))
    expect(pathOf('/x/~/a')).toBe('/x/~/a')
  })
})
