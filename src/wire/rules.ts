import { modelIdPattern, modelNamePattern } from './model-id-pattern.ts'

/** What a string may be. `says` ends the sentence "Advert.region …" of a refusal. */
export interface TextRule {
  readonly bytesMax: number
  readonly pattern: RegExp
  readonly says: string
}

/**
 * For people's eyes: no control characters, no line separators, and nothing that changes the
 * direction of writing, as these can make a terminal or a page show something else.
 */
const shownPattern =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused.
  /^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]*$/

/** Names of hardware, versions, quantisations: short, and possibly empty. */
export const shown = {
  bytesMax: 128,
  pattern: shownPattern,
  says: 'has control characters',
} satisfies TextRule

/** A sentence or two about a failure. */
export const sentence = { ...shown, bytesMax: 1024 } satisfies TextRule

/** Roles, capabilities, kinds, codes: a reader keeps those that it does not know. */
export const token = {
  bytesMax: 32,
  pattern: /^[a-z0-9][a-z0-9_.-]*$/,
  says: 'is not a word of a-z, 0-9, _, . and -',
} satisfies TextRule

/** ISO 3166 alpha-2. */
export const country = {
  bytesMax: 2,
  pattern: /^[A-Z]{2}$/,
  says: 'is not two capital letters',
} satisfies TextRule

/** Whether its key is a good one, the check of a signature decides. */
export const peerId = {
  bytesMax: 52,
  pattern: /^12D3Koo[1-9A-HJ-NP-Za-km-z]{45}$/,
  says: 'is not a peer id',
} satisfies TextRule

/** Stands in the ids of protocols and in what is signed. */
export const networkName = {
  bytesMax: 32,
  pattern: /^[a-z0-9-]+$/,
  says: 'is not the name of a network',
} satisfies TextRule

export const jobId = {
  bytesMax: 128,
  pattern: /^[A-Za-z0-9_.#-]+$/,
  says: 'is not a job id',
} satisfies TextRule

/** As in a request to the HTTP endpoint. */
export const modelName = {
  bytesMax: 256,
  pattern: modelNamePattern,
  says: 'is not the name of a model',
} satisfies TextRule

/** `declared:`, a name, `@` and a peer id. */
export const modelId = {
  bytesMax: 318,
  pattern: modelIdPattern,
  says: 'is not the id of a model',
} satisfies TextRule

/** A multiaddr as text, of whatever protocols. */
export const address = {
  bytesMax: 256,
  pattern: /^(\/[A-Za-z0-9._:%-]+)+$/,
  says: 'is not a multiaddr',
} satisfies TextRule

/** Those that this version dials. */
export const tcpAddress =
  /^\/(ip4\/[0-9.]+|ip6\/[0-9a-fA-F:.]+|dns(4|6|addr)?\/[A-Za-z0-9._-]+)\/tcp\/[0-9]{1,5}$/

/** The same of a relay, and who that is: a peer behind it has no other address. */
export const circuitAddress = new RegExp(
  `${tcpAddress.source.slice(0, -1)}/p2p/12D3Koo[1-9A-HJ-NP-Za-km-z]{45}/p2p-circuit$`,
)

/** Parts of a field of the client's request, as in `messages[2].content`. */
export const param = { ...shown, bytesMax: 256 } satisfies TextRule

/** What a model wrote: any character. */
export const anyText = (bytesMax: number): TextRule => ({ bytesMax, pattern: /^/, says: '' })

const encoder = new TextEncoder()

/**
 * The text made fit for `rule`, for what comes from elsewhere and is only shown: others would refuse
 * the whole message because of one line break in the name of a graphics card.
 */
export function fitting(text: string, { bytesMax }: TextRule): string {
  let kept = ''
  let bytes = 0
  for (const character of text.toWellFormed()) {
    const shownAs = shownPattern.test(character) ? character : ' '
    bytes += encoder.encode(shownAs).length
    if (bytes > bytesMax) break
    kept += shownAs
  }
  return kept
}
