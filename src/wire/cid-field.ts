import { CID_BYTES, type CidKind, readCid } from './cid.ts'
import { bytes, type Field } from './fields.ts'

interface CidFieldOptions {
  /** Either, where none is named. */
  kind?: CidKind
  /** Empty says that there is none. */
  optional?: true
}

/** A CID of this log as its 36 bytes. */
export function cid(number: number, { kind, optional }: CidFieldOptions = {}): Field<Uint8Array> {
  const sizes = { min: CID_BYTES, max: CID_BYTES, ...(optional && { optional }) }
  const { read, ...rest } = bytes(number, sizes)
  return {
    ...rest,
    read(reader, before) {
      const value = read(reader, before)
      if (value.length === 0) return value
      const found = readCid(value, reader.where).kind
      if (kind !== undefined && found !== kind) reader.fail(`is not the CID of an ${kind}`)
      return value
    },
  }
}
