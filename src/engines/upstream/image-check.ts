import { InvalidError } from '../../base/errors.ts'
import { pixelsOf } from '../../wire/image-size.ts'
import { imageLimits } from '../../wire/images.ts'
import type { Work } from '../../wire/job.ts'

/** Throws for images that a server would need too much memory for, whoever's job they are in. */
export function checkImages(work: Work): void {
  if (work.kind !== 'chat') return
  let pixels = 0
  for (const { parts = [] } of work.messages) {
    for (const part of parts) {
      if ('text' in part) continue
      pixels += pixelsOf(Buffer.from(part.image.data, 'base64')) ?? Number.POSITIVE_INFINITY
      if (pixels > imageLimits.pixelsMax) throw tooLarge()
    }
  }
}

const tooLarge = (): InvalidError =>
  new InvalidError(
    'messages',
    `An image is broken, or all together have more than ${imageLimits.pixelsMax} pixels. Send smaller ones.`,
  )
