import type { ByteSource } from './byte-source.ts'
import { aacDuration, mp3Duration } from './frames.ts'
import { mp4Facts } from './mp4.ts'
import { oggFacts } from './ogg.ts'
import type { Container } from './sniff.ts'
import { wavDuration } from './wav.ts'
import { webmFacts } from './webm.ts'

export const fileKinds = ['image', 'video', 'audio'] as const
export type FileKind = (typeof fileKinds)[number]

/** What a file is, by its own word. */
export interface Media {
  kind: FileKind
  mimeType: string
  /** Undefined for a picture, and where the file does not say it. */
  durationMs?: number | undefined
}

/** A month: whatever says more is wrong. */
const DURATION_MS_MAX = 31 * 86_400_000

/** Looks into a file whose first bytes are those of this container; undefined where it is no such. */
export async function inspect(
  container: Container,
  source: ByteSource,
): Promise<Media | undefined> {
  const media = await looked(container, source)
  if (media?.durationMs === undefined) return media
  const { durationMs: ms } = media
  const isSane = Number.isFinite(ms) && ms >= 0 && ms <= DURATION_MS_MAX
  return { ...media, durationMs: isSane ? Math.round(ms) : undefined }
}

async function looked(container: Container, source: ByteSource): Promise<Media | undefined> {
  switch (container) {
    case 'jpeg':
    case 'png':
    case 'webp':
      return { kind: 'image', mimeType: `image/${container}` }
    case 'wav':
      return { kind: 'audio', mimeType: 'audio/wav', durationMs: await wavDuration(source) }
    case 'mp3':
      return framed('audio/mpeg', await mp3Duration(source))
    case 'aac':
      return framed('audio/aac', await aacDuration(source))
    case 'ogg': {
      const { codec, durationMs } = await oggFacts(source)
      return codec && { kind: 'audio', mimeType: 'audio/ogg', durationMs }
    }
    case 'webm': {
      const facts = await webmFacts(source)
      if (facts?.docType !== 'webm') return undefined
      return { kind: 'video', mimeType: 'video/webm', durationMs: facts.durationMs }
    }
    case 'mp4':
      return film(source)
  }
}

/** Where there is not one frame, two bytes only looked like the begin of one. */
const framed = (mimeType: string, durationMs: number | undefined): Media | undefined =>
  durationMs === undefined ? undefined : { kind: 'audio', mimeType, durationMs }

async function film(source: ByteSource): Promise<Media | undefined> {
  const facts = await mp4Facts(source)
  if (facts === undefined) return undefined
  const { brand, hasVideo, hasAudio, durationMs } = facts
  if (hasVideo) {
    return {
      kind: 'video',
      mimeType: brand === 'qt  ' ? 'video/quicktime' : 'video/mp4',
      durationMs,
    }
  }
  return hasAudio ? { kind: 'audio', mimeType: 'audio/mp4', durationMs } : undefined
}
