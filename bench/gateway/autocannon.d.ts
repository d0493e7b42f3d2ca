/** The part of autocannon that the bench uses; it comes without types. */
declare module 'autocannon' {
  interface Options {
    url: string
    connections: number
    duration: number
    method: string
    headers: Record<string, string>
    body: string
  }
  interface Result {
    errors: number
    timeouts: number
    non2xx: number
  }
  interface Instance extends Promise<Result> {
    on(
      event: 'response',
      listener: (client: unknown, status: number, bytes: number, ms: number) => void,
    ): this
  }
  const autocannon: (options: Options) => Instance
  // biome-ignore lint/style/noDefaultExport: that is how the package is made.
  export default autocannon
}
