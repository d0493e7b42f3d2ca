"""A cable between two interfaces that delays every frame and loses some of them.

bad-cable.py INTERFACE INTERFACE DELAY_MS LOSS SEED
"""

import random
import select
import socket
import sys
import time
from collections import deque

# Not in the socket module; from linux/if_packet.h and linux/socket.h.
SOL_PACKET = 263
PACKET_VNET_HDR = 15
PACKET_IGNORE_OUTGOING = 23
ETH_P_ALL = 3

# What a sender hands to its card in one piece is up to 64 KiB, and headers.
FRAME_BYTES_MAX = 1 << 17


def plug_into(interface):
    plug = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    # Frames come with what the sender's card was to do for them: checksums, and cutting to size.
    plug.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    plug.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    plug.bind((interface, ETH_P_ALL))
    plug.setblocking(False)
    return plug


def main(first, second, delay_ms, loss, seed):
    chance = random.Random(int(seed))
    delay = float(delay_ms) / 1000
    a, b = plug_into(first), plug_into(second)
    other_end = {a: b, b: a}
    on_the_way = deque()
    print("ready", flush=True)
    while True:
        wait = max(0, on_the_way[0][0] - time.monotonic()) if on_the_way else None
        for plug in select.select([a, b], [], [], wait)[0]:
            frame = plug.recv(FRAME_BYTES_MAX)
            if chance.random() >= float(loss):
                on_the_way.append((time.monotonic() + delay, other_end[plug], frame))
        while on_the_way and on_the_way[0][0] <= time.monotonic():
            _, plug, frame = on_the_way.popleft()
            try:
                plug.send(frame)
            except OSError:
                pass  # Full, or not plugged in: one more that is lost.


main(*sys.argv[1:])
