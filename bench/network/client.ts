/** Who asks, in a process of its own: one measurement for each message from the bench. */
import { setTimeout as sleep } from 'node:timers/promises'
import { quantile } from '../statistics.ts'
import { Connection } from './connection.ts'
import { LEAD_MS, type Order, type Relayed } from './order.ts'

/** What an answer leaves behind is over by then, and no peer is asked more often than it allows. */
const PAUSE_MS = 3

process.on('message', async (order: Order) => {
  process.send?.(await measure(order))
})
process.once('disconnect', () => process.exit())
process.send?.('ready')

async function measure(order: Order): Promise<object> {
  switch (order.type) {
    case 'first token':
      return await firstTokens(order)
    case 'whole answers':
      return await wholeAnswers(order)
    case 'relay':
      return await relay(order)
  }
}

const body = (model: string, content: string, maxTokens: number) =>
  JSON.stringify({
    model,
    messages: [{ role: 'user', content }],
    max_tokens: maxTokens,
    temperature: 0,
    stream: true,
  })

/** Milliseconds to the first token at each endpoint, asked in turn. */
async function firstTokens({
  endpoints,
  model,
  maxTokens,
  times,
}: Extract<Order, { type: 'first token' }>): Promise<number[][]> {
  const connections = endpoints.map((endpoint) => new Connection(endpoint))
  const measured: number[][] = endpoints.map(() => [])
  const turn = [...connections.entries()]
  for (let time = 0; time < times; time++) {
    await sleep(PAUSE_MS)
    for (const [at, connection] of turn) {
      measured[at]?.push(await connection.ask(body(model, '0', maxTokens)))
    }
    turn.reverse()
  }
  for (const connection of connections) connection.close()
  return measured
}

/** Milliseconds from each question to the end of its answer, one after the other. */
async function wholeAnswers({
  endpoint,
  model,
  maxTokens,
  seconds,
}: Extract<Order, { type: 'whole answers' }>): Promise<number[]> {
  const connection = new Connection(endpoint)
  const measured: number[] = []
  for (const endsAt = performance.now() + seconds * 1000; performance.now() < endsAt; ) {
    await sleep(PAUSE_MS)
    const beganAt = performance.now()
    await connection.ask(body(model, '0', maxTokens))
    measured.push(performance.now() - beganAt)
  }
  connection.close()
  return measured
}

/** Tokens that come while all begin to ask are not measured. */
async function relay({ endpoint, model, relay }: Extract<Order, { type: 'relay' }>) {
  const { streams, seconds, stepMs, answerTokens } = relay
  const text = body(model, String(stepMs), answerTokens)
  const startsAt = performance.now() + LEAD_MS
  const endsAt = startsAt + seconds * 1000
  let tokens = 0
  let ages: number[] = []
  let measured: number[] = []
  setTimeout(() => {
    ages = []
    setTimeout(() => {
      measured = ages
      ages = []
    }, endsAt - performance.now())
  }, LEAD_MS)
  const before = process.cpuUsage()
  await Promise.all(
    Array.from({ length: streams }, async () => {
      const connection = new Connection(endpoint, (age) => {
        ages.push(age)
        tokens++
      })
      while (performance.now() < endsAt) await connection.ask(text)
      connection.close()
    }),
  )
  const { user, system } = process.cpuUsage(before)
  return {
    tokens,
    tokensPerSecond: measured.length / seconds,
    p50: quantile(measured, 0.5) / 1000,
    p99: quantile(measured, 0.99) / 1000,
    clientMicroseconds: (user + system) / tokens,
  } satisfies Relayed
}
