import { createHash } from 'node:crypto'
import { cidModelId } from '../../src/simulation.ts'

// What the models of a simulation say: a function of model, prompt, seed and choice, the same on
// every peer. So whoever reads an answer knows what it must be.

export const MODELS = ['sim-large', 'sim-medium', 'sim-small'] as const

const WORDS = [' the', ' sea', ' is', ' grün', ',', ' 海', ' a', ' word', '.\n', ' and', ' of', '']

export interface ScriptedToken {
  id: number
  text: string
}

export interface Question {
  model: string
  prompt: string
  seed: number
  choice: number
}

const digestOf = ({ model, prompt, seed, choice }: Question): Buffer =>
  createHash('sha256').update(`${model}|${prompt}|${seed}|${choice}`).digest()

/** The whole answer. */
export function answerTo(question: Question): ScriptedToken[] {
  const digest = digestOf(question)
  const length = 1 + (digest.readUInt32LE(0) % 150)
  return Array.from({ length }, (_, index) => {
    const word = digest.readUInt8(4 + ((index * 7) % 28)) + index
    return { id: word % 32_000, text: `${WORDS[word % WORDS.length]}` }
  })
}

/** One token a word: what a prompt has of them. */
export const promptTokens = (prompt: string): number => prompt.split(' ').length

/** The model is its name: whoever serves it has the same weights. */
export const modelIdOf = (model: string): string =>
  cidModelId(createHash('sha256').update(model).digest())
