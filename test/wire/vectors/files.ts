import { sha256 } from '@noble/hashes/sha2.js'
import { promptRoot } from '../../../src/wire/job-body.ts'
import { cidModelId } from '../../../src/wire/model-id.ts'
import { advertBad, advertGood } from './advert.ts'
import { bodyBad, bodyGood } from './body.ts'
import { callsBad, callsGood } from './calls.ts'
import { alice, type Bad, bob, type Good, network } from './cases.ts'
import { framesBad, framesGood } from './frames.ts'
import { generateGood } from './generate.ts'
import { generateBad } from './generate-bad.ts'
import { logBad, logGood } from './log.ts'
import { packHex } from './packed-hex.ts'
import { readers } from './readers.ts'
import { receiptBad, receiptGood } from './receipt.ts'
import { statusBad, statusGood } from './status.ts'
import { digestHead, digestPlaces, syncBad, syncGood } from './sync.ts'
import { tree, treeCases } from './tree.ts'
import { v8Bad } from './v8-bad.ts'
import { v8Good } from './v8-good.ts'

const identity = ({ peerId }: typeof alice, seed: string) => ({ seed, peerId })

/** What is signed, by whom and for whom. */
const setting = {
  network,
  signer: identity(alice, '01*32'),
  provider: identity(bob, '02*32'),
}

const about = 'Made by test/wire/make-vectors.ts. What it means: protocols/README.md.'

const nonce = new Uint8Array(32).fill(0xcc)

function goodCase({ name, message, bytes, again }: Good): object {
  const reader = readers[message]
  if (reader === undefined) throw new Error(`nobody reads ${message}`)
  const value = reader.value(bytes)
  const rewritten = again ?? (value === null ? undefined : bytes)
  return {
    name,
    message,
    hex: packHex(bytes),
    value,
    ...(again === undefined ? {} : { again: packHex(again) }),
    ...(rewritten === undefined ? { ignored: true } : {}),
    ...(message.startsWith('body/')
      ? { nonce: packHex(nonce), prompt_root: packHex(promptRoot(nonce, bytes)) }
      : {}),
    ...(message === 'LookupKey' ? { cid: cidModelId(sha256(bytes)).slice('cid:'.length) } : {}),
  }
}

const badCase = ({ name, message, bytes, error }: Bad): object => ({
  name,
  message,
  hex: packHex(bytes),
  error,
})

/** One case a line: what changes shows in a diff. */
function print(cases: object[], head: object = { about, ...setting }): string {
  const lines = cases.map((each) => `    ${JSON.stringify(each)}`)
  const members = Object.entries(head).map(
    ([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)}`,
  )
  return `{\n${members.join(',\n')},\n  "cases": [\n${lines.join(',\n')}\n  ]\n}\n`
}

/** Of cases in a form of their own. */
const headOf = (protocol: string) => ({
  about: `Made by test/wire/make-vectors.ts. What it means: protocols/${protocol}/spec.md.`,
})

const file = (protocol: string, good: Good[], bad: Bad[]): [path: string, text: string][] => [
  [`protocols/${protocol}/vectors/good.json`, print(good.map(goodCase))],
  [`protocols/${protocol}/vectors/bad.json`, print(bad.map(badCase))],
]

/** Path and content of every vector file of these protocols. */
export function vectorFiles(): [path: string, text: string][] {
  return [
    ...file('advert', advertGood, advertBad),
    ...file('status', statusGood, statusBad),
    ...file(
      'generate',
      [...generateGood, ...bodyGood, ...framesGood, ...callsGood],
      [...generateBad, ...bodyBad, ...framesBad, ...callsBad],
    ),
    ['protocols/receipt/vectors/good.json', print(receiptGood, headOf('receipt'))],
    ['protocols/receipt/vectors/bad.json', print(receiptBad, headOf('receipt'))],
    ...file('log', logGood, logBad),
    ['protocols/log/vectors/tree.json', print(treeCases, { ...headOf('log'), ...tree })],
    ...file('sync', syncGood, syncBad),
    ['protocols/v8-stream/vectors/good.json', print(v8Good, headOf('v8-stream'))],
    ['protocols/v8-stream/vectors/bad.json', print(v8Bad, headOf('v8-stream'))],
    [
      'protocols/sync/vectors/digest.json',
      print(digestPlaces, { ...headOf('sync'), ...digestHead }),
    ],
  ]
}
