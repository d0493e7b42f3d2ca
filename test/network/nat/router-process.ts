import { execFileSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { FakeRouter } from './fake-router.ts'

// Runs on the machine that is a home's router: opens ports of it when it is asked to, by UPnP.
const [innerAddress = '', outerAddress = ''] = process.argv.slice(2)

const nft = (...words: string[]) => execFileSync('nft', words)

const router = new FakeRouter({
  outerAddress,
  onChange() {
    nft('flush', 'chain', 'ip', 'home', 'in')
    for (const [outer, { inner, port }] of router.mappings) {
      const words = `add rule ip home in iifname eth0 tcp dport ${outer} dnat to ${inner}:${port}`
      nft(...words.split(' '))
    }
    process.stdout.write(`${JSON.stringify({ asked: router.asked, open: [...router.mappings] })}\n`)
  },
})
await router.listen(innerAddress, 5000)

const socket = createSocket({ type: 'udp4', reuseAddr: true })
socket.on('message', (bytes, from) => {
  const text = bytes.toString()
  const target = /^ST: (urn:\S+InternetGatewayDevice:1)\r$/m.exec(text)?.[1]
  if (!text.startsWith('M-SEARCH * HTTP/1.1\r\n') || target === undefined) return
  const lines = ['HTTP/1.1 200 OK', 'CACHE-CONTROL: max-age=120', `ST: ${target}`, 'EXT:']
  const answer = [...lines, `LOCATION: ${router.location}`, '', ''].join('\r\n')
  socket.send(answer, from.port, from.address)
})
socket.bind(1900, () => {
  socket.addMembership('239.255.255.250', innerAddress)
  process.stdout.write('{}\n')
})
