import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { vectorFiles } from './vectors/files.ts'
import { packHex, unpackHex } from './vectors/packed-hex.ts'
import { codeOf, readers } from './vectors/readers.ts'

interface Case {
  name: string
  message: string
  hex: string
  value?: unknown
  again?: string
  ignored?: boolean
  error?: string
}

const read = (path: string): Case[] => JSON.parse(readFileSync(path, 'utf8')).cases

const protocols = ['advert', 'status', 'generate', 'log', 'sync']

describe.each(protocols)('the vectors of %s', (protocol) => {
  const good = read(`protocols/${protocol}/vectors/good.json`)
  const bad = read(`protocols/${protocol}/vectors/bad.json`)

  it('that are good are read as they say, and written as they were', () => {
    for (const { name, message, hex, value, again = hex, ignored } of good) {
      const bytes = unpackHex(hex)
      const reader = readers[message]
      const where = `${message}: ${name}`
      expect(reader?.value(bytes), where).toEqual(value)
      const written = packHex(reader?.again(bytes) ?? new Uint8Array())
      expect(written, where).toBe(ignored ? '' : again)
    }
  })

  it('that are bad are refused with their code', () => {
    for (const { name, message, hex, error } of bad) {
      expect(codeOf(message, unpackHex(hex)), `${message}: ${name}`).toBe(error)
    }
  })

  it('have names of their own', () => {
    const names = [...good, ...bad].map(({ message, name }) => `${message}: ${name}`)
    expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([])
  })
})

it('the files are what test/wire/make-vectors.ts makes', () => {
  for (const [path, text] of vectorFiles()) {
    expect(readFileSync(path, 'utf8') === text, path).toBe(true)
  }
})
