"""Network namespaces of a test's own: the wires between them, the programs in them, and what went
over a wire. Nothing here sleeps: a program is ready when it says so, a state is looked at when the kernel
says that it changed, and a capture is complete because every packet is queued before it arrives.

    with Net() as net:
        node, router = net.namespace("node"), net.namespace("router")
        net.wire(node, "eth0", router, "lan0")
        router.run("ip", "address", "add", "192.0.2.1/24", "dev", "lan0")
        wire = router.capture("lan0")
        server = router.start("some-server", ready="listening")
        ...
        packets = wire.stop()
"""

import ctypes
import errno
import itertools
import json
import os
import pathlib
import re
import shlex
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

from lib import pcap

READY_LIMIT_S = 30
SO_RCVBUFFORCE = 33
SO_TIMESTAMPNS = 35
TIMESPEC = struct.Struct("@qq")
CAPTURE_BUFFER = 64 * 1024 * 1024
ETH_P_ALL = 3
PR_SET_PDEATHSIG = 1
# RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE
CHANGES = 0x1 | 0x10 | 0x40 | 0x100 | 0x400

_libc = ctypes.CDLL(None, use_errno=True)


class Net:
    """The namespaces of one test; all that was started in them ends with it."""

    _numbers = itertools.count(1)

    def __init__(self):
        self.number = next(Net._numbers)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"net{self.number}."))
        self.namespaces = []
        self._macs = itertools.count(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for namespace in reversed(self.namespaces):
            namespace.close()

    def namespace(self, name):
        namespace = Namespace(self, name)
        self.namespaces.append(namespace)
        return namespace

    def mac(self):
        """The next locally administered MAC: explicit, because random ones are renamed and renumbered."""
        return "02:f0:%02x:00:00:%02x" % (self.number, next(self._macs))

    def wire(self, a, a_name, b, b_name, *, a_mac=None, b_mac=None, a_up=False, b_up=True):
        """A cable between two namespaces. An end that is down gives the other no carrier."""
        run("ip", "link", "add", "name", a_name, "netns", a.path, "address", a_mac or self.mac(),
            "type", "veth", "peer", "name", b_name, "netns", b.path, "address", b_mac or self.mac())
        for namespace, name, up in ((a, a_name, a_up), (b, b_name, b_up)):
            if up:
                namespace.run("ip", "link", "set", name, "up")

    def file(self, name, text):
        """A file of this test's own; returns its path."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path


class Namespace:
    """A host without anything but what the test puts into it."""

    def __init__(self, net, name):
        self.net = net
        self.name = name
        # Unique beyond this process: its number is small and comes again, and a world that is shared by the
        # tests of a file ends with their process, which leaves the name behind.
        self.path = f"fortros-{net.folder.name}-{name}"
        self.processes = []
        run("ip", "netns", "add", self.path)
        self.run("ip", "link", "set", "lo", "up")

    def command(self, *words):
        return ["ip", "netns", "exec", self.path, *map(str, words)]

    def run(self, *words):
        """Runs a command to its end; its output. A failure raises with all that it said."""
        return run(*self.command(*words))

    def ip(self, *words):
        """What `ip -json WORDS` says, as Python values."""
        return json.loads(self.run("ip", "-json", "-details", *words) or "[]")

    def sysctl(self, key, value):
        self.run("sh", "-c", f"echo {shlex.quote(str(value))} > /proc/sys/{key.replace('.', '/')}")

    def start(self, *words, ready=None, limit_s=READY_LIMIT_S):
        """Starts a program; returns when a line of its output matches `ready`."""
        process = Process(self.command(*words), pathlib.Path(str(words[0])).name)
        self.processes.append(process)
        if ready is not None:
            process.wait_for(ready, limit_s)
        return process

    def until(self, find, limit_s=READY_LIMIT_S):
        """What find() gives, as soon as that is true: asked now and whenever a link, an address or a route of
        this namespace changes."""
        deadline = time.monotonic() + limit_s
        with self.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as events:
            events.bind((0, CHANGES))
            while not (found := find()):
                events.settimeout(max(0.001, deadline - time.monotonic()))
                try:
                    events.recv(65536)
                except TimeoutError:
                    raise AssertionError(f"not within {limit_s} s") from None
                except OSError as error:
                    if error.errno != errno.ENOBUFS:  # too many changes: one more reason to look
                        raise
            return found

    def socket(self, *arguments):
        """A socket in this namespace, for the test's own process."""
        made = []

        def make():  # a thread of its own: setns(2) moves only the thread that calls it
            with open(f"/run/netns/{self.path}", "rb") as namespace:
                os.setns(namespace.fileno(), os.CLONE_NEWNET)
            made.append(socket.socket(*arguments))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        return made[0]

    def capture(self, interface):
        return Capture(self, interface)

    def close(self):
        for process in reversed(self.processes):
            process.stop()
        run("ip", "netns", "delete", self.path)


class Process:
    """A program that runs while the test does, its standard input open, its output kept by lines."""

    def __init__(self, command, name):
        self.name = name
        self.lines = []
        self._changed = threading.Condition()
        self._ended = False
        self.process = subprocess.Popen(command, text=True, errors="replace", bufsize=1, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=_die_with_parent)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            print(f"{self.name}: {line.rstrip()}", flush=True)
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for(self, wanted, limit_s=READY_LIMIT_S, *, after=0):
        """The first line, from number `after` on, that `wanted` (a pattern, or a function) finds.

        A function's result is returned in the line's place. Raises when the program ends before, or
        says nothing of the kind within the limit.
        """
        find = wanted if callable(wanted) else lambda line: line if re.search(wanted, line) else None
        deadline = time.monotonic() + limit_s
        seen = after
        with self._changed:
            while True:
                for line in self.lines[seen:]:
                    found = find(line)
                    if found is not None:
                        return found
                seen = max(seen, len(self.lines))
                if self._ended:
                    raise AssertionError(f"{self.name} ended without {_words(wanted)}; {self._tail()}")
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    raise AssertionError(f"{self.name} did not say {_words(wanted)} in {limit_s} s; {self._tail()}")

    def end_input(self, limit_s=READY_LIMIT_S):
        """Closes its standard input and waits for its end; the exit status."""
        self.process.stdin.close()
        status = self.process.wait(limit_s)
        self._reader.join()
        return status

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        """Ends it, the hard way if need be."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join()

    def _tail(self):
        return "it said:\n" + "\n".join(self.lines[-30:])


class Capture:
    """Every frame on an interface from now on, both ways, read when it is asked for; the times are the kernel's."""

    def __init__(self, namespace, interface):
        self.socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, CAPTURE_BUFFER)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.bind((interface, ETH_P_ALL))
        self.socket.setblocking(False)
        self.path = namespace.net.folder / f"{namespace.name}.{interface}.pcap"
        self.file = open(self.path, "wb")
        self.file.write(pcap.FILE_HEADER.pack(pcap.MAGIC, 2, 4, 0, 0, 65535, pcap.LINKTYPE_ETHERNET))

    def packets(self):
        """All packets so far, as lib.pcap has them."""
        while True:
            try:
                frame, notes, *_ = self.socket.recvmsg(65536, socket.CMSG_SPACE(TIMESPEC.size))
            except BlockingIOError:
                break
            except OSError:  # the interface went down: nothing more will come before it is up again
                continue
            seconds, nanoseconds = TIMESPEC.unpack(notes[0][2])
            self.file.write(pcap.RECORD_HEADER.pack(seconds, nanoseconds // 1000, len(frame), len(frame)) + frame)
        self.file.flush()
        return pcap.packets(self.path)

    def stop(self):
        found = self.packets()
        self.socket.close()
        self.file.close()
        return found


def run(*words):
    done = subprocess.run([str(word) for word in words], text=True, errors="replace", capture_output=True,
                          stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{shlex.join(map(str, words))} ended with {done.returncode}:\n"
                             f"{done.stdout}{done.stderr}")
    return done.stdout


def _words(wanted):
    return getattr(wanted, "__doc__", None) or getattr(wanted, "__name__", None) or repr(wanted)


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
