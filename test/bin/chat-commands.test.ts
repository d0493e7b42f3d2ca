import { describe, expect, it } from 'vitest'
import { chatCommands, helpLines, parseChatCommand, unquoted } from '../../bin/chat-commands.ts'

describe('what is typed instead of a message', () => {
  it.each([
    ['/clear', { name: 'clear', argument: '', isForced: false }],
    ['/CLEAR  ', { name: 'clear', argument: '', isForced: false }],
    ['/?', { name: 'help', argument: '', isForced: false }],
    ['/quit', { name: 'bye', argument: '', isForced: false }],
    ['/exit', { name: 'bye', argument: '', isForced: false }],
    ['/model', { name: 'model', argument: '', isForced: false }],
    ['/model  a/b:c ', { name: 'model', argument: 'a/b:c', isForced: false }],
    ['/system Be\nbrief.', { name: 'system', argument: 'Be\nbrief.', isForced: false }],
    ['/save my chat.md', { name: 'save', argument: 'my chat.md', isForced: false }],
    ['/save! x', { name: 'save', argument: 'x', isForced: true }],
  ])('%j', (text, command) => {
    expect(parseChatCommand(text)).toEqual(command)
  })

  it.each([
    ['/retri', /no \/retri\. Did you mean \/retry\?/],
    ['/save!!', /no \/save!!\. Did you mean \/save\?/],
    ['/', /There is no \/\. \/help shows all/],
    ['/etc/passwd', /\/\/ sends a line with a slash/],
    ['/clear all', /Nothing may follow \/clear\. .*: \/\/clear all$/],
    ['/save', /Say which: \/save FILE/],
    ['/save! ', /Say which: \/save FILE/],
    ['/load', /Say which: \/load FILE/],
    ['/constructor', /There is no \/constructor/],
  ])('%j is none', (text, says) => {
    expect(parseChatCommand(text)).toEqual({ says: expect.stringMatching(says) })
  })

  it('stands in the help, which fits a terminal', () => {
    const help = helpLines()
    for (const { name } of chatCommands) expect(help.join('\n')).toContain(`/${name}`)
    expect(Math.max(...help.map(({ length }) => length))).toBeLessThanOrEqual(80)
  })

  it('may stand in quotes', () => {
    expect(['"a b"', 'a "b"', '"', '""', '"a\nb"'].map(unquoted)).toEqual([
      ...['a b', 'a "b"', '"', '', 'a\nb'],
    ])
  })
})
