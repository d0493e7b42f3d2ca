export interface Request {
  prompt: string
  tokens: number
}

/** Something that answers prompts and says how many tokens came when. */
export interface Contestant {
  name: string
  /** Counts of tokens as they arrive; the answer is exactly as long as was asked. */
  answer(request: Request): AsyncIterable<number>
  /** Tokens of the last prompt as it counted them, to see that both did the same work. */
  promptTokens(): number
  stop(): Promise<void>
}

export interface ContestantOptions {
  model: string
  vocabulary: number
  /** Undefined: what it takes of its own accord. */
  threads?: number
  slots: number
  /** Tokens for each slot. */
  context: number
  /** Of our peer, beside those. */
  /** Default 0. */
  temperature?: number
  flags?: readonly string[]
}

/** The JSON values of a server's event stream, up to its end. */
export async function* events(response: Response): AsyncGenerator<unknown> {
  if (!response.ok || response.body === null) {
    throw new Error(`${response.status}: ${await response.text()}`)
  }
  let rest = ''
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line.startsWith('data: {')) yield JSON.parse(line.slice('data: '.length))
    }
  }
}
