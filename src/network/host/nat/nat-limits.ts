/** Finding out how others reach this peer, and seeing to it that they do. */
export const natLimits = {
  /** After a word of others, until the verdict: dialling back takes some round trips. */
  settleMs: 400,
  /** While nobody came in: a router may open a port at any time. */
  lookEveryMs: 15_000,
  /** Peers that are asked in one round to dial this one. */
  askedAtOnce: 3,
  /** Somebody who came in proves it for so long; after that, others are asked to come in. */
  provedMs: 15 * 60_000,
  /** What a peer could not dial is tried again, as the owner may have changed it. */
  forgetMs: 5 * 60_000,
  dialBackMs: 10_000,
  /** One side dials, the other too after half a round trip; a lost SYN comes again after a second. */
  punchMs: 5_000,
  punchTries: 3,
  /** Jobs on a relayed connection end there; then it is closed. */
  retireLookMs: 1_000,
} as const

/** What a peer with the role relay does for others at most. */
export const relayLimits = {
  /** Each is a connection, of which there are 300. */
  reservationsMax: 128,
  /** A house or an office behind one address; others are to find a place too. */
  reservationsPerMachineMax: 16,
  /** It is renewed five minutes before; whoever is gone leaves earlier, with its connection. */
  reservationMs: 60 * 60_000,
  /** Of one peer: those that it dials, and those that dial it. */
  circuitsPerPeerMax: 64,
  circuitsMax: 512,
  /**
   * Of one circuit, both ways together. libp2p's 128 KiB and 2 min end a streamed answer in its
   * middle: 100 tokens a second are some 10 KB, so this lasts for an hour of them. The peers change
   * to a new circuit when three quarters are used, and the rest is enough for any answer.
   */
  circuitBytesMax: 32 * 1024 * 1024,
  circuitMs: 60 * 60_000,
  /** New circuits of one peer: with the bytes of each, about 1 MB/s after the first half hour. */
  opens: { perSecond: 1 / 32, burst: 64 },
  /** Between the same two peers: about 0.5 MB/s. */
  opensPerPair: { perSecond: 1 / 64, burst: 8 },
  /** Reservations that one peer asks for. */
  reserves: { perSecond: 1 / 15, burst: 8 },
  /** Held for a receiver that is slower than its sender; then the sender waits. */
  heldBytesMax: 256 * 1024,
  hopMs: 10_000,
} as const

/** What a peer behind a NAT asks of relays. */
export const seatLimits = {
  /** One may go at any time; more only costs the relays. */
  relays: 2,
  reserveMs: 5_000,
  /** Peers that the DHT names as relays, tried in one round. */
  hintsMax: 16,
  /** One round after the other, while there are too few. */
  againMsMin: 2_000,
  againMsMax: 60_000,
  searchMs: 10_000,
  /** A relay that refused or did not answer, from `againMsMin` on: it may be the only one, and busy. */
  failedMsMax: 60_000,
  failedMax: 256,
  /** Others that dial this peer through its relays, per relay. */
  circuitsMax: 128,
  /** Circuits that one relay brings: each is a handshake, as with those who come straight. */
  comes: { perSecond: 8, burst: 64 },
  /** Of what the relay allows: less left, and the next stream goes over a new circuit. */
  renewAt: 1 / 4,
} as const

/** What is asked of a router, which is whoever answers on the local network. */
export const upnpLimits = {
  /** A peer that dies leaves a way in open for so long. It is renewed at half of it. */
  leaseMs: 20 * 60_000,
  /** A router that does not answer at first may have been busy; most that do not never will. */
  searchEveryMs: 10 * 60_000,
  searchMs: 1_500,
  searches: 2,
  routersMax: 4,
  answerBytesMax: 2048,
  /** A description has some ten; with its services it is of a few kilobytes. */
  descriptionBytesMax: 32 * 1024,
  servicesMax: 32,
  askMs: 3_000,
  /** Ports outside that are tried. */
  tries: 4,
  closeMs: 1_000,
} as const
