/** What a user says and shows, in turn. */
export type ContentPart = { text: string } | { image: Image }

export interface Image {
  type: ImageType
  /** The file, in base64 with padding. */
  data: string
  /** How closely it is to be looked at; without it, that is the model's affair. */
  detail?: 'low' | 'high'
}

export const imageTypes = ['image/png', 'image/jpeg', 'image/webp', 'image/gif'] as const
export type ImageType = (typeof imageTypes)[number]

export const imageLimits = {
  /** Of one request. */
  imagesMax: 32,
  /**
   * What a model makes of one at most: Qwen's vision models take the most of those in use, 16,384, and a
   * row of them may end in a token of its own.
   */
  tokensMax: 16_384 + 256,
  /** Of all in one request, once they are decoded: 1 GiB of memory, or 32 screens of 4K. */
  pixelsMax: 2 ** 28,
} as const
