"""Where the node's private key and its invite are after a boot, and where they must not be.

One machine: it enrols, its real root and its gateway are searched; then users of the real root try to
read its variables; then the agent runs there once more, enrols anew, and its memory is searched.
"""

import base64
import dataclasses
import functools
import pathlib
import subprocess
import tempfile

from lib import image, leaks, node, nvram, qemu, sysroot
from lib.org import Org
from lib.world import GATEWAY_NAME, World

TIME_LIMIT_S = 900
TAKES_S = 100
KEY = f"/sys/firmware/efi/efivars/FortrosKey-{nvram.FORTROS}"
# Put everywhere, so that a search that misses a place is noticed.
MARK = "a-mark-that-must-be-found-everywhere"
SETTINGS = f"""[Organisation]
GatewayName={GATEWAY_NAME}
[Discovery]
PublicResolvers=9.9.9.9
[Network]
Interfaces=e*
"""
HOLD = SETTINGS.replace("[Discovery]", "CA=/tmp/ca.pem\nInvite=/tmp/invite\n[Discovery]") + """[WireGuard]
HandshakeTimeout=1s
[Failure]
OnFailure=hold
"""
HOLD_TIMEOUT_S = 90
PLACES = {
    "files in /run": "find /run -xdev -type f -exec cat {} +",
    "arguments": "cat /proc/[0-9]*/cmdline",
    "environments": "cat /proc/[0-9]*/environ",
    "the kernel log": "dmesg",
    "bootstrap.json": "cat /run/fortros/bootstrap.json",
    "events.jsonl": "cat /run/fortros/events.jsonl",
}
GATEWAY_PLACES = {
    "the gateway's database": "cat /etc/fortros/honest/gateway.db*",
    "the gateway's log": "cat /var/log/gateway.log",
    "the gateway's arguments": "cat /proc/$(cat /run/gateway.pid)/cmdline",
    "the gateway's environment": "cat /proc/$(cat /run/gateway.pid)/environ",
}
# What the agent has in its memory, read as dd can, by pages; in hexadecimal, as busybox can search it.
DUMP = """
agent=$(pidof fortros-preboot)
grep -v '\\[v' /proc/$agent/maps | while read range modes rest; do
    case $modes in r*) ;; *) continue ;; esac
    start=$((0x${range%-*} / 4096)) end=$((0x${range#*-} / 4096))
    dd if=/proc/$agent/mem bs=4096 skip=$start count=$((end - start)) 2>/dev/null
done | xxd -p | tr -d '\\n' >/mnt/memory
"""


@dataclasses.dataclass
class Seen:
    key: bytes
    second_key: bytes
    invite: str
    second_invite: str
    public_key: str
    places: dict
    marked: dict
    console: bytes
    told: dict
    in_memory: dict


def search(machine, places):
    """What is in the places, as bytes: text would have lost a raw key."""
    found = {}
    for place, command in places.items():
        machine.run(f"{{ {command}\n}} >/mnt/place 2>/dev/null; true")
        found[place] = machine.commands.get("/mnt/place")
    return found


def plant(machine):
    """The mark into every kind of place."""
    machine.run(f"mkdir -p /run/fortros; echo {MARK} >/run/planted; echo {MARK} >>/run/fortros/bootstrap.json; "
                f"echo {MARK} >>/run/fortros/events.jsonl; echo {MARK} >/dev/kmsg; "
                f"sh -c 'sleep 3600; true' {MARK} & PLANTED={MARK} sleep 3600 &")


def as_user(running, command):
    return running.run(f"su -s /bin/sh nobody -c '{command}'", check=False)


def try_to_read(running):
    """What an ordinary user gets to read: right after the boot, and each time efivarfs is mounted anew."""
    read = lambda: as_user(running, f"cat {KEY}").status == 0
    mount = "umount /sys/firmware/efi/efivars && mount -t efivarfs efivarfs /sys/firmware/efi/efivars"
    told = {"after the boot": read(), "root after the boot": running.run(f"cat {KEY} >/dev/null", check=False).status == 0}
    running.run(mount)
    running.commands.wait_until(f"[ $(stat -c %a {KEY}) = 600 ] && [ $(stat -c %a $(dirname {KEY})) = 700 ]")
    told["after a mount that the maintainer saw"] = read()
    running.run("kill $(cat /run/maintainer.pid); while kill -0 $(cat /run/maintainer.pid); do usleep 10000; done",
                check=False)
    running.run(mount)
    told["after a mount that nobody saw"] = read()
    running.run("fortros-maintainer guard-variables")
    told["after guard-variables"] = read()
    running.run(f"chmod 755 $(dirname {KEY})")
    told["in an open directory"] = read()
    return told


def enrol_again(running, world, org, folder, invite):
    """The agent in the real root, without variables; it holds, since WireGuard is not answered."""
    world.run("nft add table inet mute && nft add chain inet mute in '{ type filter hook input priority 0; }' && "
              "nft add rule inet mute in udp dport 51820 drop")
    agent = folder / "agent"
    subprocess.run(["strip", "-o", agent, image.AGENT], check=True)
    for path, content in {"/tmp/fortros-preboot": agent.read_bytes(), "/tmp/hold.conf": HOLD,
                          "/tmp/ca.pem": org.ca.read_bytes(), "/tmp/invite": invite}.items():
        running.commands.put(path, content, 0o700)
    # The kernel would remember that the gateway has answered the first key.
    running.run("rm /sys/firmware/efi/efivars/Fortros* && ip link del fortros0 && ip link del fortros-lh0")
    running.run("/tmp/fortros-preboot run --config /tmp/hold.conf --run-directory /run/second </dev/null "
                ">/dev/console 2>&1 &")
    running.machine.expect("fortros-preboot: OnFailure=hold", HOLD_TIMEOUT_S, "end of the second enrolment")
    running.run(DUMP, timeout_s=120)


def times_in_memory(running, content):
    return int(running.run(f"grep -o {content.hex()} /mnt/memory | wc -l").stdout)


@functools.cache
def seen():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="secrets-"))
    cable = qemu.Cable(folder)
    org = Org.make(folder / "org", GATEWAY_NAME)
    settings = folder / "node.conf"
    settings.write_text(SETTINGS)
    with World(folder / "world", cable.b, {"honest": (org, org.gateway(folder / "gateway"))}) as world:
        world.run("mount -t tmpfs tmpfs /mnt")
        world.start_resolvers()
        world.start_gateway("honest")
        invites = [world.create_invite().strip() for _ in range(2)]
        uki = image.build(folder / "node.efi", settings=settings, ca=org.ca, invite=invites[0])
        machine = node.Node(folder / "node", cable.a)
        with machine.boot("only", uki) as running:
            running.wait_for_real_root()
            running.run("mount -t tmpfs tmpfs /mnt")
            public_key = running.hand_off()["node"]["public_key"]
            places = search(running, PLACES) | search(world, GATEWAY_PLACES)
            running.run(f"cp {KEY} /mnt/key")
            plant(running)
            marked = search(running, PLACES)
            told = try_to_read(running)
            enrol_again(running, world, org, folder, invites[1])
            console = running.machine.console.text().encode()
            places |= {f"{place}, after the second": content
                       for place, content in (search(running, PLACES) | search(world, GATEWAY_PLACES)).items()}
            # Last, since what a command is told and prints lies in /run for a while. Behind attributes
            # and magic.
            key, second_key = (running.commands.get(path)[12:44] for path in ("/mnt/key", KEY))
            # The C library itself writes over the first bytes of what is given back to it.
            in_memory = {"an argument": times_in_memory(running, b"/tmp/hold.conf"),
                         "key": times_in_memory(running, second_key[16:]),
                         "invite": times_in_memory(running, invites[1][-16:].encode())}
    return Seen(key, second_key, *invites, public_key, places, marked, console, told, in_memory)


def secrets():
    """The invites also as the random bits that they stand for."""
    found = [leaks.Secret("key", seen().key), leaks.Secret("second key", seen().second_key)]
    for name, invite in (("invite", seen().invite), ("second invite", seen().second_invite)):
        bits = invite.removeprefix("fortros-invite-v1-")
        found += [leaks.Secret(name, bits), leaks.Secret(f"{name}'s bits", base64.urlsafe_b64decode(bits))]
    return found


def test_the_search_finds_what_is_there():
    """All of the below would be true of a search that looks nowhere."""
    mark = [leaks.Secret("mark", MARK)]
    missed = [place for place, content in seen().marked.items() if not leaks.count(content, mark)]
    assert not missed, f"not found in {missed}"
    for place in ("the gateway's log", "bootstrap.json"):
        assert seen().public_key.encode() in seen().places[place], f"{place} was not read"
    assert base64.b64decode(seen().public_key) in seen().places["the gateway's database"], "it was not read"
    assert b"fortros-gateway" in seen().places["the gateway's arguments"]
    assert seen().key != seen().second_key


def test_no_secret_is_left_behind():
    """Whoever may read a log, a process list, /run or the gateway's database would become the node."""
    leaks.expect_none(seen().places | {"the console": seen().console}, secrets())


def test_no_user_reads_the_key():
    """Any user of the real root could copy the node's private key, after a boot or a remount."""
    told = dict(seen().told)
    assert told.pop("root after the boot"), "root cannot read it either"
    # Otherwise the rest would show nothing.
    assert told.pop("after a mount that nobody saw"), "efivarfs keeps modes, or the user cannot read at all"
    assert not any(told.values()), told


def test_the_agent_keeps_no_secret_after_its_end():
    """OnFailure=hold keeps the agent for hours; libefivar and netlink had the key in their hands."""
    found = dict(seen().in_memory)
    assert found.pop("an argument") > 0, "the memory was not read"
    assert not any(found.values()), found
