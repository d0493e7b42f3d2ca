import { at, startHosts, stopHosts } from './hosts.ts'

// A process of its own: two hosts meet and stop. It ends by itself, or something was left open.
const hosts = await startHosts(2)
process.stdout.write(`${at(hosts, 0).status().connections} connection\n`)
await stopHosts()
