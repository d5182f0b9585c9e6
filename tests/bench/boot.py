"""From nothing to the first packet across a tunnel: this agent, the script that people write today, and nebula.

One guest, and in it a node that is a network namespace with a NIC which is down; all that it needs is in other
namespaces of the same kernel. Its cable is in: nobody waits for a carrier. netem makes the distance, behind the
router, as DHCP is nearby everywhere.

    node  eth0 ───── lan  router  far0 ═══ LAN, or 25 ms each way ═══ far0  world
                     DHCP                                                   203.0.113.53  resolver
                                                                            203.0.113.5   fortros-gateway
                                                                            203.0.113.6   the script's server
                                                                            203.0.113.7   nebula's lighthouse

    agent        its first boot: DHCP, DNS, TLS, a proved enrolment, WireGuard
    agent-later  the next ones: it remembers
    script       tests/bench/boot/script.sh: udhcpc, dig, curl with the CA, wg; it sends a key and a token
    script-lean  the same without dig: curl asks the resolver, and a program less is needed
    nebula       tests/bench/boot/nebula.sh: udhcpc, then nebula, whose settings name the lighthouse's address

The clock runs from the program's start to the first packet of the node's that arrives behind the tunnel; an echo
request is sent every 2 ms (tests/bench/boot/stopwatch.cc). Each round runs every way once, so that all meet the
same machine. System calls and processes are counted by the kernel's tracing in the same runs.

`--adopt` puts the result where README.md has it from: tests/bench/boot/measured.json and .svg, and the table.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests"))

from lib import boot_figures, cpio, sysroot  # noqa: E402
from lib.guest import Guest  # noqa: E402
from lib.org import Org  # noqa: E402

OUT = TOP / "build/out"
HERE = TOP / "tests/bench/boot"
AGENT = OUT / "agent/preboot/fortros-preboot"
ROUND_TRIP_MS = 50
RUNS, RUNS_LIMIT, LEAST_RUNS = 10, 100, 10
LIMIT_MS = 60000
MEMORY_MIB = 768
TOKEN = "a-token-that-every-image-has"
MODULES = ["wireguard", "nf_tables", "tun", "veth", "bridge", "sch_netem"]
SETTINGS = {"lan": 0, "far": ROUND_TRIP_MS}

GATEWAY_SETTINGS = """\
[Gateway]
Listen=203.0.113.5:443
Database=/run/gateway.db
[WireGuard]
Endpoints=203.0.113.5:51820
"""
AGENT_SETTINGS = """\
[Organisation]
GatewayName={name}
[Discovery]
PublicResolvers=203.0.113.53
[Node]
KeyStore=file:/var/node/key
StateStore=file:/var/node/state
"""
NEBULA_SETTINGS = """\
pki: {{ca: /etc/nebula/ca.crt, cert: /etc/nebula/{name}.crt, key: /etc/nebula/{name}.key}}
static_host_map: {hosts}
lighthouse: {lighthouse}
listen: {{host: {listen}, port: {port}}}
tun: {{dev: nebula1}}
firewall:
  outbound: [{{port: any, proto: any, host: any}}]
  inbound: [{{port: any, proto: any, host: any}}]
"""
DNSMASQ = ("dnsmasq --keep-in-foreground --conf-file=/dev/null --log-facility=- --no-resolv --no-hosts --bind-interfaces"
           " --user=root --pid-file=")
WORLD_UP = f"""
set -e
mkdir -p /var/node /cgroup
mount -t cgroup2 cgroup2 /cgroup
echo +memory >/cgroup/cgroup.subtree_control
mkdir /tracing
mount -t tracefs tracefs /tracing
echo 1 >/tracing/options/event-fork
sh -c 'echo $$ >/tracing/set_event_pid'
ip netns add router
ip netns add world
ip link add far0 netns router type veth peer name far0 netns world
ip -n router -batch - <<'end'
link set lo up
link add lan type bridge mcast_snooping 0
addr add 192.0.2.1/24 dev lan
link set lan up
addr add 198.51.100.1/30 dev far0
link set far0 up
route add 203.0.113.0/24 via 198.51.100.2
end
ip -n world -batch - <<'end'
link set lo up
addr add 198.51.100.2/30 dev far0
link set far0 up
addr add 203.0.113.5/32 dev lo
addr add 203.0.113.6/32 dev lo
addr add 203.0.113.7/32 dev lo
addr add 203.0.113.53/32 dev lo
route add 192.0.2.0/24 via 198.51.100.1
link add wg0 type wireguard
addr add 10.43.0.1/32 dev wg0
end
ip netns exec router sysctl -qw net.ipv4.ip_forward=1
wg genkey >/run/wg0.key
ip netns exec world wg set wg0 private-key /run/wg0.key listen-port 51821
ip -n world link set wg0 up
ip -n world route add 10.43.0.0/16 dev wg0
cd /run
ip netns exec router {DNSMASQ} --port=0 --no-ping --dhcp-authoritative --dhcp-leasefile=/run/leases --interface=lan \
    --dhcp-range=192.0.2.50,192.0.2.99,255.255.255.0,600 --dhcp-option=option:router,192.0.2.1 \
    --dhcp-option=option:dns-server,203.0.113.53 >/run/dhcp.log 2>&1 &
ip netns exec world {DNSMASQ} --listen-address=203.0.113.53 --local=/example.org/ \
    --host-record=gateway.example.org,203.0.113.5 --host-record=keys.example.org,203.0.113.6 >/run/dns.log 2>&1 &
ip netns exec world fortros-gateway serve >/run/gateway.log 2>&1 &
ip netns exec world boot-key-server 203.0.113.6 /etc/fortros/keys.pem /etc/fortros/keys.key {TOKEN} 203.0.113.6:51821 \
    >/run/keys.log 2>&1 &
ip netns exec world nebula -config /etc/nebula/lighthouse.yml >/run/lighthouse.log 2>&1 &
"""
SERVING = ("grep -q event=serving /run/gateway.log && grep -q serving /run/keys.log && /bin/ip -n world link show nebula1"
           " && grep -q 'DHCP, IP range' /run/dhcp.log && /bin/ip netns exec world nslookup -type=a gateway.example.org 203.0.113.53")
# A node's namespace of its own for each run, and its NIC, which is down.
NODE_UP = """
set -e
ip netns add {node}
ip link add port netns router address 02:f0:00:00:00:01 type veth peer name eth0 netns {node} address 02:f0:00:00:00:02
ip -n router link set port master lan up
ip -n {node} link set lo up
rm -rf /run/node /etc/resolv.conf
"""
NODE_DOWN = "ip netns delete {node}; rmdir /cgroup/{node}; until ! /bin/ip -n router link show port; do usleep 20000; done"
# The kernel counts system calls by their number, and what begins by whether it shares its memory as a thread does.
COUNTERS = {"raw_syscalls/sys_enter": "id", "task/task_newtask": "clone_flags"}
COUNTERS_FRESH = "\n".join(f"""
[ ! -e /run/counts ] || echo '!hist:keys={key}' >/tracing/events/{event}/trigger
echo 'hist:keys={key}' >/tracing/events/{event}/trigger""" for event, key in COUNTERS.items()) + "\n: >/run/counts\n"
CLONE_THREAD = 0x10000


@dataclasses.dataclass(frozen=True)
class Way:
    name: str
    target: str  # which of the addresses behind the tunnels
    command: str
    before: str = "true"  # what is as it would be before such a boot
    stays: bool = False


AGENT_COMMAND = "/bin/fortros-preboot run --run-directory /run/node --kernel-command-line /etc/fortros/words"
WAYS = [
    Way("agent", "fortros", AGENT_COMMAND, "rm -rf /var/node/*"),
    Way("agent-later", "fortros", AGENT_COMMAND),
    Way("script", "script", "/bench/script.sh /etc/script keys.example.org", "rm -f /etc/script/wireguard.key"),
    Way("script-lean", "script", "/bench/script.sh --no-dig /etc/script keys.example.org",
        "rm -f /etc/script/wireguard.key"),
    Way("nebula", "nebula", "/bench/nebula.sh /etc/nebula/node.yml", stays=True),
]


# --- what each way has in its image ---

def script_files(nebula=False):
    names = ["udhcpc.script", "nebula.sh" if nebula else "script.sh"]
    return {f"/bench/{name}": (HERE / name, 0o755) for name in names}


def tree_of(files, programs, *, busybox):
    tree = cpio.Tree()
    if busybox:
        tree.file("/bin/busybox", sysroot.BUSYBOX, 0o755)
        for applet in ("sh", "ip", "cat", "tail", "sleep", "udhcpc", "dirname"):
            tree.link(f"/bin/{applet}", "busybox")
    for program in programs:
        sysroot.add_program(tree, program)
    for path, content in files.items():
        content, mode = content if isinstance(content, tuple) else (content, 0o644)
        tree.file(path, content, mode)
    return tree


def compressed(tree):
    """As initramfs/build-image does it."""
    return len(subprocess.run(["zstd", "-19", "--quiet", "--stdout", "--single-thread"], input=tree.newc(), check=True,
                              capture_output=True).stdout)


def weigh(parts):
    """Of each way: bytes of its files, and compressed; its kernel modules alone."""
    trees = {}
    for name, (files, programs, modules) in parts.items():
        kernel = cpio.Tree()
        sysroot.add_modules(kernel, modules)
        trees[name] = (tree_of(files, programs, busybox=name != "agent"), kernel)
    with concurrent.futures.ThreadPoolExecutor(2 * len(trees)) as pool:
        sizes = {name: [pool.submit(compressed, tree) for tree in pair] for name, pair in trees.items()}
    return {name: {"bytes": sum(len(entry.data) for entry in trees[name][0].entries.values()),
                   "compressed": own.result(), "modules_compressed": modules.result()}
            for name, (own, modules) in sizes.items()}


# --- the guest ---

class Bed:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        org = self.org = Org.make(self.folder / "org")
        gateway = org.gateway(self.folder / "gateway")
        keys = org.forge(org.gateway(self.folder / "keys"), dns=["keys.example.org"], uris=[])
        self.agent, server = self.stripped(AGENT), self.stripped(OUT / "agent/gateway/fortros-gateway")
        self.make_nebula()
        self.agent_files = {"/etc/fortros/preboot.conf": AGENT_SETTINGS.format(name=org.gateway_name),
                            "/etc/fortros/org-ca.pem": org.ca, "/etc/fortros/invite": ("x" * 60 + "\n", 0o600)}
        self.script_files = {"/etc/script/ca.pem": org.ca, "/etc/script/token": TOKEN, **script_files()}
        self.nebula_files = {f"/etc/nebula/{name}": self.folder / "nebula" / name
                             for name in ("ca.crt", "node.crt", "node.key", "node.yml")} | script_files(nebula=True)
        files = {f"/etc/fortros/{file.name}": (file, 0o600)
                 for file in (org.ca, org.folder / "org.conf", org.signer, org.signer_key, gateway.certificate,
                              gateway.key, gateway.wireguard_key)}
        files |= {"/etc/fortros/gateway.conf": GATEWAY_SETTINGS, "/etc/fortros/words": "", "/etc/fortros/keys.pem": keys.certificate,
                  "/etc/fortros/keys.key": (keys.key, 0o600), **self.agent_files, **self.script_files, **self.nebula_files}
        files |= {f"/etc/nebula/{name}": self.folder / "nebula" / name
                  for name in ("lighthouse.crt", "lighthouse.key", "lighthouse.yml")}
        self.guest = Guest("boot", files=files, modules=MODULES, memory_mib=MEMORY_MIB, prefer_programs=True, programs=[
            "ip", "tc", "wg", "curl", "dig", "dnsmasq", "nebula", self.agent, server,
            self.stripped(OUT / "tests/bench/boot-stopwatch"), self.stripped(OUT / "tests/bench/boot-key-server")])
        self.number = 0
        self.targets = {"script": "10.43.0.1", "nebula": "10.42.0.1"}

    def stripped(self, program):
        to = self.folder / program.name
        subprocess.run(["strip", "-s", "-o", to, program], check=True)
        return to

    def make_nebula(self):
        folder = self.folder / "nebula"
        folder.mkdir()
        subprocess.run(["nebula-cert", "ca", "-name", "org"], cwd=folder, check=True)
        for name, address in (("lighthouse", "10.42.0.1/16"), ("node", "10.42.0.2/16")):
            subprocess.run(["nebula-cert", "sign", "-name", name, "-ip", address], cwd=folder, check=True)
        (folder / "lighthouse.yml").write_text(NEBULA_SETTINGS.format(
            name="lighthouse", hosts="{}", lighthouse="{am_lighthouse: true}", listen="203.0.113.7", port=4242))
        (folder / "node.yml").write_text(NEBULA_SETTINGS.format(
            name="node", hosts='{"10.42.0.1": ["203.0.113.7:4242"]}', lighthouse='{hosts: ["10.42.0.1"]}',
            listen="0.0.0.0", port=0))

    def __enter__(self):
        self.guest.__enter__()
        try:
            self.guest.run(WORLD_UP)
            self.guest.wait_until(SERVING, timeout_s=60)
            invite = self.guest.run("ip netns exec world fortros-gateway invite create --uses 1000 --approval no").stdout
            self.guest.put("/etc/fortros/invite", invite, 0o600)
            said = self.guest.run("ip -n world -6 addr show dev fortros0 scope global").stdout
            self.targets["fortros"] = re.search(r"inet6 (fd[0-9a-f:]+)/", said)[1]
        except BaseException:
            print(self.guest.run("tail -n 20 /run/*.log", check=False).stdout)
            self.guest.stop()
            raise
        return self

    def __exit__(self, *what):
        self.guest.__exit__(*what)

    def set_distance(self, round_trip_ms):
        for namespace in ("router", "world"):
            self.guest.run(f"ip netns exec {namespace} tc qdisc delete dev far0 root", check=False)
            if round_trip_ms:
                self.guest.run(f"ip netns exec {namespace} tc qdisc add dev far0 root netem delay {round_trip_ms / 2}ms")

    def run(self, way):
        """What the stopwatch tells of one run, and what the kernel has counted."""
        self.number += 1
        node = f"node{self.number}"
        self.guest.run(way.before + NODE_UP.format(node=node) + COUNTERS_FRESH)
        try:
            told = self.time(way, node) | self.counts()
            if way.name.startswith("agent"):
                told["stages_ms"] = stages_ms(self.guest.read("/run/said"))
            print(told, flush=True)
            if way.name.startswith("agent"):
                print(self.guest.run("fortros-preboot report --events /run/node/events.jsonl").stdout, flush=True)
            return told
        finally:
            self.guest.run(f"({NODE_DOWN.format(node=node)}) >/dev/null 2>&1", check=False)

    def time(self, way, node):
        done = self.guest.run(
            f"ip netns exec {node} boot-stopwatch {'--stays' if way.stays else ''} world {self.targets[way.target]}"
            f" /cgroup/{node} {LIMIT_MS} {way.command} 2>/run/said", timeout_s=LIMIT_MS // 1000 + 20, check=False)
        said = self.guest.read("/run/said")
        print(f"{way.name}:\n{said}", flush=True)
        assert done.status == 0, said
        told = json.loads(done.stdout.splitlines()[-1])
        if told["first_packet_us"] is None or not (way.stays or told["status"] == 0):
            print(self.guest.run("tail -n 20 /run/*.log", check=False).stdout, flush=True)
            raise AssertionError(f"{way.name}: {told}\n{said}")
        return told

    def counts(self):
        calls, begun = (re.findall(r"^\{ \w+: +(\d+) \} hitcount: +(\d+)", self.guest.read(f"/tracing/events/{event}/hist"), re.M)
                        for event in COUNTERS)
        threads = sum(int(count) for flags, count in begun if int(flags) & CLONE_THREAD)
        return {"calls": sum(int(count) for _, count in calls), "threads": threads,
                "processes": 1 + sum(int(count) for _, count in begun) - threads}


def stages_ms(said):
    """What the agent itself has told of each of its stages."""
    found = re.findall(r"\[\d/9\] ([a-z ]+): .*, ([0-9.]+) (ms|s)$", said, re.M)
    assert len(found) == 9, said
    return {name: float(took) * (1000 if unit == "s" else 1) for name, took, unit in found}


# --- the measurement ---

def versions():
    def first_line(*words):
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        return (done.stdout + done.stderr).splitlines()[0]

    return {"kernel": sysroot.kernel_release(), "curl": first_line("curl", "--version").split()[1],
            "nebula": first_line("nebula", "-version").split()[-1],
            "busybox": first_line("busybox").split()[1].lstrip("v"), "dig": first_line("dig", "-v").split()[-1]}


def measure(runs, ways):
    result = {"runs": runs, "round_trip_ms": ROUND_TRIP_MS, "versions": versions(), "times": {}}
    with tempfile.TemporaryDirectory(prefix="boot.") as folder:
        bed = Bed(folder)
        with bed:
            for setting, round_trip_ms in SETTINGS.items():
                bed.set_distance(round_trip_ms)
                result["times"][setting] = rounds(bed, ways, runs, setting)
        print("times are known: weights follow", file=sys.stderr, flush=True)
        result["weights"] = weigh({
            "agent": (bed.agent_files, [bed.agent], ["wireguard", "nf_tables"]),
            "script": (bed.script_files, ["curl", "dig", "wg"], ["wireguard"]),
            "script-lean": (bed.script_files, ["curl", "wg"], ["wireguard"]),
            "nebula": (bed.nebula_files, ["nebula"], ["tun"])})
    return result


def rounds(bed, ways, runs, title):
    """Each round runs every way once. The first is nobody's: files are read, caches filled."""
    told = {way.name: [] for way in ways}
    for number in range(runs + 1):
        print(f"{title}: {number} of {runs}", file=sys.stderr, flush=True)
        for way in ways:
            one = bed.run(way)
            if number:
                told[way.name].append(one)
    return told


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench boot", description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=RUNS, help="of each way, in each setting (%(default)s)")
    parser.add_argument("--adopt", action="store_true", help="the README's figures are these from now on")
    words = parser.parse_args()
    runs = max(1, min(words.runs, RUNS_LIMIT))
    place = TOP / os.environ.get("FORTROS_RESULT", "build/bench/boot.json")
    place.parent.mkdir(parents=True, exist_ok=True)
    # What the programs say goes beside the result.
    with open(place.with_suffix(".log"), "w", encoding="utf-8") as log, contextlib.redirect_stdout(log):
        result = measure(runs, WAYS)
    text = json.dumps(result, indent=1) + "\n"
    place.write_text(text, encoding="ascii")
    place.with_suffix(".svg").write_text(boot_figures.chart(result), encoding="utf-8")
    print(boot_figures.table(result))
    print(boot_figures.verdict(result))
    if words.adopt:
        if runs < LEAST_RUNS:
            sys.exit(f"only of {LEAST_RUNS} runs or more")
        boot_figures.adopt(result)


if __name__ == "__main__":
    main()
