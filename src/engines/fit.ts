/** Memory that a model could have now. */
export interface FreeMemory {
  ramBytes: number
  /** Of all graphics cards together. */
  vramBytes: number
}

/** What a model needs, as far as its file tells. */
export interface Needs {
  weightsBytes: number
  /** For each token of each answer. */
  contextBytesPerToken: number
  /** Tokens it was trained for, or that were asked for. */
  contextLength: number
  /** Answers at once. */
  slots: number
}

export interface Fit {
  fits: boolean
  /** With all the context that it was trained for. */
  isWhole: boolean
  /** Tokens for each answer; 0 where it does not fit. */
  contextLength: number
  /** At the least. */
  needsBytes: number
  freeBytes: number
}

/** Below this no conversation fits; then a model is too large, not its context too long. */
export const CONTEXT_LENGTH_MIN = 1024
/** Of the graphics cards' memory: the rest is for what they compute in between. */
export const VRAM_SHARE = 0.9
/** Of the machine's: the rest is for its other work, and for what llama.cpp computes in between. */
const RAM_SHARE = 0.9

/** Whether a model fits, and with how long a context: halved until it does, as it is when it is loaded. */
export function fitOf(needs: Needs, { ramBytes, vramBytes }: FreeMemory): Fit {
  const { weightsBytes, contextBytesPerToken: perToken, slots } = needs
  const freeBytes = Math.floor(ramBytes * RAM_SHARE + vramBytes * VRAM_SHARE)
  const bytesFor = (tokens: number) => weightsBytes + perToken * tokens * slots
  const least = Math.min(CONTEXT_LENGTH_MIN, needs.contextLength)
  const needsBytes = Math.ceil(bytesFor(least))
  if (needsBytes > freeBytes) {
    return { fits: false, isWhole: false, contextLength: 0, needsBytes, freeBytes }
  }
  let contextLength = needs.contextLength
  while (bytesFor(contextLength) > freeBytes && contextLength > least) {
    contextLength = Math.max(least, Math.floor(contextLength / 2))
  }
  const isWhole = contextLength === needs.contextLength
  return { fits: true, isWhole, contextLength, needsBytes, freeBytes }
}
