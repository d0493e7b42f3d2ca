// What runs in any JavaScript runtime, a browser too: nothing of Node is imported here.

export { PeerError } from '../base/errors.ts'
export type { V8Event } from '../wire/v8-event.ts'
export type { AnswerBody, ResponseLike } from './answer-body.ts'
export type { GhostOptions, GhostSource, GhostView } from './ghost.ts'
export { ghost } from './ghost.ts'
export type { Finding, ReceiptReport, VerifyOptions } from './verify-receipt.ts'
export { verifyReceipt } from './verify-receipt.ts'
