import type { FastifySchemaCompiler } from 'fastify'
import type { TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import type { TLocalizedValidationError } from 'typebox/error'
import { InvalidError, PeerError } from '../base/errors.ts'

/** Checks the TypeBox schemas that routes name, and says in the caller's words what is wrong. */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const validator = Compile(schema)
  return (value: unknown) => {
    if (validator.Check(value)) return true
    if (httpPart === 'body' && (value === undefined || value === null)) {
      return { error: new PeerError('invalid_json', 'This endpoint needs a JSON object as body.') }
    }
    return { error: violation(validator.Errors(value)) }
  }
}

/** Of all that does not fit: what lies deepest, for that is what the caller meant to send. */
function violation(errors: readonly TLocalizedValidationError[]): InvalidError {
  let chosen: TLocalizedValidationError | undefined
  for (const error of errors) {
    // Said of each superfluous member, beside the one error that names them all.
    if (error.keyword === 'boolean') continue
    if (chosen === undefined || depth(error) > depth(chosen)) chosen = error
  }
  if (chosen === undefined) return new InvalidError(undefined, 'The request does not fit.')
  const path = paramPath(chosen.instancePath)
  const member = (name: string | undefined) => (path === '' ? name : `${path}.${name}`)
  switch (chosen.keyword) {
    case 'required': {
      const param = member(chosen.params.requiredProperties[0])
      return new InvalidError(param, `Missing: ${param}.`, 'missing_required_parameter')
    }
    case 'additionalProperties': {
      const param = member(chosen.params.additionalProperties[0])
      return new InvalidError(param, `There is no parameter ${param}.`, 'unknown_parameter')
    }
    case 'type': {
      const where = path === '' ? 'The body' : path
      return new InvalidError(path || undefined, `${where} ${chosen.message}.`, 'invalid_type')
    }
    default:
      return new InvalidError(path || undefined, `${path || 'The body'} ${chosen.message}.`)
  }
}

const depth = (error: TLocalizedValidationError) => error.instancePath.split('/').length

/** `/messages/0/content` → `messages[0].content`. */
export function paramPath(instancePath: string): string {
  let path = ''
  for (const part of instancePath.split('/').slice(1)) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~')
    if (/^\d+$/.test(name)) path += `[${name}]`
    else path += path === '' ? name : `.${name}`
  }
  return path
}
