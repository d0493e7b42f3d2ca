import { startLlamaServer } from '../llama-server.ts'
import { type Contestant, type ContestantOptions, events } from './contestant.ts'

/** What llama-server says with each token of a stream. */
interface Completion {
  tokens_predicted: number
  tokens_evaluated: number
}

export async function llamaServer(options: ContestantOptions): Promise<Contestant> {
  const server = await startLlamaServer(options)
  let promptTokens = 0
  return {
    name: 'llama-server',
    promptTokens: () => promptTokens,
    stop: () => server.stop(),
    async *answer({ prompt, tokens }) {
      const response = await fetch(`${server.url}/completion`, {
        method: 'POST',
        body: JSON.stringify({
          prompt,
          n_predict: tokens,
          stream: true,
          ignore_eos: true,
          temperature: 0,
          cache_prompt: false,
        }),
      })
      let before = 0
      for await (const event of events(response)) {
        const { tokens_predicted, tokens_evaluated } = event as Completion
        promptTokens = tokens_evaluated
        if (tokens_predicted > before) yield tokens_predicted - before
        before = tokens_predicted
      }
    },
  }
}
