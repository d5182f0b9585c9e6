"""Shell commands in a guest, over a virtio port at whose other end serve-commands.sh answers.

One command at a time; the guest ends what takes too long. Knows nothing of what the guest is for.
"""

import base64
import dataclasses
import pathlib
import shlex
import threading

SERVER = pathlib.Path(__file__).with_name("serve-commands.sh")
PORT = "commands"  # the name of the channel that a qemu.Machine must have
COMMAND_TIMEOUT_S = 60
ANSWER_SLACK_S = 30  # the guest itself ends a command in time; we give up later than it
KILLED = 137
LINES_SHOWN = 40
PUT_CHUNK = 48 * 1024


@dataclasses.dataclass(frozen=True)
class Completed:
    command: str
    status: int
    stdout: str
    stderr: str


class CommandFailed(AssertionError):
    pass


class Commands:
    def __init__(self, machine, slowness=1):
        """`slowness`: a second of the machine may take so many of ours."""
        self._machine = machine
        self._slowness = slowness
        self._channel = machine.channels[PORT]
        self._answers = self._channel.makefile("rb")
        self._lock = threading.Lock()
        self._number = 0

    def wait_ready(self, timeout_s):
        """Until the guest has come so far that it serves commands."""
        self._expect_line("ready", timeout_s, "its readiness for commands")

    def run(self, command, *, check=True, timeout_s=COMMAND_TIMEOUT_S):
        """Runs a shell command. `cmd &` leaves a daemon behind. CommandFailed unless status 0 or not check."""
        with self._lock:
            self._number += 1
            line = f"{self._number} {timeout_s} {base64.b64encode(command.encode()).decode()}\n"
            try:
                self._channel.sendall(line.encode())
            except OSError:
                self._machine.fail(f"it ended before this command: {command}")
            status, stdout, stderr = self._expect_line(str(self._number), self._slowness * timeout_s + ANSWER_SLACK_S, command)
        done = Completed(command, int(status), _text(stdout), _text(stderr))
        if check and done.status != 0:
            how = f"did not end within {timeout_s} s" if done.status == KILLED else f"status {done.status}"
            raise CommandFailed(f"{self._machine.name}: {command}: {how}\n{_last_lines(done.stdout + done.stderr)}")
        return done

    def _expect_line(self, first_word, timeout_s, what):
        """The other words of the next line, which must begin with `first_word`."""
        self._channel.settimeout(timeout_s)
        try:
            line = self._answers.readline()
        except TimeoutError:
            self._machine.fail(f"no answer within {timeout_s} s to: {what}")
        word, *rest = line.decode().split() or [""]
        if not line.endswith(b"\n") or word != first_word:
            self._machine.fail(f"it ended while we waited for: {what}")
        return rest

    def last_words(self, command):
        """A command after which the guest is no more, such as poweroff: nothing is waited for."""
        line = f"0 {COMMAND_TIMEOUT_S} {base64.b64encode(command.encode()).decode()}\n"
        self._channel.sendall(line.encode())

    def put(self, path, content, mode=0o644):
        """Writes a file in the guest; whole, or not at all."""
        data = content.encode() if isinstance(content, str) else content
        part = shlex.quote(path + ".part")
        self.run(f"mkdir -p {shlex.quote(str(pathlib.PurePosixPath(path).parent))} && : >{part}")
        for start in range(0, len(data), PUT_CHUNK):
            chunk = base64.b64encode(data[start:start + PUT_CHUNK]).decode()
            self.run(f"base64 -d >>{part} <<'end'\n{chunk}\nend\n")
        self.run(f"chmod {mode:o} {part} && mv {part} {shlex.quote(path)}")

    def get(self, path):
        """A file of the guest, as bytes."""
        # Of a file that grows meanwhile base64 itself would make several ends.
        path = shlex.quote(path)
        return base64.b64decode(self.run(f"[ -r {path} ] && cat {path} | base64").stdout)

    def read(self, path):
        return self.get(path).decode("utf-8", "replace")

    def wait_until(self, command, *, before="", timeout_s=30):
        """Until a shell command succeeds; asked again and again inside the guest. `before`: lines that come first."""
        done = self.run(f"{before}until {{ {command}\n}} >/run/command/wait 2>&1; do usleep 100000; done; cat /run/command/wait",
                        check=False, timeout_s=timeout_s)
        if done.status != 0:
            said = self.run("cat /run/command/wait", check=False).stdout
            raise CommandFailed(f"{self._machine.name}: not within {timeout_s} s: {command}\n{_last_lines(said)}")
        return done


def _last_lines(text):
    return "\n".join(f"  | {line}" for line in text.splitlines()[-LINES_SHOWN:])


def _text(word):
    return base64.b64decode(word.removeprefix("=")).decode("utf-8", "replace")
