import { InvalidError } from '../../base/errors.ts'
import { pixelsOf } from '../../wire/image-size.ts'
import { imageTypeOf } from '../../wire/image-type.ts'
import { type Image, imageLimits } from '../../wire/images.ts'
import { type ImageFetcher, ImageUrlError } from './image-fetcher.ts'

/** Of one request, as files: more does not fit into a job's body together with what is said. */
export const IMAGES_BYTES_MAX = 14 * 1024 * 1024
/** Fetched at once for one request. */
const AT_ONCE = 4

/** An image as a request has it. */
export interface AskedImage {
  url: string
  detail?: 'auto' | 'low' | 'high' | null | undefined
  /** Where it is in the request. */
  param: string
}

/** Whether it has to be fetched. */
export const isElsewhere = ({ url }: AskedImage): boolean => !/^data:/i.test(url)

/** Each of them as a file, in the same order. Throws an InvalidError that names the one at fault. */
export async function toImages(
  asked: readonly AskedImage[],
  fetcher: Pick<ImageFetcher, 'fetch'>,
  signal: AbortSignal,
): Promise<Image[]> {
  const { imagesMax, pixelsMax } = imageLimits
  const surplus = asked[imagesMax]
  if (surplus !== undefined) throw invalid(surplus, `there are at most ${imagesMax} images`)
  const images: Image[] = []
  let bytes = 0
  let pixels = 0
  for (let at = 0; at < asked.length; at += AT_ONCE) {
    const some = asked.slice(at, at + AT_ONCE)
    const files = await together(signal, (ending) =>
      some.map((each) => fileOf(each, fetcher, ending)),
    )
    for (const [index, file] of files.entries()) {
      const each = some[index] as AskedImage
      bytes += file.length
      if (bytes > IMAGES_BYTES_MAX) {
        throw invalid(each, `all images together have at most ${IMAGES_BYTES_MAX} bytes`)
      }
      images.push(toImage(file, each))
      pixels += pixelsIn(file, each)
      if (pixels > pixelsMax) {
        throw invalid(each, `all images together have at most ${pixelsMax} pixels`)
      }
    }
  }
  return images
}

/** All of them, or the error of the first that fails: nobody waits for the others then. */
async function together<T>(
  signal: AbortSignal,
  start: (ending: AbortSignal) => Promise<T>[],
): Promise<T[]> {
  const failed = new AbortController()
  try {
    return await Promise.all(start(AbortSignal.any([signal, failed.signal])))
  } catch (error) {
    failed.abort()
    throw error
  }
}

function toImage(file: Buffer, asked: AskedImage): Image {
  const type = imageTypeOf(file)
  if (type === undefined) throw invalid(asked, 'the file is no PNG, JPEG, WebP or GIF')
  const { detail } = asked
  const isSaid = detail === 'low' || detail === 'high'
  return { type, data: file.toString('base64'), ...(isSaid && { detail }) }
}

function pixelsIn(file: Buffer, asked: AskedImage): number {
  const pixels = pixelsOf(file)
  if (pixels === undefined) throw invalid(asked, 'the file is broken: it does not say its size')
  return pixels
}

async function fileOf(
  asked: AskedImage,
  fetcher: Pick<ImageFetcher, 'fetch'>,
  signal: AbortSignal,
): Promise<Buffer> {
  if (!isElsewhere(asked)) return dataOf(asked)
  try {
    return await fetcher.fetch(asked.url, signal)
  } catch (error) {
    if (error instanceof ImageUrlError) throw invalid(asked, `the image ${error.message}`)
    throw error
  }
}

/** `data:image/png;base64,…` What it says it is does not count. */
function dataOf(asked: AskedImage): Buffer {
  const { url } = asked
  const comma = url.slice(0, HEAD_CHARS_MAX).indexOf(',')
  if (comma < 0 || !/;base64$/i.test(url.slice(0, comma))) {
    throw invalid(asked, 'expected data:image/…;base64, and the file')
  }
  const text = url.slice(comma + 1)
  const file = Buffer.from(text, 'base64')
  // Other spellings are read as something, too, but not by everybody as the same.
  const isWhole = withoutPadding(file.toString('base64')) === withoutPadding(text)
  if (file.length === 0 || !isWhole) throw invalid(asked, 'the file is not in base64')
  return file
}

const HEAD_CHARS_MAX = 256

const withoutPadding = (text: string): string => text.replace(/={1,2}$/, '')

const invalid = ({ param }: AskedImage, why: string): InvalidError =>
  new InvalidError(param, `Invalid '${param}': ${why}.`)
