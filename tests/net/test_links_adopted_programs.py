"""os/links with Mode=adopt beside the very programs that configure the links in other people's initramfs.

    node [eth0]────────────[lan0] router: 192.0.2.1/24, dnsmasq
      klibc's ipconfig        initramfs-tools
      systemd-networkd        dracut, mkosi
      NetworkManager          dracut, by nm-initrd-generator
      dhclient                dracut's own scripts

Each runs as the initramfs runs it, and the agent beside it from before it begins.
"""

import contextlib
import pathlib
import shutil

from lib import dhcp_servers
from lib.links_probe import LinksProbe
from lib.netns import Net

TIME_LIMIT_S = 120
RESOLVERS = ["192.0.2.53", "198.51.100.53"]
# networkd waits for no udev where /sys is read-only, as in every container.
NO_UDEV = "mount -o remount,ro /sys"
DRACUT = "/usr/lib/dracut"


@contextlib.contextmanager
def world():
    """A node whose links nobody has touched, and a server that leases addresses and tells two resolvers."""
    try:
        with Net() as net:
            node, router = net.namespace("node"), net.namespace("router")
            net.wire(node, "eth0", router, "lan0")
            serve(router, "lan0", "192.0.2", RESOLVERS)
            yield net, node, LinksProbe(node, "Mode=adopt")
    finally:
        for place in ("/run/systemd", "/run/NetworkManager", "/run/initramfs", "/tmp/lib", "/tmp/bin"):
            shutil.rmtree(place, ignore_errors=True)
        for folder, pattern in (("/run", "net-*.conf"), ("/tmp", "net.eth0.*"), ("/tmp", "dhclient.*")):
            for path in pathlib.Path(folder).glob(pattern):
                path.unlink()


def serve(router, interface, network, resolvers):
    router.run("ip", "address", "add", f"{network}.1/24", "dev", interface)
    dhcp_servers.dnsmasq(router, interface, f"option:router,{network}.1", f"option:dns-server,{','.join(resolvers)}",
                         "option:domain-name,example.org", pool=(f"{network}.50", f"{network}.99"))


def shell(*commands):
    return "sh", "-ec", "; ".join(commands)


def write(path, text):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def expect_adopted(probe, resolvers):
    """All that the program has found, and nothing asked for by the agent itself."""
    link = probe.usable(lambda event: event["resolvers"] == resolvers and event["gateways"])
    assert link["name"] == "eth0" and link["gateways"] == ["192.0.2.1"], link
    assert [address for address in link["addresses"] if address.startswith("192.0.2.")], link
    assert "dhcp" not in link, link


def test_ipconfig_of_initramfs_tools():
    """A node with Debian's initramfs would be given an address and no resolver."""
    with world() as (_, node, probe):
        node.run("/usr/lib/klibc/bin/ipconfig", "-t", "20", "-c", "dhcp", "-d", "eth0")
        expect_adopted(probe, RESOLVERS)


def test_systemd_networkd():
    """An initrd with systemd-networkd would never find its gateway by the local DNS."""
    with world() as (_, node, probe):
        write("/run/systemd/network/lan.network",
              "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\nDNS=203.0.113.53 2001:db8::53\n"
              "[DHCPv4]\nClientIdentifier=mac\n[DHCPv6]\nDUIDType=link-layer\n")
        node.start(*shell(NO_UDEV, "exec /usr/lib/systemd/systemd-networkd"))
        expect_adopted(probe, ["203.0.113.53", "2001:db8::53", *RESOLVERS])


def test_systemd_networkd_gives_up_its_lease():
    """The agent would go on with the addresses of a network that the node has left."""
    with world() as (_, node, probe):
        write("/run/systemd/network/lan.network", "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=no\n"
              "[DHCPv4]\nClientIdentifier=mac\n")
        networkd = node.start(*shell(NO_UDEV, "exec /usr/lib/systemd/systemd-networkd"))
        expect_adopted(probe, RESOLVERS)
        networkd.stop()
        node.run("ip", "-4", "address", "flush", "dev", "eth0")
        probe.wait_for("lost")


def start_networkmanager(node, *settings):
    """As dracut's nm-initrd.service does: once, until the network is up."""
    node.run(*shell("mkdir -p /run/NetworkManager", "/usr/libexec/nm-initrd-generator ip=dhcp"))
    write("/run/NetworkManager/conf.d/test.conf", "\n".join(["[main]", *settings, ""]))
    return node.start(*shell(NO_UDEV, "mount -t tmpfs tmpfs /var/lib",
                             "exec NetworkManager --configure-and-quit=initrd --no-daemon --debug"))


def test_networkmanager():
    """dracut's initramfs on Fedora and RHEL: the node would ask no resolver of its network."""
    with world() as (_, node, probe):
        start_networkmanager(node)
        expect_adopted(probe, RESOLVERS)


def test_networkmanager_with_two_cards():
    """A card's own resolvers are asked through it; its state of the device alone says whose they are."""
    with world() as (net, node, probe):
        other = net.namespace("other")
        net.wire(node, "eth1", other, "lan1")
        serve(other, "lan1", "198.51.100", ["198.51.100.77"])
        start_networkmanager(node)
        for name, own, others in (("eth0", RESOLVERS, ["198.51.100.77"]), ("eth1", ["198.51.100.77"], RESOLVERS)):
            probe.seen = 0
            probe.usable(lambda event, name=name, wanted=own + others:
                         event["name"] == name and event["resolvers"] == wanted)


def test_dhclient_of_dracut():
    """dracut's own scripts, in images with neither systemd-networkd nor NetworkManager."""
    with world() as (_, node, probe):
        # What dracut puts into an initramfs, where it puts it.
        node.run(*shell(
            "mkdir -p /run/initramfs /tmp/lib /tmp/bin",
            f"cp {DRACUT}/modules.d/99base/dracut-lib.sh {DRACUT}/modules.d/99base/dracut-dev-lib.sh /tmp/lib",
            f"cp {DRACUT}/modules.d/45net-lib/net-lib.sh /tmp/lib",
            f"cp {DRACUT}/modules.d/99base/initqueue.sh /tmp/bin/initqueue",
            f"cp {DRACUT}/modules.d/35network-legacy/dhclient-script.sh /tmp/bin/dhclient-script",
            f"ln -s {DRACUT}/dracut-util /tmp/bin/dracut-getarg", f"ln -s {DRACUT}/dracut-util /tmp/bin/dracut-getargs",
            "chmod +x /tmp/bin/initqueue /tmp/bin/dhclient-script", "ip link set eth0 up"))
        node.start(*shell(
            "mount -t overlay -o lowerdir=/tmp/lib:/usr/lib overlay /usr/lib",
            "mount -t overlay -o lowerdir=/tmp/bin:/usr/bin overlay /usr/bin",
            f"exec dhclient -4 -d -1 -cf {DRACUT}/modules.d/35network-legacy/dhclient.conf -pf /tmp/dhclient.eth0.pid "
            "-lf /tmp/dhclient.eth0.lease -sf /usr/bin/dhclient-script eth0"))
        link = probe.usable(lambda event: event["resolvers"] == RESOLVERS)
        assert link["addresses"][0].startswith("192.0.2."), link
