import type { Identity } from '../identity/identity.ts'
import { ryv1Cid } from '../wire/cid.ts'
import {
  type OpenReceipt,
  type OpenReceiptFields,
  openDigest,
  signOpenReceipt,
} from '../wire/receipt.ts'

/**
 * That this machine took on a job: named at once, and signed once somebody asks for it. Most are
 * asked for with the job's end alone, and no first token waits for a signature that nobody sees.
 */
export class Opening {
  readonly fields: OpenReceiptFields
  readonly digest: Uint8Array
  readonly #identity: Pick<Identity, 'sign' | 'signLater'>
  #signed: OpenReceipt | undefined

  constructor(identity: Pick<Identity, 'sign' | 'signLater'>, fields: OpenReceiptFields) {
    this.fields = fields
    this.digest = openDigest(fields)
    this.#identity = identity
  }

  get cid(): string {
    return ryv1Cid(this.digest)
  }

  signed(): OpenReceipt {
    this.#signed ??= signOpenReceipt(this.fields, (message) => this.#identity.sign(message))
    return this.#signed
  }

  /** The same, signed in another thread. */
  async signedLater(): Promise<OpenReceipt> {
    if (this.#signed === undefined) {
      const signature = await this.#identity.signLater(this.digest)
      this.#signed = { ...this.fields, signature }
    }
    return this.#signed
  }
}
