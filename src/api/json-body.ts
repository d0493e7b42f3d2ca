import type { FastifyInstance } from 'fastify'
import { PeerError } from '../base/errors.ts'

/** Levels. JSON schemas inside tools nest deepest and stay below 30; recursion survives this. */
const NESTING_MAX = 128

/** The one body format of most routes. Names that would reach a prototype are refused with it. */
export function acceptJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  const parse = app.getDefaultJsonParser('error', 'error')
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    const coding = request.headers['content-encoding'] ?? 'identity'
    if (coding.toLowerCase() !== 'identity') {
      done(new PeerError('unsupported_media_type', 'Send the body as it is, not compressed.'))
      return
    }
    const text = body as string
    // Many clients name the type of a body that they do not send, as with DELETE.
    if (text === '' && request.routeOptions.schema?.body === undefined) {
      done(null, undefined)
      return
    }
    if (text.length > NESTING_MAX && nestsDeeper(text, NESTING_MAX)) {
      done(new PeerError('invalid_json', `The JSON nests more than ${NESTING_MAX} levels deep.`))
      return
    }
    parse(request, text, done)
  })
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/** Runs over the brackets outside of strings; text that is no JSON may get any answer. */
export function nestsDeeper(text: string, levels: number): boolean {
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) {
      at = endOfString(text, at)
      if (at < 0) return false
    } else if (code === OPEN_ARRAY || code === OPEN_OBJECT) {
      if (++depth > levels) return true
    } else if (code === CLOSE_ARRAY || code === CLOSE_OBJECT) {
      depth--
    }
  }
  return false
}

/** Where the string that starts at `from` ends; -1 when it does not. */
function endOfString(text: string, from: number): number {
  for (let end = text.indexOf('"', from + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let escapes = 0
    while (text.charCodeAt(end - 1 - escapes) === BACKSLASH) escapes++
    if (escapes % 2 === 0) return end
  }
  return -1
}
