import { V8_DONE, type V8Event, v8Limits } from '../../../src/wire/v8-event.ts'
import { packHex } from './packed-hex.ts'
import { bound, commit, draft, failed, finalize, opened, rollback } from './v8-events.ts'
import type { Data, V8Case } from './v8-stream.ts'

const json = (event: object): string => JSON.stringify(event)

const event = (name: string, data: string | object): V8Case => ({
  name,
  message: 'Event',
  data: typeof data === 'string' ? data : json(data),
  error: 'malformed',
})

const without = (event: object, key: string): object =>
  Object.fromEntries(Object.entries(event).filter(([name]) => name !== key))

const at = (node: object): object => ({ ...opened, node: { ...opened.node, ...node } })

const each: V8Event[] = [
  ...[opened, draft(0, 'a'), commit(0, 'a'), rollback(0), bound(0, 0), finalize(0, 0)],
]

const missing = each.flatMap((whole) =>
  Object.keys(whole)
    .filter((key) => key !== 'event')
    .map((key) => event(`${whole.event} without ${key}`, without(whole, key))),
)

const end = finalize(0, 0)
const { receipt, usage } = end
const another = `ryv1:sha256:${'0'.repeat(64)}`

const values = [
  event('nothing', ''),
  event('no JSON', '{"event":'),
  event('no JSON behind an event', `${json(commit(0, 'a'))}x`),
  event('the mark', V8_DONE),
  event('a list', [commit(0, 'a')]),
  event('null', 'null'),
  event('a text', '"token.commit"'),
  event('no name', without(commit(0, 'a'), 'event')),
  event('no name, as of a stream without drafts', { object: 'chat.completion.chunk', choices: [] }),
  event('a number for a name', { event: 7 }),
  event('null for a name', { event: null, error: { message: 'a' } }),
  event('a member twice', '{"event":"x","event":"x"}'),
  event('a member twice, deep down', '{"event":"x","a":[{"b":1,"\\u0062":1}]}'),
  event('half of a pair', '{"event":"x","a":"\\ud800"}'),
  event('half of a pair in a name', '{"event":"x","\\udc00":1}'),
  event('a number that no double holds', '{"event":"x","a":1e999}'),
  event('17 levels', `{"event":"x","a":${'['.repeat(16)}${']'.repeat(16)}}`),
  event('a request of no id', { ...commit(0, 'a'), request_id: 'req_1' }),
  event('a request with a letter that looks like another', {
    ...commit(0, 'a'),
    request_id: `req_${'u'.repeat(26)}`,
  }),
  event('a line break behind the id', { ...rollback(0), request_id: `${opened.request_id}\n` }),
  event('a job id with a bar', { ...opened, job_id: 'a|b' }),
  event('a model of 257 bytes', { ...opened, model: `${'a'.repeat(255)}é` }),
  event('a model with a line break', { ...opened, model: 'a\nb' }),
  event('a model that changes direction', { ...opened, model: 'a\u202eb' }),
  event('a node by its id alone', { ...opened, node: opened.node.id }),
  event('a node that is no peer', at({ id: 'node_1' })),
  event('a node that does not say its gpu', { ...opened, node: without(opened.node, 'gpu') }),
  event('a node that does not say its country', {
    ...opened,
    node: without(opened.node, 'country'),
  }),
  event('a gpu of 129 bytes', at({ gpu: `${'a'.repeat(127)}é` })),
  event('a gpu with an escape', at({ gpu: '\u001b[31m' })),
  event('a country of three letters', at({ country: 'DEU' })),
  event('an open cid of another kind', { ...opened, open_cid: receipt?.multiformats_cid }),
  event('an id below 0', draft(-1, 'a')),
  event('half an id', draft(0.5, 'a')),
  event('an id beyond 2^53 - 1', draft(2 ** 53, 'a')),
  event('an id as text', { ...commit(0, 'a'), id: '0' }),
  event('a text that is none', { ...commit(0, 'a'), text: null }),
  event('a drafter that is no peer', draft(0, 'a', { draft_node: '' })),
  event('a time before the request', draft(0, 'a', { ts_ms: -1 })),
  event('a score as text', commit(0, 'a', { logprob: '-0.5' })),
  event('a rest that is neither', commit(0, 'a', { rest: 1 })),
  event('a rest that is null', commit(0, 'a', { rest: null })),
  event('a reason that is no word', { ...rollback(0), reason: 'Because.' }),
  event('a reason of 33 letters', { ...rollback(0), reason: 'a'.repeat(33) }),
  event('no reason', { ...rollback(0), reason: '' }),
  event('a cid in capital digits', { ...bound(0, 0), cid: another.replaceAll('0', 'A') }),
  event('a final cid that is not that of the receipt', { ...end, final_cid: another }),
  event('a final cid without a receipt', { ...end, receipt: null }),
  event('a receipt without a final cid', { ...end, final_cid: null }),
  event('a receipt that is a list', { ...end, receipt: [] }),
  event('a receipt without a status', { ...end, receipt: without(receipt ?? {}, 'status') }),
  event('a nonce of 63 digits', { ...end, receipt: { ...receipt, prompt_nonce: 'c'.repeat(63) } }),
  event('33 nodes', { ...end, receipt: { ...receipt, nodes: Array(33).fill(receipt?.node_id) } }),
  event('a node that is none', { ...end, receipt: { ...receipt, nodes: ['me'] } }),
  event('a resumed that is none', { ...end, receipt: { ...receipt, resumed: true } }),
  event('a usage without a total', { ...end, usage: without(usage, 'total_tokens') }),
  event('a usage below 0', { ...end, usage: { ...usage, prompt_tokens: -1 } }),
  event('an error that is a text', { event: 'error', error: 'Too much.' }),
  event('an error without a message', { event: 'error', error: { code: 'a' } }),
  event('an error with a number for a code', { error: { message: 'a', code: 503 } }),
  event('an error without a name that is null', { error: null }),
]

const stream = (name: string, data: Data[], error = 'malformed'): V8Case => ({
  name,
  message: 'Stream',
  data,
  error,
})

const of = (name: string, events: V8Event[], error?: string) =>
  stream(name, [...events.map(json), V8_DONE], error)

const cut = (name: string, events: V8Event[]) => stream(name, events.map(json), 'cut_off')

const { request_id: _, ...unnamed } = commit(0, 'a')
const other = { ...unnamed, request_id: `req_${'0'.repeat(26)}` }

const turns = [
  of('nothing but the mark', []),
  of('a draft first', [draft(0, 'a'), finalize(0, 0)]),
  of('a commit first', [commit(0, 'a'), opened, finalize(1, 0)]),
  of('the end first', [finalize(0, 0)]),
  of('opened twice', [opened, opened, finalize(0, 0)]),
  of('the end twice', [opened, finalize(0, 0), finalize(0, 0)]),
  of('a commit behind the end', [opened, finalize(0, 0), commit(0, 'a')]),
  of('an error behind the end', [opened, finalize(0, 0), failed]),
  of('the mark without an end', [opened, commit(0, 'a')]),
  of('the mark while there are drafts', [opened, draft(0, 'a')]),
  of('another answer', [opened, other, finalize(1, 0)]),
]

const places = [
  of('a draft with a gap', [opened, draft(1, 'a'), rollback(0), finalize(0, 1)]),
  of('a draft in the place of another', [opened, draft(0, 'a'), draft(0, 'b'), finalize(0, 1)]),
  of('a draft of what is committed', [opened, commit(0, 'a'), draft(0, 'b'), finalize(1, 1)]),
  of('a draft too far', [opened, draft(0, 'a'), draft(2, 'c'), rollback(0), finalize(0, 2)]),
  of('a commit with a gap', [opened, commit(1, 'a'), finalize(1, 0)]),
  of('a commit twice', [opened, commit(0, 'a'), commit(0, 'a'), finalize(2, 0)]),
  of('the second draft committed', [
    ...[opened, draft(0, 'a'), draft(1, 'b'), commit(1, 'b'), rollback(1), finalize(1, 1)],
  ]),
  of('a rest before any token', [opened, commit(0, 'a', { rest: true }), finalize(0, 0)]),
  of('a rest of the next token', [
    ...[opened, commit(0, 'a'), commit(1, 'b', { rest: true }), finalize(1, 0)],
  ]),
  of('a rest of an older token', [
    ...[opened, commit(0, 'a'), commit(1, 'b'), commit(0, 'c', { rest: true }), finalize(2, 0)],
  ]),
  of('a rollback of what is committed', [opened, commit(0, 'a'), rollback(0), finalize(0, 1)]),
  of('a rollback into what is committed', [
    ...[opened, commit(0, 'a'), commit(1, 'b'), draft(2, 'c'), rollback(1), finalize(1, 2)],
  ]),
  of('a rollback from beyond', [opened, draft(0, 'a'), rollback(2), rollback(0), finalize(0, 1)]),
  of('a rollback from the settled draft', [
    ...[opened, draft(0, 'a'), commit(0, 'a'), rollback(0), finalize(1, 0)],
  ]),
  of('drafts at the end', [opened, draft(0, 'a'), finalize(0, 0)]),
  of('a token too many at the end', [opened, commit(0, 'a'), finalize(2, 0)]),
  of('a token too few at the end', [opened, commit(0, 'a'), finalize(0, 0)]),
  of('a rest counted', [opened, commit(0, 'a'), commit(0, 'b', { rest: true }), finalize(2, 0)]),
  of('a settled draft counted as rolled back', [
    ...[opened, draft(0, 'a'), commit(0, 'a'), finalize(1, 1)],
  ]),
  of('a rollback not counted', [opened, draft(0, 'a'), rollback(0), finalize(0, 0)]),
]

const three = [opened, commit(0, 'a'), commit(1, 'b'), commit(2, 'c')]

const segments = [
  of('a segment of a token to come', [opened, bound(0, 0), commit(0, 'a'), finalize(1, 0)]),
  of('a segment of a draft', [opened, draft(0, 'a'), bound(0, 0), commit(0, 'a'), finalize(1, 0)]),
  of('a segment twice', [...three, bound(0, 1), bound(0, 1), finalize(3, 0)]),
  of('a segment that ends earlier', [...three, bound(0, 2), bound(0, 1), finalize(3, 0)]),
  of('a segment that begins in another', [...three, bound(0, 1), bound(1, 2), finalize(3, 0)]),
  of('a segment that begins where another ends', [
    ...[...three, bound(0, 0), bound(1, 1), bound(0, 2), finalize(3, 0)],
  ]),
  of('a segment that ends before it begins', [...three, bound(2, 1), finalize(3, 0)]),
]

const cuts = [
  cut('nothing', []),
  cut('cut behind the first event', [opened]),
  cut('cut behind a commit', [opened, commit(0, 'a')]),
  cut('cut behind a draft', [opened, draft(0, 'a')]),
  stream('nothing but what is not known', ['{"event":"x"}'], 'cut_off'),
]

const { rolledBackAtFirst, rolledBackPerToken, ghosts, textBytes, eventBytes } = v8Limits
const pair = (id: number) => [draft(id, 'a'), rollback(id)].map(json)

const storms = [
  stream('a rollback too many', [json(opened), [pair(0), rolledBackAtFirst + 1]]),
  stream('a rollback too many for one token', [
    json(opened),
    json(commit(0, 'a')),
    [pair(1), rolledBackAtFirst + rolledBackPerToken + 1],
  ]),
  of('257 drafts', [opened, ...Array.from({ length: ghosts + 1 }, (_, id) => draft(id, 'a'))]),
]

const bytes = (name: string, content: string | Uint8Array, error = 'malformed'): V8Case => ({
  name,
  message: 'Bytes',
  hex: packHex(Buffer.from(content)),
  error,
})

const lines = (...events: (object | string)[]) =>
  events.map((each) => `data: ${typeof each === 'string' ? each : json(each)}\n\n`).join('')
const whole = lines(opened, commit(0, 'a'), finalize(1, 0))
const full = 'é'.repeat(textBytes / 2)

const wholes = [
  bytes('nothing', '', 'cut_off'),
  bytes('no empty line at the end', whole.slice(0, -1), 'cut_off'),
  bytes('a mark that is cut', `${lines(opened)}data: [DON`, 'cut_off'),
  bytes('a mark with a space', `${lines(opened, finalize(0, 0))}data: [DONE] \n\n`),
  bytes('another field', whole.replaceAll('data: ', 'Data: '), 'cut_off'),
  bytes('a space before the field', whole.replaceAll('data: ', ' data: '), 'cut_off'),
  bytes('an empty event', `data\n\n${whole}`),
  bytes('two events in one', whole.replace('\n\n', '\n')),
  bytes('two byte order marks', `\ufeff\ufeff${whole}`, 'malformed'),
  bytes('no UTF-8', Buffer.from(whole.replace('"a"', '"\u00ff"'), 'latin1')),
  bytes('no UTF-8 in a comment', Buffer.concat([Buffer.of(58, 0xff, 10), Buffer.from(whole)])),
  bytes(
    'half of a pair as three bytes',
    Buffer.from(whole.replace('"a"', '"\u00ed\u00a0\u0080"'), 'latin1'),
  ),
  bytes('32,769 values', lines(`{"event":"x","a":[${'1,'.repeat(32_766)}1]}`)),
  bytes('an event that is too long', lines(json(opened).padEnd(eventBytes + 1))),
  bytes('a comment that is too long', `:${' '.repeat(eventBytes + 256)}\n${whole}`),
  bytes('a text that is too long', lines(opened, commit(0, `${full}a`), finalize(1, 0))),
  bytes('a draft that is too long', lines(opened, draft(0, `${full}a`))),
  bytes('drafts that are too long together', lines(opened, draft(0, full), draft(1, 'a'))),
]

export const v8Bad: V8Case[] = [
  ...[...missing, ...values, ...turns, ...places, ...segments, ...cuts, ...storms, ...wholes],
]
