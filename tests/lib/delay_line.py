"""A long wire between two network namespaces: what goes into one TUN device comes out of the other
after a fixed time. For kernels without netem.

    python3 tests/lib/delay_line.py NAMESPACE:DEVICE NAMESPACE:DEVICE ONE_WAY_MS

Makes the devices, says "the wire is up", and works until it is ended. Nothing is lost but what a full
queue can't take, and it says at its end how much that was and how late it ever was.
"""

import collections
import fcntl
import os
import select
import signal
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
QUEUE_LIMIT_PACKETS = 4096  # each way
PACKET_LIMIT = 65536
REAL_TIME_PRIORITY = 10


class Direction:
    def __init__(self, source, target, delay_s):
        self.source, self.target, self.delay_s = source, target, delay_s
        self.queue = collections.deque()
        self.dropped = 0
        self.latest_s = 0.0

    def take(self):
        """Everything that has come in."""
        while True:
            try:
                packet = os.read(self.source, PACKET_LIMIT)
            except BlockingIOError:
                return
            if len(self.queue) < QUEUE_LIMIT_PACKETS:
                self.queue.append((time.monotonic() + self.delay_s, packet))
            else:
                self.dropped += 1

    def give(self):
        """Everything whose time has come; when the next one's will, or None."""
        while self.queue:
            due, packet = self.queue[0]
            late_s = time.monotonic() - due
            if late_s < 0:
                return due
            self.latest_s = max(self.latest_s, late_s)
            self.queue.popleft()
            try:
                os.write(self.target, packet)
            except OSError:  # the device is down, or full, as a wire's end may be
                self.dropped += 1
        return None


def open_tun(place):
    namespace, device = place.split(":")
    with open(f"/run/netns/{namespace}", "rb") as file:
        os.setns(file.fileno(), os.CLONE_NEWNET)
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
    return tun


def main(one, other, one_way_ms):
    tuns = [open_tun(one), open_tun(other)]
    delay_s = float(one_way_ms) / 1000
    directions = [Direction(tuns[0], tuns[1], delay_s), Direction(tuns[1], tuns[0], delay_s)]
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(REAL_TIME_PRIORITY))
    except OSError:
        print("without real-time priority: a busy machine makes the wire longer", flush=True)
    print("the wire is up", flush=True)
    while not ended:
        due = [at for at in (direction.give() for direction in directions) if at is not None]
        # Not without end: a signal between the look and the wait would be slept over.
        wait_s = max(0.0, min(due) - time.monotonic()) if due else 1.0
        select.select(tuns, [], [], wait_s)
        for direction in directions:
            direction.take()
    for direction in directions:
        print(f"dropped {direction.dropped}, late by at most {direction.latest_s * 1000:.2f} ms", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
