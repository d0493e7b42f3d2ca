/** One bench: takes what stands after its name on the command line, prints and keeps its figures. */
interface Bench {
  run(args: readonly string[]): Promise<void>
}

const benches: Record<string, () => Promise<Bench>> = {
  engine: () => import('./engine.ts'),
  gateway: () => import('./gateway.ts'),
  idle: () => import('./idle.ts'),
  log: () => import('./log.ts'),
  network: () => import('./network.ts'),
  soak: () => import('./soak.ts'),
  speculate: () => import('./speculate.ts'),
}

const [name = '', ...args] = process.argv.slice(2)
const load = Object.hasOwn(benches, name) ? benches[name] : undefined
if (load === undefined) {
  console.error(`Usage: npm run bench -- ${Object.keys(benches).join('|')} [options]`)
  process.exitCode = 2
} else {
  await (await load()).run(args).catch((error: unknown) => {
    if (!isMisspelt(error)) throw error
    console.error(`${error.message}\nThe options of each bench are in bench/README.md.`)
    process.exitCode = 2
  })
}

function isMisspelt(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && /^ERR_PARSE_ARGS_/.test(`${error.code}`)
}
