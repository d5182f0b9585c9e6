"""What nodes of a bed send each other over the overlay, and what became of it: by the packets' own numbers
and the times at which the guest's kernel had them. Decides nothing about what is good enough."""

import dataclasses
import itertools
import re

INTERVAL_S = 0.1
ANSWERED = re.compile(r"^\[(\d+\.\d+)\] .*icmp_seq=(\d+) ttl", re.M)
_numbers = itertools.count(1)


@dataclasses.dataclass(frozen=True)
class Answer:
    number: int
    at: float  # seconds since the epoch, by the guest's clock


class Pings:
    """One each 100 ms from one node to an address, while the block runs."""

    def __init__(self, bed, source, address, interval_s=INTERVAL_S):
        self._bed = bed
        self._file = f"/run/traffic/pings.{next(_numbers)}"
        self._command = f"ip netns exec {source} ping -n -D -i {interval_s} {address}"
        self._interval_s = interval_s

    def __enter__(self):
        self._bed.run(f"{self._command} >{self._file} 2>&1 & echo $! >{self._file}.pid")
        self.wait_answered(3)
        return self

    def __exit__(self, *_):
        self._bed.run(f"kill -INT $(cat {self._file}.pid)", check=False)

    def answers(self):
        said = self._bed.guest.read(self._file)
        return [Answer(int(number), float(at)) for at, number in ANSWERED.findall(said)]

    def wait_answered(self, more, timeout_s=60):
        """Until so many more have been answered."""
        count = f"$(grep -c 'bytes from' {self._file})"
        goal = len(self.answers()) + more
        self._bed.until(f"[ {count} -ge {goal} ]", timeout_s)

    @property
    def lost(self):
        """The numbers that were not answered, up to the last one that was."""
        numbers = {answer.number for answer in self.answers()}
        return sorted(set(range(1, max(numbers))) - numbers)

    @property
    def silence_s(self):
        """The longest time between two answers."""
        times = [answer.at for answer in self.answers()]
        return max((later - earlier for earlier, later in itertools.pairwise(sorted(times))), default=0.0)


class Session:
    """A TCP connection over the overlay through which a numbered line goes each 200 ms and comes back."""

    PORT = itertools.count(7001)

    def __init__(self, bed, one, other):
        self._bed = bed
        self._port = next(Session.PORT)
        self._one, self._other = one, other
        self._file = f"/run/traffic/session.{self._port}"

    def __enter__(self):
        bed, file = self._bed, self._file
        bed.run(f"ip netns exec {self._other} nc -l -p {self._port} -e cat >{file}.server 2>&1 & echo $! >{file}.pids")
        bed.until(f"ip netns exec {self._other} netstat -ltn | grep -q ':{self._port} '", 20)
        bed.run(f"""(i=0; while [ ! -e {file}.end ]; do i=$((i + 1)); echo $i; usleep 200000; done) |
            ip netns exec {self._one} nc {bed.addresses[self._other]} {self._port} >{file} 2>{file}.error &
            echo $! >>{file}.pids""")
        self.wait_echoed(3)
        return self

    def __exit__(self, *_):
        self._bed.run(f": >{self._file}.end; for pid in $(cat {self._file}.pids); do kill $pid; done", check=False)

    def lines(self):
        """The numbers that came back: 1, 2, 3, ... for as long as the connection lives."""
        whole, _, _ = self._bed.guest.read(self._file).rpartition("\n")
        return [int(line) for line in whole.split()]

    def check_whole(self):
        """Raises when the connection began anew or lost something."""
        lines = self.lines()
        assert lines == list(range(1, len(lines) + 1)), f"a connection is not what it was: {lines}"

    def wait_echoed(self, more, timeout_s=60):
        goal = len(self.lines()) + more
        self._bed.until(f"[ $(wc -l <{self._file}) -ge {goal} ]", timeout_s)
