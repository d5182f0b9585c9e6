"""os/links with Mode=adopt: what others in the initramfs configure is found, and nothing is touched.

    node [eth0]────────────[lan0] router: 192.0.2.1/24
         [eth1]────────────[lan1]         where a test wants a second

The files have the exact form that their writers give them; the writers are played by the test, with ip(8)
and by writing as they do: klibc's ipconfig in place, systemd by a rename. test_links_adopted_programs.py has
the very programs.
"""

import contextlib
import os
import pathlib
import shutil

from lib import dhcp_servers
from lib.discovery import World
from lib.links_probe import LinksProbe
from lib.netns import Net
from lib.netns import run as run_here

TIME_LIMIT_S = 120
ADDRESS = "192.0.2.77/24"


@contextlib.contextmanager
def world():
    """A node with an interface, a router behind it, and /run and /tmp without any of the files."""
    places = [pathlib.Path(place) for place in ("/run/systemd", "/run/NetworkManager")]
    try:
        with Net() as net:
            node, router = net.namespace("node"), net.namespace("router")
            net.wire(node, "eth0", router, "lan0")
            router.run("ip", "address", "add", "192.0.2.1/24", "dev", "lan0")
            yield net, node, router
    finally:
        for place in places:
            shutil.rmtree(place, ignore_errors=True)
        for pattern in ("/run/net-*.conf", "/tmp/net.*.resolv.conf", "/tmp/dhclient.*.dhcpopts"):
            folder, _, name = pattern.rpartition("/")
            for path in pathlib.Path(folder).glob(name):
                path.unlink()


def configure(node, interface="eth0", address=ADDRESS):
    """As whoever has the network in his hands does it."""
    node.run("ip", "link", "set", interface, "up")
    node.run("ip", "address", "add", address, "dev", interface)
    node.run("ip", "route", "add", "default", "via", "192.0.2.1", "dev", interface)


def write(path, text):
    """A file that is there whole or not at all, as systemd and NetworkManager write."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.parent / (".#" + path.name)
    part.write_text(text, encoding="utf-8")
    os.rename(part, path)


def ipconfig_file(interface="eth0", resolvers=("192.0.2.53", "198.51.100.53")):
    """What klibc's ipconfig writes for one interface."""
    first, second = [*resolvers, "0.0.0.0", "0.0.0.0"][:2]
    return (f"DEVICE='{interface}'\nPROTO='dhcp'\nIPV4ADDR='192.0.2.77'\nIPV4BROADCAST='192.0.2.255'\n"
            f"IPV4NETMASK='255.255.255.0'\nIPV4GATEWAY='192.0.2.1'\nIPV4DNS0='{first}'\nIPV4DNS1='{second}'\n"
            "HOSTNAME='node7'\nDNSDOMAIN='example.org'\nNISDOMAIN=''\nROOTSERVER='192.0.2.1'\nROOTPATH=''\n"
            "filename=''\nUPTIME='3'\nDHCPLEASETIME='600'\nDOMAINSEARCH=''\n")


def ifindex(node, interface="eth0"):
    return node.ip("link", "show", "dev", interface)[0]["ifindex"]


def networkd_link(resolvers):
    return ("# This is private data. Do not parse.\nADMIN_STATE=configured\nOPER_STATE=routable\n"
            "CARRIER_STATE=carrier\nADDRESS_STATE=routable\nIPV4_ADDRESS_STATE=routable\nIPV6_ADDRESS_STATE=off\n"
            "ONLINE_STATE=online\nREQUIRED_FOR_ONLINE=yes\nREQUIRED_OPER_STATE_FOR_ONLINE=degraded\n"
            "ACTIVATION_POLICY=up\nNETWORK_FILE=/run/systemd/network/lan.network\n"
            f"DNS={resolvers}\nNTP=192.0.2.123\nDOMAINS=example.org\nLLMNR=yes\nMDNS=no\n")


def test_nothing_is_touched_and_nothing_is_said():
    """Two programs would configure one interface, and the tunnel's underlay would go with the loser's."""
    with world() as (net, node, router):
        dhcp_servers.dnsmasq(router, "lan0", "option:router,192.0.2.1")
        net.wire(node, "eth1", router, "lan1")
        for host in (node, router):  # the kernels' own packets would be in the way
            host.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
        wire = router.capture("lan0")
        probe = LinksProbe(node, "Mode=adopt")
        assert "eth0: nobody has brought it up yet" in probe.trouble("eth0")["why"]
        node.run("ip", "link", "set", "eth0", "up")
        probe.trouble("eth0: nobody has given it an address yet")
        before = node.ip("address", "show", "dev", "eth0"), node.ip("address", "show", "dev", "eth1")
        assert wire.packets() == []
        configure(node)
        link = probe.usable(lambda event: event["gateways"])
        assert link["addresses"] == [ADDRESS] and link["gateways"] == ["192.0.2.1"], link
        assert link["resolvers"] == [] and "dhcp" not in link, link
        assert not [packet for packet in wire.stop() if packet.kind == "dhcp"]
        assert node.ip("address", "show", "dev", "eth1") == before[1]
        assert "UP" not in node.ip("link", "show", "dev", "eth1")[0]["flags"]
        probe.end()
        assert [item["local"] for item in node.ip("-4", "address", "show", "dev", "eth0")[0]["addr_info"]] == [
            "192.0.2.77"]


def test_what_initramfs_tools_has_configured():
    """A node in a Debian initramfs would ask no resolver."""
    with world() as (_, node, _):
        configure(node)
        pathlib.Path("/run/net-eth0.conf").write_text(ipconfig_file(), encoding="utf-8")
        pathlib.Path("/run/net-eth9.conf").write_text(ipconfig_file("eth9", ["192.0.2.9"]), encoding="utf-8")
        link = LinksProbe(node, "Mode=adopt").usable()
        assert link["addresses"] == [ADDRESS] and link["gateways"] == ["192.0.2.1"], link
        assert link["resolvers"] == ["192.0.2.53", "198.51.100.53"], link


def test_what_initramfs_tools_configures_later():
    """ipconfig writes its file a moment after the address: the resolvers would never be found."""
    with world() as (_, node, _):
        probe = LinksProbe(node, "Mode=adopt")
        configure(node)
        assert probe.usable()["resolvers"] == []
        pathlib.Path("/run/net-eth0.conf").write_text(ipconfig_file(resolvers=["192.0.2.53"]), encoding="utf-8")
        probe.usable(lambda event: event["resolvers"] == ["192.0.2.53"])
        pathlib.Path("/run/net-eth0.conf").write_text(ipconfig_file(resolvers=["192.0.2.54"]), encoding="utf-8")
        probe.usable(lambda event: event["resolvers"] == ["192.0.2.54"])
        pathlib.Path("/run/net-eth0.conf").unlink()
        probe.usable(lambda event: event["resolvers"] == [])


def test_what_dracut_has_configured():
    """dracut's own network scripts, in images without systemd's or NetworkManager's."""
    with world() as (_, node, _):
        configure(node)
        probe = LinksProbe(node, "Mode=adopt")
        probe.usable()
        pathlib.Path("/tmp/net.eth0.resolv.conf").write_text("search example.org\nnameserver 192.0.2.53\n",
                                                             encoding="utf-8")
        probe.usable(lambda event: event["resolvers"] == ["192.0.2.53"])
        pathlib.Path("/tmp/dhclient.eth0.dhcpopts").write_text(
            "new_ip_address='192.0.2.77'\nnew_domain_name_servers='192.0.2.53 192.0.2.54'\n", encoding="utf-8")
        probe.usable(lambda event: event["resolvers"] == ["192.0.2.53", "192.0.2.54"])


def test_what_networkmanager_has_configured_in_dracut():
    """dracut with NetworkManager, as Fedora and RHEL have it."""
    with world() as (_, node, _):
        configure(node)
        probe = LinksProbe(node, "Mode=adopt")
        probe.usable()
        write(f"/run/NetworkManager/devices/{ifindex(node)}",
              "[device]\nmanaged=true\nconnection-uuid=11111111-2222-3333-4444-555555555555\n\n"
              "[dhcp4]\ndhcp4.domain_name_servers=192.0.2.53\ndhcp4.ip_address=192.0.2.77\n")
        probe.usable(lambda event: event["resolvers"] == ["192.0.2.53"])
        write("/run/NetworkManager/resolv.conf", "# Generated by NetworkManager\nnameserver 192.0.2.54\n")
        probe.usable(lambda event: event["resolvers"] == ["192.0.2.53", "192.0.2.54"])


def test_what_networkd_has_configured():
    """An initrd with systemd-networkd; its folders appear one after the other while the node waits."""
    with world() as (_, node, _):
        configure(node)
        probe = LinksProbe(node, "Mode=adopt")
        assert probe.usable()["resolvers"] == []
        number = ifindex(node)
        write(f"/run/systemd/netif/leases/{number}",
              "# This is private data. Do not parse.\nADDRESS=192.0.2.77\nNETMASK=255.255.255.0\nROUTER=192.0.2.1\n"
              "SERVER_ADDRESS=192.0.2.1\nT1=300\nT2=525\nLIFETIME=600\nDNS=192.0.2.53\nCLIENTID=ff0102\n")
        probe.usable(lambda event: event["resolvers"] == ["192.0.2.53"])
        write(f"/run/systemd/netif/links/{number}", networkd_link("192.0.2.54 2001:db8::53%eth0"))
        probe.usable(lambda event: event["resolvers"] == ["192.0.2.54", "2001:db8::53", "192.0.2.53"])
        write("/run/systemd/resolve/resolv.conf", "nameserver 192.0.2.55\n")
        probe.usable(lambda event: event["resolvers"][-1] == "192.0.2.55")
        # Written anew in place of the old, as systemd does with every change.
        write(f"/run/systemd/netif/links/{number}", networkd_link(""))
        probe.usable(lambda event: event["resolvers"] == ["192.0.2.53", "192.0.2.55"])


def test_the_settings_resolvers_count_besides():
    """An operator whose initramfs tells no resolver at all."""
    with world() as (_, node, _):
        configure(node)
        pathlib.Path("/run/net-eth0.conf").write_text(ipconfig_file(resolvers=["192.0.2.53"]), encoding="utf-8")
        link = LinksProbe(node, "Mode=adopt", "DNS=203.0.113.53").usable()
        assert link["resolvers"] == ["203.0.113.53", "192.0.2.53"], link


def test_excluded_interfaces_are_not_adopted():
    """The node would join over the management network."""
    with world() as (net, node, router):
        net.wire(node, "eth1", router, "lan1")
        node.run("ip", "link", "set", "eth1", "up")
        node.run("ip", "address", "add", "198.51.100.77/24", "dev", "eth1")
        probe = LinksProbe(node, "Mode=adopt", "Interfaces=eth0")
        probe.trouble("eth0: nobody has brought it up yet")
        configure(node)
        assert probe.usable()["name"] == "eth0"
        assert {event["name"] for event in probe.events() if event["event"] == "usable"} == {"eth0"}


def test_a_file_that_makes_no_sense_holds_nothing_up():
    """A pipe, a folder or rubbish where a file is expected: the boot would wait or end."""
    with world() as (_, node, _):
        configure(node)
        os.mkfifo("/run/net-eth0.conf")
        pathlib.Path("/tmp/net.eth0.resolv.conf").write_bytes(b"nameserver \xff\x00\nnameserver 192.0.2.53")
        probe = LinksProbe(node, "Mode=adopt")
        link = probe.usable()
        assert link["resolvers"] == ["192.0.2.53"], link
        assert probe.end()["peak_rss_kib"] <= 4096


def allow_inotify(count):
    """A command that gives its own user namespace so many."""
    return ["sh", "-c", f'echo {count} >/proc/sys/user/max_inotify_instances && exec "$@"', "sh"]


def test_a_kernel_that_is_short_of_something_is_asked_again():
    """One bad moment before the first look at the links, and the boot would wait for them in vain."""
    with World() as world:
        node = world.node
        node.run("ip", "link", "set", "eth0", "up")
        node.run("ip", "address", "add", "192.0.2.10/24", "dev", "eth0")
        boot = world.boot("Sources=cached", gateways=["192.0.2.1:443"], network=["Mode=adopt"],
                          wrapper=["unshare", "--user", "--map-root-user", *allow_inotify(0)])
        boot.wait_for("cannot watch files")
        run_here("nsenter", "--user", "--preserve-credentials", f"--target={boot.process.pid}", *allow_inotify(128), "true")
        boot.wait_for(r"\[3/9\] links: eth0")
