import { expect } from 'vitest'
import { InvalidError } from '../../src/base/errors.ts'
import { type ConfigSources, readConfig } from '../../src/config/config.ts'

/** A machine with nothing on it but what a test says. */
export function machine(parts: ConfigSources & { toml?: string } = {}): ConfigSources {
  const { toml, ...sources } = parts
  return {
    flags: {},
    env: {},
    platform: 'linux',
    home: '/home/eve',
    cwd: '/there',
    readFile: (path) => (path.endsWith('/config.toml') ? toml : undefined),
    ...sources,
  }
}

export const refusal = (sources: Parameters<typeof machine>[0]): string => {
  try {
    readConfig(machine(sources))
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidError)
    return (error as InvalidError).message
  }
  throw new Error('was accepted')
}
