import { systemClock } from '../../src/base/clock.ts'
import { memoryHub } from '../../src/network/memory/memory-hub.ts'
import { newHost, stopHosts } from './hosts.ts'
import { networkSuite } from './network-suite.ts'

networkSuite('in memory', () => {
  const hub = memoryHub({ clock: systemClock })
  let made = 0
  return {
    make: async ({ records }) => hub.network(`peer-${++made}`, { records }),
    end: async () => {},
  }
})

networkSuite('over libp2p', () => ({
  make: async ({ records }) => await newHost({ records }),
  end: stopHosts,
}))
