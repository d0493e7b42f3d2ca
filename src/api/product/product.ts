import type { SessionStore } from '../../accounts/sessions/session-store.ts'
import type { GenerationOptions } from '../openai/generation.ts'
import type { RouteModule } from '../route.ts'
import { type ChatComponents, turnRoutes } from './chat.ts'
import { type FileComponents, fileRoutes } from './files.ts'
import { productModelRoutes } from './models.ts'
import { sessionRoutes } from './sessions.ts'

export interface ProductComponents extends ChatComponents {
  sessions: SessionStore
  /** Undefined where there is no folder to keep them in. */
  files: FileComponents | undefined
}

/** Models, chat and files of the product surface; mount them at `/api/v1`. */
export function productRoutes(
  components: ProductComponents,
  options?: GenerationOptions,
): RouteModule {
  const { files } = components
  return (app) => {
    productModelRoutes(components)(app)
    turnRoutes(components, options)(app)
    sessionRoutes(components)(app)
    if (files !== undefined) fileRoutes(files)(app)
  }
}
