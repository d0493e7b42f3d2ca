import type { V8Event } from '../../../src/wire/v8-event.ts'
import { V8_DONE, v8Limits } from '../../../src/wire/v8-event.ts'
import { alice } from './cases.ts'
import { packHex } from './packed-hex.ts'
import { bound, commit, draft, failed, finalize, opened, rollback, unsigned } from './v8-events.ts'
import { type Data, flat, readV8Case, shownOf, type V8Case } from './v8-stream.ts'

const json = (event: object): string => JSON.stringify(event)

const event = (name: string, data: string): V8Case => {
  const bare: V8Case = { name, message: 'Event', data }
  return { ...bare, ...readV8Case(bare) }
}

const SHOWN_MAX = 20

/** To `[DONE]`, but for those that have no such end. */
function stream(name: string, data: Data[], { done = true } = {}): V8Case {
  const all = done ? [...data, V8_DONE] : data
  const bare: V8Case = { name, message: 'Stream', data: all }
  const events = flat(all)
  const shown = events.length <= SHOWN_MAX && { shown: shownOf(events) }
  return { ...bare, ...readV8Case(bare), ...shown }
}

const of = (name: string, events: V8Event[]) => stream(name, events.map(json))

const bytes = (name: string, content: string | Uint8Array): V8Case => {
  const bare: V8Case = { name, message: 'Bytes', hex: packHex(Buffer.from(content)) }
  return { ...bare, ...readV8Case(bare) }
}

const { receipt } = finalize(1, 0)

const events = [
  event('open', json(opened)),
  event(
    'open, all said',
    json({ ...opened, node: { ...opened.node, gpu: 'RTX 4090', country: 'DE' }, open_cid: null }),
  ),
  event('provisional', json(draft(0, 'Hel'))),
  event('commit', json(commit(0, 'Hel'))),
  event('commit, not scored', json(commit(2 ** 53 - 1, '', { logprob: null }))),
  event('commit, scored above one', json(commit(0, 'a', { logprob: 1e-7 }))),
  event('rest', json(commit(0, 'lo', { rest: true }))),
  event('no rest', json(commit(0, 'lo', { rest: false }))),
  event('rollback', json(rollback(3))),
  event('rollback, another reason', json(rollback(3, 'x.1_y-z'))),
  event('bound', json(bound(0, 31))),
  event('finalize', json(finalize(1, 0))),
  event('finalize, unsigned', json(finalize(0, 0, unsigned))),
  event(
    'finalize, resumed',
    json(finalize(1, 0, { receipt: { ...receipt, resumed: 1, nodes: [alice.peerId] } })),
  ),
  event('error', json(failed)),
  event('error without a name', json({ error: { message: 'Too much.' }, request_id: 'x' })),
  event('error of somebody else', json({ event: 'error', error: { message: '', code: null } })),
  event('members of a newer version', json({ ...commit(0, 'a'), mood: [{ event: 'error' }] })),
  event('an event of a newer version', json({ event: 'token.sung', id: 'do' })),
  event('an event by the name of a property', json({ event: 'toString' })),
  event('other spellings', ` ${json(commit(1, 'a')).replace('"id":1', '"\\u0069d" : 1.0e0')}\t`),
  event('any character', json(commit(0, '\u0000\u202e\ufeff "\\\n\u{1f600}'))),
  event(
    'a member of all objects',
    '{"event":"token.rollback","__proto__":{"event":1},'.concat(
      json(rollback(0)).slice(1).replace('"event":"token.rollback",', ''),
    ),
  ),
]

const markup = '</pre><script>alert(1)</script>\r\n\r\ndata: [DONE]\n\n\u001b[31m'

const streams = [
  of('nothing said', [opened, finalize(0, 0)]),
  of('without drafts', [opened, commit(0, 'Hel'), commit(1, 'lo'), finalize(2, 0)]),
  of('all drafts right', [
    ...[opened, draft(0, 'a'), draft(1, 'b'), draft(2, 'c')],
    ...[commit(0, 'a'), commit(1, 'b'), commit(2, 'c'), commit(3, 'd'), finalize(4, 0)],
  ]),
  of('drafts right and wrong', [
    ...[opened, commit(0, 'a'), draft(1, 'b'), draft(2, 'x'), draft(3, 'y'), commit(1, 'b')],
    ...[rollback(2), commit(2, 'c'), draft(3, 'd'), commit(3, 'd'), finalize(4, 2)],
  ]),
  of('a part rolled back, and drafted anew', [
    ...[opened, draft(0, 'a'), draft(1, 'b'), draft(2, 'c'), rollback(1, 'redrafted')],
    ...[draft(1, 'B'), commit(0, 'a'), commit(1, 'B'), finalize(2, 2)],
  ]),
  of('text that was held', [
    ...[opened, draft(0, 'E'), draft(1, 'N'), draft(2, 'D?'), commit(0, ''), commit(1, '')],
    ...[commit(2, 'END?'), finalize(3, 0)],
  ]),
  of('text of a commit that is not that of the draft', [
    ...[opened, draft(0, 'a'), draft(1, 'b'), commit(0, 'A'), rollback(1), finalize(1, 1)],
  ]),
  of('a rest', [
    ...[opened, commit(0, 'a'), draft(1, 'b'), commit(0, '\u00e4', { rest: true })],
    ...[commit(1, 'b'), commit(1, '!', { rest: true }), finalize(2, 0)],
  ]),
  of('markup stays text', [
    ...[opened, draft(0, markup), commit(0, markup), draft(1, markup), rollback(1)],
    finalize(1, 1),
  ]),
  of('other letters', [
    ...[opened, draft(0, '世'), commit(0, '世'), commit(1, ''), commit(2, '😀'), finalize(3, 0)],
  ]),
  of('a rollback of nothing', [
    ...[opened, rollback(0, 'node_lost'), commit(0, 'a'), draft(1, 'b'), rollback(2)],
    ...[commit(1, 'b'), finalize(2, 0)],
  ]),
  of('segments of one peer', [
    ...[opened, commit(0, 'a'), commit(1, 'b'), bound(0, 1), commit(2, 'c'), commit(3, 'd')],
    ...[bound(0, 2), finalize(4, 0)],
  ]),
  of('segments of two peers', [
    ...[opened, commit(0, 'a'), commit(1, 'b'), bound(0, 0), draft(2, 'x')],
    ...[rollback(2, 'node_lost'), commit(2, 'c'), commit(3, 'd'), bound(2, 3), commit(4, 'e')],
    ...[bound(2, 4), finalize(5, 1)],
  ]),
  of('a first segment that begins later', [
    ...[opened, commit(0, 'a'), commit(1, 'b'), bound(1, 1), finalize(2, 0)],
  ]),
  of('unsigned', [opened, commit(0, 'a'), finalize(1, 0, unsigned)]),
  of('as long as it may be', [opened, commit(0, 'a'), finalize(1, 0, { finish_reason: 'length' })]),
  stream('no mark at the end', [opened, commit(0, 'a'), finalize(1, 0)].map(json), { done: false }),
  stream('an error at once', [json(failed)], { done: false }),
  stream('an error in the middle', [opened, commit(0, 'a'), draft(1, 'b'), failed].map(json), {
    done: false,
  }),
  stream('nothing is read behind an error', [json(failed), json(failed), 'x', V8_DONE]),
  stream('nothing is read behind the mark', [
    ...[opened, finalize(0, 0)].map(json),
    ...[V8_DONE, 'x', json(opened)],
  ]),
  stream('events of a newer version, anywhere', [
    ...['{"event":"x"}', json(opened), '{"event":"x"}', json(finalize(0, 0)), '{"event":"x"}'],
  ]),
  stream('as many rollbacks as may be', [
    json(opened),
    [[draft(0, 'a'), rollback(0)].map(json), v8Limits.rolledBackAtFirst],
    json(commit(0, 'a')),
    [[draft(1, 'b'), rollback(1)].map(json), v8Limits.rolledBackPerToken],
    json(finalize(1, v8Limits.rolledBackAtFirst + v8Limits.rolledBackPerToken)),
  ]),
]

const plain = [opened, draft(0, 'é'), commit(0, 'é'), finalize(1, 0)].map(json)
const lines = (...data: string[]) => data.map((each) => `data: ${each}\n\n`).join('')
const full = 'a'.repeat(v8Limits.textBytes)
const [first = '', ...others] = plain

const wholes = [
  bytes('plain', lines(...plain, V8_DONE)),
  bytes(
    'all fields',
    plain.map((data, seq) => `event: x\nid: ${seq}\nretry: 1\ndata: ${data}\n\n`).join(''),
  ),
  bytes('comments', `: open\n\n${lines(...plain).replaceAll('\n\n', '\n: ping\n\n:\n\n')}`),
  bytes('carriage returns', lines(...plain, V8_DONE).replaceAll('\n', '\r')),
  bytes('both', lines(...plain, V8_DONE).replaceAll('\n', '\r\n')),
  bytes('without a space', lines(...plain, V8_DONE).replaceAll('data: ', 'data:')),
  bytes('a byte order mark', `\ufeff${lines(...plain, V8_DONE)}`),
  bytes('in two lines', lines(...plain).replaceAll(',"id"', '\ndata: ,"id"')),
  bytes('unknown fields', `mood\n\nmood: x\n${lines(...plain)}`),
  bytes('a tail that is no event', `${lines(...plain)}data: x\n`),
  bytes('a tail that is no UTF-8', Buffer.concat([Buffer.from(lines(...plain)), Buffer.of(0xc3)])),
  bytes(
    'no UTF-8 behind the mark',
    Buffer.concat([Buffer.from(lines(...plain, V8_DONE)), Buffer.from([0xff, 10, 10])]),
  ),
  bytes('the longest event', lines(first.padEnd(v8Limits.eventBytes), ...others)),
  bytes('the longest comment', `:${' '.repeat(v8Limits.eventBytes + 255)}\n${lines(...plain)}`),
  bytes('the longest text', lines(json(opened), json(commit(0, full)), json(finalize(1, 0)))),
  bytes(
    'the longest drafts',
    lines(...[opened, draft(0, full), rollback(0), draft(0, full), commit(0, '')].map(json)).concat(
      lines(json(draft(1, full)), json(rollback(1)), json(finalize(1, 2))),
    ),
  ),
]

export const v8Good: V8Case[] = [...events, ...streams, ...wholes]
