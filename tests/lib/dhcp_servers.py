"""DHCP servers and routers of other people's making, in a test's namespaces (lib.netns). Each function
starts one on an interface and returns when it serves."""

import json

NETWORK = "192.0.2.0/24"
MASK = "255.255.255.0"
POOL = ("192.0.2.50", "192.0.2.99")
NETWORK6 = "2001:db8:1::/64"
POOL6 = ("2001:db8:1::50", "2001:db8:1::99")


def dnsmasq(namespace, interface, *options, pool=POOL, seconds=600):
    """dnsmasq as a DHCP server only. `options` as on its command line: "option:mtu,1400" and the like."""
    leases = namespace.net.folder / f"dnsmasq.{namespace.name}.leases"
    return namespace.start(
        "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--log-facility=-", "--log-dhcp", "--port=0",
        "--user=root", "--pid-file=", "--no-ping", "--dhcp-authoritative", f"--dhcp-leasefile={leases}",
        f"--interface={interface}", "--bind-interfaces", f"--dhcp-range={pool[0]},{pool[1]},{MASK},{seconds}",
        *(option if option.startswith("--") else f"--dhcp-option={option}" for option in options),
        ready=r"dnsmasq-dhcp.*: (DHCP|sockets), ")


def kea(namespace, interface, *, options=(), pool=POOL, seconds=600, renew_s=None, rebind_s=None):
    """Kea. `options`: pairs of Kea's name of an option and its data."""
    settings = {
        "interfaces-config": {"interfaces": [interface], "dhcp-socket-type": "raw"},
        "lease-database": {"type": "memfile", "persist": False},
        "authoritative": True,
        "valid-lifetime": seconds,
        "subnet4": [{"id": 1, "subnet": NETWORK, "pools": [{"pool": " - ".join(pool)}],
                     "option-data": [{"name": name, "data": data} for name, data in options]}],
        "loggers": [{"name": "kea-dhcp4", "severity": "INFO",
                     "output_options": [{"output": "stdout", "flush": True}]}],
    }
    if renew_s:
        settings |= {"renew-timer": renew_s, "rebind-timer": rebind_s}
    path = namespace.net.file(f"kea.{namespace.name}.json", json.dumps({"Dhcp4": settings}))
    return namespace.start("env", "KEA_LOCKFILE_DIR=none", f"KEA_PIDFILE_DIR={namespace.net.folder}",
                           "kea-dhcp4", "-c", path, ready="DHCP4_STARTED")


def dnsmasq6(namespace, interface, *options):
    """dnsmasq as a DHCPv6 server. `options` as on its command line: the range is one of them."""
    leases = namespace.net.folder / f"dnsmasq6.{namespace.name}.leases"
    return namespace.start(
        "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--log-facility=-", "--log-dhcp", "--port=0",
        "--user=root", "--pid-file=", "--dhcp-authoritative", f"--dhcp-leasefile={leases}",
        f"--interface={interface}", "--bind-interfaces", *options, ready=r"dnsmasq-dhcp.*: (DHCPv6|sockets)[, ]")


def kea6(namespace, interface, *, options=(), seconds=600, preferred_s=None, renew_s=None, rebind_s=None,
         rapid_commit=False):
    """Kea for IPv6. `options`: pairs of Kea's name of an option and its data."""
    settings = {
        "interfaces-config": {"interfaces": [interface]},
        "lease-database": {"type": "memfile", "persist": False},
        "server-id": {"type": "LL", "persist": False},
        # It hears each question once on every link-local address: its threads would answer out of order.
        "multi-threading": {"enable-multi-threading": False},
        "valid-lifetime": seconds,
        "preferred-lifetime": preferred_s or seconds,
        "subnet6": [{"id": 1, "subnet": NETWORK6, "interface": interface, "rapid-commit": rapid_commit,
                     "pools": [{"pool": " - ".join(POOL6)}],
                     "option-data": [{"name": name, "data": data} for name, data in options]}],
        "loggers": [{"name": "kea-dhcp6", "severity": "INFO",
                     "output_options": [{"output": "stdout", "flush": True}]}],
    }
    if renew_s:
        settings |= {"renew-timer": renew_s, "rebind-timer": rebind_s}
    path = namespace.net.file(f"kea6.{namespace.name}.json", json.dumps({"Dhcp6": settings}))
    return namespace.start("env", "KEA_LOCKFILE_DIR=none", f"KEA_PIDFILE_DIR={namespace.net.folder}",
                           "kea-dhcp6", "-c", path, ready="DHCP6_STARTED")


def udhcpd(namespace, interface, *options, pool=POOL, seconds=600):
    """busybox's server. `options` as in its file: "dns 192.0.2.53"."""
    leases = namespace.net.file(f"udhcpd.{namespace.name}.leases", "")
    lines = [f"interface {interface}", f"start {pool[0]}", f"end {pool[1]}", f"lease_file {leases}",
             f"pidfile {namespace.net.folder}/udhcpd.pid", f"option subnet {MASK}", f"option lease {seconds}",
             *(f"option {option}" for option in options)]
    path = namespace.net.file(f"udhcpd.{namespace.name}.conf", "\n".join(lines) + "\n")
    # Without its own ARP test of each address, which takes seconds.
    return namespace.start("udhcpd", "-f", "-a", "1", path, ready="started")


def radvd_file(namespace, interface, *lines, prefix=NETWORK6, autonomous=True, every_s=(600, 1800)):
    """Writes the settings of radvd(): one that runs already reads them at a SIGHUP."""
    autonomous = "" if autonomous else "AdvAutonomous off;"
    body = "\n".join(["AdvSendAdvert on;", f"MinRtrAdvInterval {every_s[0]};", f"MaxRtrAdvInterval {every_s[1]};",
                      f"prefix {prefix} {{ {autonomous} }};" if prefix else "", *lines])
    return namespace.net.file(f"radvd.{namespace.name}.conf", f"interface {interface} {{\n{body}\n}};\n")


def radvd(namespace, interface, *lines, prefix=NETWORK6, autonomous=True, every_s=(600, 1800)):
    """A router that answers solicitations and otherwise speaks seldom. `lines` as in its file."""
    path = radvd_file(namespace, interface, *lines, prefix=prefix, autonomous=autonomous, every_s=every_s)
    namespace.sysctl("net.ipv6.conf.all.forwarding", 1)
    return namespace.start("radvd", "--nodaemon", "--config", path, "--logmethod", "stderr", "--debug", "3",
                           "--pidfile", namespace.net.folder / f"radvd.{namespace.name}.pid", ready="sending RA|polling for")
