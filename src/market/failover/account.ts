import type { Done } from '../../wire/chunk.ts'
import type { Effort } from '../effort.ts'
import type { Request } from '../request.ts'
import type { Share } from './share.ts'

/** How one provider's work came to its end, well or not. */
export interface Ending {
  effort: Pick<Effort, 'node' | 'model' | 'times'>
  done: Done
  share: Share
  /** What is wrong with it, in a word. */
  dispute: string | undefined
  /** Of what counts. */
  resultHash: Uint8Array
}

/** What was asked for, as far as the books say it. */
export type Asked = Pick<
  Request,
  'job' | 'work' | 'wishes' | 'written' | 'beganAt' | 'handover' | 'payment'
> & {
  report: Pick<Request['report'], 'attempts'>
}

/** An answer at its end, and all who worked on it. */
export interface Account extends Omit<Ending, 'share'> {
  request: Asked
  shares: readonly Share[]
  /** No single provider's receipt tells of it. */
  isJoint: boolean
  /** Nothing of it is in the answer: another gave that. */
  isInVain: boolean
}

/** Of one provider alone. */
export const ownAccount = (request: Request, { share, ...ending }: Ending): Account => ({
  ...ending,
  request,
  shares: [share],
  isJoint: false,
  isInVain: false,
})

/** Of who ended it, and of those who were lost before. */
export function wholeAccount(request: Request, { share, ...ending }: Ending): Account {
  const { handover } = request
  if (handover === undefined) return ownAccount(request, { share, ...ending })
  const done = handover.whole(ending.done, request.inputTokens)
  const resultHash = handover.digest()
  const shares = [...handover.takeShares(), share]
  return { ...ending, request, done, resultHash, shares, isJoint: true, isInVain: false }
}

/** Of those alone; undefined where there is nothing to tell, or it is in the log already. */
export function lostAccount(request: Request, ending: Done): Account | undefined {
  const { handover } = request
  const shares = handover?.takeShares() ?? []
  if (handover === undefined || shares.length === 0) return undefined
  const { effort, dispute } = handover.last
  const done = handover.whole(ending, request.inputTokens)
  const resultHash = handover.digest()
  const isJoint = shares.length > 1
  return { request, effort, done, dispute, resultHash, shares, isJoint, isInVain: false }
}
