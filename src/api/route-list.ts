import type { FastifyInstance } from 'fastify'
import { PeerError } from '../base/errors.ts'
import type { RouteEntry, RouteSchema } from './route.ts'

/** Writes down every route as it is registered, and refuses one that names no access. */
export function listRoutes(app: FastifyInstance): void {
  const entries: RouteEntry[] = []
  app.decorate('routeEntries', entries)
  app.addHook('onRoute', (route) => {
    const { method, url, config } = route
    const access = config?.access
    if (access === undefined) {
      throw new PeerError('route_without_access', `${url} does not say who may call it.`)
    }
    for (const one of typeof method === 'string' ? [method] : method) {
      if (one === 'HEAD') continue
      entries.push({
        method: one,
        url,
        access,
        idempotent: config?.idempotent,
        // Asked late: a scope inside, such as an alias of `mounted`, may still replace it.
        get schema() {
          return (route.schema ?? {}) as RouteSchema
        },
      })
    }
  })
}

/** The methods that some route takes at this path; for the answer to a wrong one. */
export function allowedMethods(entries: readonly RouteEntry[], path: string): string[] {
  const parts = path.split('/')
  const methods = entries.filter(({ url }) => matches(url.split('/'), parts)).map((e) => e.method)
  if (methods.includes('GET')) methods.push('HEAD')
  return [...new Set(methods)].sort()
}

function matches(template: readonly string[], parts: readonly string[]): boolean {
  if (template.at(-1) === '*') return template.slice(0, -1).every((t, at) => fits(t, parts[at]))
  return template.length === parts.length && template.every((t, at) => fits(t, parts[at]))
}

function fits(template: string, part: string | undefined): boolean {
  return template === part || (template.startsWith(':') && part !== undefined && part !== '')
}
