"""What a node does when its time is over and nobody has answered: OnFailure=, on a cable with nobody at its end."""

import functools
import pathlib
import tempfile

from lib import image, qemu
from lib.node import MAC, Node
from lib.org import Org

TIME_LIMIT_S = 240
TAKES_S = 40
CONF = "/etc/fortros/preboot.conf"
GOOD = "[Organisation]\nGatewayName=gateway.fleet.example\n"
# Nobody has the gateway's address, nor is there anybody to ask.
DEAD = GOOD + """Gateways=192.0.2.66
[Discovery]
Sources=cached
AttemptTimeout=1s
[Network]
Mode=static
Address=192.0.2.7/24
[Node]
KeyStore=file:/run/keys/node.key
StateStore=file:/run/keys/node.state
[Failure]
TotalTimeout=4s
OnFailure="""
INVITE = "fortros-invite-v1-" + "A" * 32 + "\n"
AGENT_ENDED = r"fortros-init: agent failed"
ACTION_TIMEOUT_S = 30
# How long nothing must happen. On a slow machine this may miss a fault, and never invents one.
QUIET_S = 3


@functools.cache
def ground():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="failure-"))
    settings = folder / "preboot.conf"
    settings.write_text(GOOD)
    org = Org.make(folder / "org", "gateway.fleet.example")
    uki = image.build(folder / "node.efi", settings=settings, ca=org.ca, invite=INVITE)
    return Node(folder / "node"), uki, qemu.Cable(folder)


def dead_boot(action):
    node, uki, cable = ground()
    return node.boot_without_firmware(action, uki, {CONF: f"{DEAD}{action}\n"}, nics=[qemu.Nic(cable.a, MAC)])


def expect_no_gateway(boot):
    verdict = boot.wait_for_verdict()
    assert (verdict.status, verdict.name) == (7, "no-gateway"), f"the verdict is {verdict}"
    assert "192.0.2.66:443" in verdict.why, verdict


def test_exit_leaves_the_decision_to_the_init():
    """Who embeds the agent could not decide what follows."""
    with dead_boot("exit") as boot:
        expect_no_gateway(boot)
        boot.machine.expect(AGENT_ENDED + r" with status 7\b", ACTION_TIMEOUT_S)


def test_reboot_restarts_the_machine():
    """A machine that nobody stands before would be off until somebody comes."""
    with dead_boot("reboot") as boot:
        expect_no_gateway(boot)
        boot.machine.expect(r"reboot: Restarting system", ACTION_TIMEOUT_S, "restart by the kernel")
        boot.wait_for_exit()
        assert boot.machine.console.wait_for(AGENT_ENDED, 0) is None, "the init decided"


def test_hold_waits_for_somebody():
    """Who comes to the console would find the machine off, and its last words gone."""
    with dead_boot("hold") as boot:
        expect_no_gateway(boot)
        boot.machine.expect(r"fortros-preboot: OnFailure=hold", ACTION_TIMEOUT_S)
        assert boot.machine.console.wait_for(f"{AGENT_ENDED}|reboot: (Restarting|Power)", QUIET_S) is None, "it did not wait"
        assert boot.machine.running()
