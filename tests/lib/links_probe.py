"""os/links at work in a namespace (tests/net/links_probe.cc), and what it tells."""

import contextlib
import json
import os
import pathlib
import resource
import signal

from lib.netns import READY_LIMIT_S

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = TOP / "build/out/tests/net/links-probe"


class LinksProbe:
    """Starts at once. `network`: lines of the settings' [Network]."""

    def __init__(self, namespace, *network):
        settings = "\n".join(["[Organisation]", "GatewayName=gw.example.org", "[Node]", "Hostname=node7",
                              "[Network]", *network]) + "\n"
        self.namespace = namespace
        path = namespace.net.file(f"preboot.{namespace.name}.conf", settings)
        self.process = namespace.start(PROGRAM, path)
        self.seen = 0

    def events(self):
        """All that it has told so far."""
        return [event for event in map(_event, list(self.process.lines)) if event]

    def wait_for(self, kind, find=lambda event: True, limit_s=READY_LIMIT_S):
        """The first event of this kind, after the one that was waited for last, that `find` accepts."""
        def wanted(line):
            event = _event(line)
            return event if event and event["event"] == kind and find(event) else None
        wanted.__doc__ = f"an event {kind!r} as wanted"
        event = self.process.wait_for(wanted, limit_s, after=self.seen)
        self.seen = max(index for index, line in enumerate(self.process.lines) if _event(line) == event) + 1
        return event

    def usable(self, find=lambda event: True, limit_s=READY_LIMIT_S):
        return self.wait_for("usable", find, limit_s)

    def trouble(self, words, limit_s=READY_LIMIT_S):
        return self.wait_for("trouble", lambda event: words in event["why"], limit_s)

    @contextlib.contextmanager
    def losing_events(self):
        """What happens meanwhile is lost on it: it stands still, and more happens than the kernel keeps."""
        self.process.signal(signal.SIGSTOP)
        burst = "".join(f"address add 127.{a}.{b}.2/32 dev lo\n" for a in range(1, 21) for b in range(100))
        self.namespace.run("ip", "-batch", self.namespace.net.file("burst", burst))
        yield
        self.process.signal(signal.SIGCONT)

    @contextlib.contextmanager
    def without_descriptors(self):
        """Meanwhile the kernel opens nothing for it."""
        pid = self.process.process.pid
        used = {int(fd) for fd in os.listdir(f"/proc/{pid}/fd")}
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        lowest_free = min(set(range(len(used) + 1)) - used)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free, before[1]))
        yield
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)

    def prefer(self, ifindex):
        """Makes the routes prefer this link."""
        print(ifindex, file=self.process.process.stdin, flush=True)
        self.wait_for("preferred")

    def end(self):
        """Ends it in order; its last words."""
        assert self.process.end_input() == 0
        return self.wait_for("ended")


def _event(line):
    if not line.startswith('{"event"'):
        return None
    return json.loads(line)
