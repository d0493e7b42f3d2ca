import type { GossipSub } from '@chainsafe/libp2p-gossipsub'
import type { RPC } from '@chainsafe/libp2p-gossipsub/message'
import type { PeerId } from '@libp2p/interface'
import type { GossipGate } from './gossip-gate.ts'

/** What gossipsub's class has as public and its exported type has not. */
interface Inside {
  subscriptions: ReadonlySet<string>
  handleReceivedRpc(from: PeerId, rpc: RPC): Promise<void>
  validateReceivedMessage(from: PeerId, message: RPC.Message): Promise<Validation>
  handleIWant(to: string, wanted: RPC.ControlIWant[]): RPC.Message[]
}

interface Validation {
  code: string
  /** `error`: it is no message of whoever it says. */
  reason?: string
}

/** Has gossipsub ask the gate about each neighbour's RPCs, and about what one wants to be sent. */
export function guardGossip(pubsub: GossipSub, gate: GossipGate): void {
  const inside = pubsub as unknown as Inside
  const receive = inside.handleReceivedRpc.bind(inside)
  inside.handleReceivedRpc = async (from, rpc) => {
    if (!gate.admits(from.toString(), rpc)) return
    // It would verify the rest as well, though nobody here reads it or passes it on.
    rpc.messages = rpc.messages.filter(({ topic }) => inside.subscriptions.has(topic))
    await receive(from, rpc)
  }
  const validate = inside.validateReceivedMessage.bind(inside)
  inside.validateReceivedMessage = async (from, message) => {
    const validation = await validate(from, message)
    if (validation.reason === 'error') gate.forged(from.toString())
    return validation
  }
  const answer = inside.handleIWant.bind(inside)
  inside.handleIWant = (to, wanted) => gate.sendable(to, answer(to, wanted))
}
