import type { TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { InvalidError } from '../../base/errors.ts'
import { explain } from './explain.ts'

/**
 * The validator of a route's body, for Fastify's `validatorCompiler`: a compiled check on the way
 * of every good request, and a slower walk that finds the words only for a bad one.
 */
export function checkBody({ schema }: { schema: unknown }) {
  const compiled = Compile(schema as TSchema)
  return (value: unknown) => {
    if (compiled.Check(value)) return { value }
    return {
      error:
        explain(schema, value) ?? new InvalidError(undefined, 'The request body is not valid.'),
    }
  }
}
