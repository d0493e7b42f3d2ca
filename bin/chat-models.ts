import { didYouMean } from '../src/index.ts'
import { type HttpClient, RefusedError } from './http-client.ts'
import { CommandError, type Io, type Output, tableWidthOf } from './io.ts'
import { priceText } from './network-peers.ts'
import { type ModelOffer, readOffers } from './peer-state.ts'
import { paintFor, table } from './text.ts'

/** Refuses a model that the peer cannot chat with: better before the first question than after it. */
export async function checkModel(
  client: HttpClient,
  name: string,
  signal: AbortSignal,
): Promise<void> {
  try {
    const path = `/v1/models/${encodeURIComponent(name)}`
    const model = await client.json('GET', path, { signal })
    if ((model as Partial<ModelOffer> | null)?.kind === 'embedding') {
      throw new CommandError(
        `${name} makes embeddings, and cannot chat.${await others(client, signal)}`,
      )
    }
  } catch (error) {
    // Whatever else it says no to, it will say of the question, too.
    if (!(error instanceof RefusedError)) throw error
    if (error.code !== 'model_not_found') return
    const names = (await readOffers(client, signal)).filter(chats).map(({ id }) => id)
    const hint = didYouMean(name, names)
    const known = hint === '' ? await others(client, signal) : hint
    const question = /\s/.test(name) ? ' A question goes behind the model, or behind --once.' : ''
    throw new CommandError(`There is no model "${name}".${known}${question}`)
  }
}

const NAMED_MAX = 8

async function others(client: HttpClient, signal: AbortSignal): Promise<string> {
  const names = (await readOffers(client, signal)).filter(chats).map(({ id }) => id)
  if (names.length === 0) return ''
  const more = names.length > NAMED_MAX ? ' and others' : ''
  return ` This peer knows ${names.slice(0, NAMED_MAX).join(', ')}${more}.`
}

/** The kind is known once a model is loaded. */
const chats = ({ kind }: ModelOffer): boolean => kind === undefined || kind === 'chat'

const atText = ({ network, nodes }: ModelOffer): string => {
  if (!network) return 'this peer'
  return nodes === 1 ? '1 other peer' : `${nodes} other peers`
}

/** All that can be talked to, with a mark at the one that is. */
export async function modelLines(
  client: HttpClient,
  current: string,
  screen: Output,
  { env, signal }: Pick<Io, 'env' | 'signal'>,
): Promise<string[]> {
  const offers = (await readOffers(client, signal)).filter(chats)
  const rows = offers.map((offer) => [
    offer.id === current ? '*' : '',
    offer.id,
    atText(offer),
    offer.context_length === undefined ? '-' : `${offer.context_length}`,
    priceText([offer.price]),
  ])
  // An alias is in no list.
  if (!offers.some(({ id }) => id === current)) rows.unshift(['*', current, 'an alias', '-', '-'])
  return table(
    [
      { title: '' },
      { title: 'MODEL', shrink: true },
      { title: 'AT' },
      { title: 'CONTEXT', align: 'right' },
      { title: 'PRICE', align: 'right' },
    ],
    rows,
    tableWidthOf(screen),
    paintFor(screen, env),
  )
}
