import { jsonValue, textKey } from '../storage/codec.ts'
import type { TableCodec } from '../storage/table.ts'
import type { RememberedCalibration } from './served-model.ts'

/** How calibrations are kept in the database. */
export const calibrationRows: TableCodec<string, RememberedCalibration> = {
  key: textKey,
  value: jsonValue((value) => {
    const { slots, threads, measured, gpu } = value as Partial<RememberedCalibration>
    const counts = [slots, threads].every(
      (count) => Number.isSafeInteger(count) && Number(count) > 0,
    )
    if (!counts || !Array.isArray(measured) || !Array.isArray(gpu)) {
      throw new TypeError('not a calibration')
    }
    return value as RememberedCalibration
  }),
}
