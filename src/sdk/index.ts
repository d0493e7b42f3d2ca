// What runs in any JavaScript runtime, a browser too: nothing of Node is imported here.

export { PeerError } from '../base/errors.ts'
export type { Finding, ReceiptReport, VerifyOptions } from './verify-receipt.ts'
export { verifyReceipt } from './verify-receipt.ts'
