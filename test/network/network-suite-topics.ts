import { expect, test } from 'vitest'
import { PeerError } from '../../src/base/errors.ts'
import type { MessageCheck, Network } from '../../src/network/network.ts'
import { FRAME_BYTES_MAX } from '../../src/wire/protocols.ts'
import { eventually } from './hosts.ts'
import { bytes, idOf, type Tools, text } from './network-suite-tools.ts'

const TOPIC = 'log/1'

/** Has a network listen; returns what it hears. */
function listen(network: Network, verdict: MessageCheck = async () => 'keep') {
  const heard: { from: string; said: string }[] = []
  const end = network.subscribe(TOPIC, async (message, wait) => {
    heard.push({ from: message.from, said: text(message.data) ?? '' })
    return await verdict(message, wait)
  })
  return { end, said: () => heard.map(({ said }) => said), heard }
}

type Heard = ReturnType<typeof listen>

let spoken = 0

/** Says it again and again, numbered, as nobody is told who listens; returns when all have heard. */
async function sayUntil(by: Network, what: string, ...hearers: Heard[]): Promise<void> {
  const stop = AbortSignal.timeout(15_000)
  const isHeard = () => hearers.every(({ said }) => said().some((each) => each.startsWith(what)))
  while (!isHeard() && !stop.aborted) {
    await by.publish(TOPIC, bytes(`${what} ${++spoken}`))
    await eventually(isHeard, 300).catch(() => {})
  }
  expect(hearers.map(({ said }) => said().some((each) => each.startsWith(what)))).not.toContain(
    false,
  )
}

/** Otherwise they may find each other in the DHT. */
function keepApart(a: Network, b: Network): void {
  a.fault(idOf(b), 'disconnect', 'they are not to meet')
}

export function topics({ begin, link, pair }: Tools): void {
  test('who listens hears what others say and who does; who speaks hears nothing of it', async () => {
    const listeners: Heard[] = []
    const [a, b] = await pair((network) => void listeners.push(listen(network)))
    const [ofA, ofB] = listeners as [Heard, Heard]
    await sayUntil(a, 'hello', ofB)
    await sayUntil(b, 'hello back', ofA)
    expect(new Set(ofB.heard.map(({ from }) => from))).toEqual(new Set([idOf(a)]))
    expect(new Set(ofA.heard.map(({ from }) => from))).toEqual(new Set([idOf(b)]))
  })

  test('a message of one that does not listen is heard once by each, through others as well', async () => {
    const [author, x, y, far] = (await begin(4)) as [Network, Network, Network, Network]
    keepApart(author, far)
    await link(author, x)
    await link(author, y)
    await link(x, y)
    await link(far, y)
    const heard = [x, y, far].map((network) => listen(network))
    await sayUntil(author, 'an entry', ...heard)
    for (const each of heard) {
      expect(each.said()).toEqual([...new Set(each.said())])
      expect(new Set(each.heard.map(({ from }) => from))).toEqual(new Set([idOf(author)]))
    }
    expect(far.isConnected(idOf(author))).toBe(false)
  })

  test('what a check ignores or refuses goes no further; a fault of the one that brought it', async () => {
    const [a, b, c] = (await begin(3)) as [Network, Network, Network]
    keepApart(a, c)
    await link(a, b)
    await link(c, b)
    const ofB = listen(b, async ({ data }) => {
      const said = text(data) ?? ''
      if (said.startsWith('bad')) throw new PeerError('bad_log', 'bad', { action: 'disconnect' })
      if (said.startsWith('broken')) throw new Error('the disk is full')
      return said.startsWith('dull') ? 'ignore' : 'keep'
    })
    const ofC = listen(c)
    await sayUntil(a, 'good', ofB, ofC)
    await sayUntil(a, 'dull', ofB)
    await sayUntil(a, 'broken', ofB)
    await sayUntil(a, 'good again', ofB, ofC)
    expect(b.isConnected(idOf(a))).toBe(true)
    await sayUntil(a, 'bad', ofB)
    await eventually(() => !b.isConnected(idOf(a)))
    await sayUntil(b, 'the end', ofC)
    expect(ofC.said().filter((said) => !/^(good|the end)/.test(said))).toEqual([])
  })

  test('one listens to a topic once, and not any more when that has ended', async () => {
    const [a, b] = await pair()
    const first = listen(b)
    expect(() => b.subscribe(TOPIC, async () => 'keep')).toThrow(
      expect.objectContaining({ code: 'already_subscribed' }),
    )
    await sayUntil(a, 'one', first)
    first.end()
    const count = first.heard.length
    const second = listen(b)
    first.end()
    await sayUntil(a, 'two', second)
    expect(first.heard.length).toBe(count)
  })

  test('a message has a byte at least, and as many as a frame at most', async () => {
    const [a, b] = await pair()
    const heard = listen(b)
    await sayUntil(a, 'ready', heard)
    for (const size of [0, FRAME_BYTES_MAX + 1]) {
      await expect(a.publish(TOPIC, new Uint8Array(size))).rejects.toMatchObject({
        code: 'bad_frame',
      })
    }
    await a.publish(TOPIC, new Uint8Array(FRAME_BYTES_MAX).fill(120))
    await eventually(() => heard.said().some((said) => said.length === FRAME_BYTES_MAX))
  })

  test('nobody speaks before the start, and nobody need be there to hear', async () => {
    const [a] = (await begin(1)) as [Network]
    await a.publish(TOPIC, bytes('anybody?'))
    await a.stop()
    await expect(a.publish(TOPIC, bytes('anybody?'))).rejects.toMatchObject({ code: 'not_started' })
  })
}
