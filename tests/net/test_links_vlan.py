"""os/links with VLAN=, in a guest, because not every kernel that builds this has 802.1Q.

    node (the guest itself)                    router (a network namespace of the guest)
      eth0 ─────────────────────────────────── lan0       untagged: a DHCP server, 198.51.100.1/24
        eth0.7  (or a name of its own)         lan0.7     tagged 7: a DHCP server, 192.0.2.1/24
"""

import json
import pathlib

from lib.guest import Guest, SharedGuest

TIME_LIMIT_S = 300
TAKES_S = 30
PROBE = pathlib.Path(__file__).resolve().parents[2] / "build/out/tests/net/links-probe"


def serve(interface, network):
    return (f"ip netns exec router dnsmasq --conf-file=/dev/null --port=0 --user=root --pid-file= --no-ping "
            f"--dhcp-authoritative --dhcp-leasefile=/run/{interface}.leases --interface={interface} "
            f"--bind-interfaces --dhcp-range={network}.50,{network}.99,255.255.255.0,600 "
            f"--dhcp-option=option:router,{network}.1")


guest = SharedGuest(lambda: Guest(programs=["ip", "dnsmasq", PROBE], prefer_programs=True,
                                  modules=["veth", "8021q", "af_packet"]))
run = guest.run


def lan():
    """The router behind a cable; the node's end is there, and down."""
    run(f"""
        set -e
        ip netns add router
        ip link add eth0 type veth peer name lan0 netns router
        ip -n router address add 198.51.100.1/24 dev lan0
        ip -n router link set lan0 up
        ip -n router link add link lan0 name lan0.7 type vlan id 7
        ip -n router address add 192.0.2.1/24 dev lan0.7
        ip -n router link set lan0.7 up
        {serve("lan0", "198.51.100")}
        {serve("lan0.7", "192.0.2")}
    """)


def end():
    """Everything is as it was before lan()."""
    run("""
        kill $(cat /run/probe.pid) $(ip netns pids router) 2>/dev/null
        ip netns delete router
        for link in lan7 eth0.7 eth0; do ip link delete $link; done
        rm -f /run/in /run/out /run/*.leases
        true
    """, check=False)


def start_probe(*network):
    settings = "\n".join(["[Organisation]", "GatewayName=gw.example.org", "[Network]", *network]) + "\n"
    guest.put("/run/preboot.conf", settings)
    run("""
        rm -f /run/in && mkfifo /run/in
        links-probe /run/preboot.conf <>/run/in >/run/out 2>&1 &
        echo $! >/run/probe.pid
    """)


def told(kind, words):
    """The first event of this kind with these words in it."""
    guest.wait_until(f"""grep '^{{"event":"{kind}"' /run/out | grep -F '{words}'""")
    lines = guest.read("/run/out").splitlines()
    return next(json.loads(line) for line in lines if line.startswith(f'{{"event":"{kind}"') and words in line)


def addresses_of(interface):
    shown = json.loads(run(f"ip -json -4 address show dev {interface}").stdout)
    return [item["local"] for link in shown for item in link.get("addr_info", [])]


def test_a_vlan_is_made_and_its_parent_only_carries_it():
    """A node whose network is tagged would speak to nobody, or take an address on the wrong network."""
    try:
        lan()
        start_probe("VLAN=eth0.7")
        link = told("usable", '"name"')
        assert link["name"] == "eth0.7" and link["vlan"] == {"parent": "eth0", "id": 7}, link
        assert link["addresses"][0].startswith("192.0.2.") and link["gateways"] == ["192.0.2.1"], link
        # Not even looked at as a link: that would have come before.
        assert addresses_of("eth0") == [] and "eth0: carrier" not in guest.read("/run/out").replace("eth0.7", "")
        details = json.loads(run("ip -json -details link show dev eth0.7").stdout)[0]
        assert details["link"] == "eth0" and details["linkinfo"]["info_data"]["id"] == 7, details
        run("ping -c 1 -W 5 192.0.2.1")
    finally:
        end()


def test_a_vlan_is_made_when_its_parent_appears():
    """The driver of the card may load after the agent has started."""
    try:
        start_probe("VLAN=lan7:eth0:7", "Interfaces=en*")
        assert told("trouble", "lan7")["why"] == "lan7: its parent eth0 is not there"
        lan()
        link = told("usable", '"name"')
        assert link["name"] == "lan7" and link["addresses"][0].startswith("192.0.2."), link
        assert addresses_of("eth0") == []
    finally:
        end()


def test_a_parent_that_is_named_is_a_link_as_well():
    """An operator with an untagged network beside the tagged one."""
    try:
        lan()
        start_probe("VLAN=eth0.7", "Interfaces=eth0")
        assert told("usable", '"name":"eth0.7"')["addresses"][0].startswith("192.0.2.")
        assert told("usable", '"name":"eth0"')["addresses"][0].startswith("198.51.100.")
    finally:
        end()


def test_a_vlan_that_was_made_before_is_taken():
    """A boot that is tried again, or an initramfs that makes its VLANs itself."""
    try:
        lan()
        run("ip link add link eth0 name lan7 type vlan id 7")
        start_probe("VLAN=lan7:eth0:7")
        assert told("usable", '"name":"lan7"')["addresses"][0].startswith("192.0.2.")
        said = guest.read("/run/out")
        assert "cannot be made" not in said, said
    finally:
        end()


def test_a_vlan_that_cannot_be_made_is_told_in_words():
    """The tag is taken by another link: the engineer would look for a cable."""
    try:
        lan()
        run("ip link add link eth0 name other type vlan id 7")
        start_probe("VLAN=lan7:eth0:7", "Interfaces=none")
        assert "lan7: cannot be made on eth0: File exists" in told("trouble", "lan7")["why"]
        # Once the tag is free it is made, however often something else has happened meanwhile.
        run("for i in 1 2 3 4 5 6 7 8 9 10; do ip link set other up; ip link set other down; done")
        run("ip link delete other")
        assert told("usable", '"name"')["name"] == "lan7"
    finally:
        run("ip link delete other", check=False)
        end()
