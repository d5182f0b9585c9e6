"""The facts that the main job must show. scripts/run checks the same ones on its own run.

The job runs once, before the first fact that is asked for.
"""

import base64
import hashlib
import ipaddress
import json
import pathlib

import main_job
from lib import pcap, preboot_console
from lib.world import GATEWAY_ADDRESS, PUBLIC_RESOLVER, ROUTER

TIME_LIMIT_S = 600
TAKES_S = 100
MIB = 1024 * 1024
FOLDER = main_job.TOP / "build/test/boot/main_job"
# An encrypted alert and its record fit into this; the shortest request does not.
ALERT_LIMIT = 64
NV_BS_RT = 7

_job = None


def use(job):
    """The facts of a job that has run already."""
    global _job
    _job = job


def job():
    if _job is None:
        with open(FOLDER.parent / "main_job.log", "w", encoding="utf-8") as log:
            use(main_job.Job(FOLDER, main_job.Narrator(out=log)).run())
    return _job


def first():
    return job().boots["first"]


def second():
    return job().boots["second"]


def third():
    return job().boots["third"]


def link(boot, name):
    return next(item for item in boot.in_root["links"] if item["ifname"] == name)


def expect(have, want, what):
    assert have == want, f"{what} is {have!r}, not {want!r}"


# --- first boot: empty NVRAM, a single-use invite ---

def test_first_boot_joins():
    """A new machine would not come into its organisation."""
    expect(first().verdict.status, 0, "the exit status")
    assert first().pivoted, "the real root was not reached"


def test_first_boot_tells_all_nine_stages_in_order():
    """Who watches a boot would not know how far it came."""
    told = [(stage.number, stage.name) for stage in first().stages]
    expect(told, list(enumerate(preboot_console.STAGE_NAMES, 1)), "the list of stages")


def test_first_boot_gets_its_address_by_dhcp():
    """A node on an ordinary network would have no address, and its maintainer no lease to renew."""
    assert first().kinds()["dhcp"] >= 4, "no whole DHCP exchange on the wire"
    uplink = first().hand_off["uplinks"][0]
    expect(uplink["dhcp"]["server"], ROUTER, "the DHCP server in the hand-off")
    # Type 1 and the MAC, as ClientIdentifier=mac of systemd-networkd sends it: the lease survives the pivot.
    expect(uplink["dhcp"]["client_id"], "01" + uplink["mac"].replace(":", ""), "the client identifier")


def test_first_boot_finds_the_gateway_by_public_dns():
    """A new machine would depend on whatever resolver its network names."""
    gateway = first().hand_off["gateway"]
    expect(gateway["source"], "public-dns", "the source")
    expect(gateway["endpoint"], f"{GATEWAY_ADDRESS}:443", "the gateway")
    asked = {packet.destination for packet in first().packets if packet.kind == "dns" and packet.destination_port == 53}
    expect(asked, {PUBLIC_RESOLVER}, "the set of resolvers asked")


def test_first_boot_spends_the_invite():
    """A single-use invite would let a second machine in."""
    invites = first().in_world["invites"]
    assert "spent" in invites, f"the gateway's list of invites: {invites}"


def test_first_boot_stores_key_and_state_in_uefi_variables():
    """The next boot would have to enrol again, with an invite that is spent."""
    expect(first().nvram_before, {}, "our variables before")
    after = first().nvram_after
    expect(sorted(after), ["FortrosKey", "FortrosState"], "the list of our variables")
    for variable in after.values():
        expect(variable.attributes, NV_BS_RT, f"the attributes of {variable.name}")
    assert len(after["FortrosState"].data) <= 2048


def test_first_boot_hides_its_variables_from_users():
    """Every user of the node could read its private key."""
    lines = first().in_root["efivars"].splitlines()
    expect([line.split()[0] for line in lines], ["-rw-------"] * 2, "the modes of our variables")


def test_first_boot_is_answered_by_the_gateways_kernel():
    """Success would not mean a working tunnel."""
    assert first().in_world["handshake"], "the gateway's kernel knows no handshake with this node"
    assert first().hand_off["gateway"]["handshake_answered"]


def test_first_boot_ping_crosses_the_tunnel():
    """The overlay would be there, and carry nothing."""
    expect(first().in_root["pings_answered"], main_job.PINGS, "the number of pings answered")
    assert first().kinds()["wireguard"] >= 2 + 2 * main_job.PINGS, "it did not go through WireGuard"


def test_no_overlay_packet_on_the_wire_in_the_clear():
    """Who listens on the cable would read what is meant to be encrypted."""
    prefix = ipaddress.ip_network(first().hand_off["org"]["prefix"])
    for boot in job().boots.values():
        bare = [str(packet) for packet in boot.packets for address in (packet.source, packet.destination)
                if address and ipaddress.ip_address(address) in prefix]
        expect(bare, [], f"the list of overlay packets in the clear in the {boot.name} boot")


def test_overlay_address_follows_from_the_key():
    """Nobody could check a member's address against its key."""
    prefix = ipaddress.ip_network(first().hand_off["org"]["prefix"])
    expect(prefix.prefixlen, 48, "the length of the prefix")
    node = first().hand_off["node"]
    key = base64.b64decode(node["public_key"])
    prefix48 = prefix.network_address.packed[:6]
    digest = hashlib.sha256(b"fortros/overlay-address/v1\0" + prefix48 + key).digest()
    expect(node["overlay_address"], str(ipaddress.IPv6Address(prefix48 + digest[:10])), "the overlay address")


def test_interfaces_survive_the_pivot_as_handed_over():
    """The tunnel would blink, or its addresses be gone, in the real root."""
    for boot in (first(), second()):
        told = boot.hand_off["interfaces"]
        expect([item["name"] for item in told], ["fortros0", "fortros-lh0"], "the list of interfaces")
        for item in told:
            have = link(boot, item["name"])
            expect(have["ifindex"], item["ifindex"], f"the index of {item['name']}")
            expect(have["mtu"], item["mtu"], f"the MTU of {item['name']}")
            assert "UP" in have["flags"], f"{item['name']} is not up"
        overlay = [f"{info['local']}/{info['prefixlen']}" for info in link(boot, "fortros0")["addr_info"]
                   if info["scope"] == "global"]
        expect(overlay, [boot.hand_off["node"]["overlay_address"] + "/128"], "the address of fortros0")


def test_maintainer_adopts_without_a_change():
    """Every tunnel of every node would blink when its maintainer starts."""
    for boot in (first(), second()):
        adopted = [line for line in boot.console if "fortros-maintainer: " in line and "adopted" in line]
        assert adopted and " 0 changes" in adopted[0], f"{boot.name} boot: {adopted}"


def test_maintainer_puts_the_guard_back():
    """A reload of somebody's firewall would let the LAN speak with overlay addresses."""
    ruleset = second().in_root["ruleset_after_flush"]
    assert "fortros*" in ruleset, ruleset or "there are no rules at all"


def test_maintainer_adopts_and_keeps_running():
    """Nobody would look after the overlay once the node is up."""
    for boot in (first(), second()):
        assert boot.in_root["maintainer_alive"], f"the maintainer has ended in the {boot.name} boot"
        ports = {item["name"]: item["listen_port"] for item in boot.hand_off["interfaces"]}
        have = {words[0]: int(words[3]) for line in boot.in_root["wg"].splitlines()
                if len(words := line.split("\t")) == 5}
        expect(have, ports, "the table of listen ports after the adoption")


def test_hand_off_is_readable_by_root_only():
    """Every user of the node would learn the organisation's topology."""
    for boot in (first(), second()):
        expect(boot.in_root["hand_off_mode"], "600", "the mode of bootstrap.json")


def test_no_secret_leaves_its_place():
    """Whoever reads a console, a log or the cable would have the node's key or an invite."""
    for boot in job().boots.values():
        key = base64.b64decode(first().in_root["private_key"])
        secrets = [job().invite.strip().encode(), base64.b64encode(key), base64.urlsafe_b64encode(key).rstrip(b"="),
                   key.hex().encode(), key]
        places = {"the console": "\n".join(boot.console).encode(),
                  "bootstrap.json": boot.in_root.get("hand_off_text", "").encode(),
                  "events.jsonl": boot.in_root.get("events_text", "").encode(),
                  "the wire": b"".join(packet.payload for packet in boot.packets)}
        found = [place for place, content in places.items() if any(secret in content for secret in secrets)]
        expect(found, [], f"the list of places with a secret in the {boot.name} boot")


def test_the_agent_ran_in_its_cage():
    """A fault in what reads the network would be a fault with every right that root has."""
    for boot in (first(), second()):
        # Had it left the cage, it would not have joined.
        told = [event["message"] for event in boot.in_root["events"] if event["event"] == "not-confined"]
        expect(told, [], "what the agent says of its confinement")


# --- second boot: both resolvers stopped ---

def test_second_boot_joins_by_the_cached_address():
    """A node would not come back while name servers are down."""
    expect(second().verdict.status, 0, "the exit status")
    expect(second().hand_off["gateway"]["source"], "cached", "the source")
    expect(second().hand_off["gateway"]["endpoint"], f"{GATEWAY_ADDRESS}:443", "the gateway")


def test_second_boot_sends_no_dns_packet():
    """Its owner asked for silence; every query tells the network who boots here."""
    expect([str(packet) for packet in second().packets if packet.kind == "dns"], [], "the list of DNS packets")


def test_second_boot_is_the_same_node():
    """Each reboot would add a node to the organisation."""
    for key in ("public_key", "overlay_address"):
        expect(second().hand_off["node"][key], first().hand_off["node"][key], key)
    expect(len(second().in_world["nodes"]), 1, "the number of nodes that the gateway knows")


def test_second_boot_tunnel_works():
    """A node would lose its overlay with the first reboot."""
    assert second().in_world["handshake"]
    expect(second().in_root["pings_answered"], main_job.PINGS, "the number of pings answered")


def test_second_boot_writes_no_variable():
    """Firmware flash would wear out, one write for each boot."""
    assert second().nvram_after == second().nvram_before


# --- third boot: another CA with the same names ---

def test_third_boot_refuses_the_impostor():
    """Whoever owns an address or a resolver would own the node."""
    expect((third().verdict.status, third().verdict.name), (8, "gateway-untrusted"), "the verdict")
    assert not third().pivoted
    assert any("agent failed with status 8" in line for line in third().console)


def test_third_boot_says_why_in_plain_words():
    """Who stands before the machine would not know what to do."""
    why = third().verdict.why
    assert "CA" in why and "certificate" in why, f"it said: {why}"


def test_third_boot_sends_no_enrolment_data():
    """An impostor would learn which node asked, or get its invite."""
    assert third().kinds()["tls"] > 0, "it did not speak to the impostor at all"
    sent = [packet for packet in third().packets if packet.kind == "tls" and packet.destination_port == 443]
    long = [len(packet.payload) for packet in sent if packet.payload[:1] == b"\x17" and len(packet.payload) > ALERT_LIMIT]
    expect(long, [], "the list of sizes of encrypted records that are no alert")
    expect(third().in_world["nodes"], [], "the impostor's list of nodes")
    # The fast start knocks at the remembered address. What it says there only the holder of the honest
    # gateway's key can read, and nobody answers.
    kinds = {pcap.WIREGUARD_TYPES[packet.payload[0]] for packet in third().packets if packet.kind == "wireguard"}
    expect(kinds, {"initiation"}, "the set of kinds of WireGuard packets")


def test_third_boot_forgets_nothing():
    """One bad gateway, and the node could not find the good one again."""
    assert third().nvram_after == third().nvram_before
    assert third().nvram_after == second().nvram_after


# --- the agent, and the report ---

def test_agent_is_static_and_small():
    """It would not run in an initramfs, or fill the boot partition."""
    report = job().report()["agent"]
    assert report["static"], "it needs a library or a loader"
    assert report["bytes"] <= 2.5 * MIB, f"{report['bytes']} bytes"
    assert report["initramfs_bytes_compressed"] <= 1.2 * MIB, f"{report['initramfs_bytes_compressed']} bytes compressed"


def test_agent_needs_little_memory():
    """Small machines would not boot."""
    for boot in job().boots.values():
        assert boot.peak_rss_kib, f"nothing measured in the {boot.name} boot"
        assert boot.peak_rss_kib <= 4096, f"{boot.peak_rss_kib} KiB in the {boot.name} boot"


def test_report_has_it_all():
    """Who compares runs would miss a figure."""
    report = json.loads(pathlib.Path(job().report_path).read_text(encoding="utf-8"))
    expect([boot["boot"] for boot in report["boots"]], ["first", "second", "third"], "the list of boots")
    for boot in report["boots"]:
        joined = boot["boot"] != "third"
        for key in ("source", "gateway", "overlay_address"):
            assert (boot[key] is not None) == joined, f"{key} of the {boot['boot']} boot is {boot[key]}"
        expect((boot["handshake_answered"], boot["ping_crossed"]), (joined, joined), "handshake and ping")
        assert isinstance(boot["dns_packets"], int) and isinstance(boot["exit_status"], int)
        assert len(boot["stages_ms"]) >= (9 if joined else 3), f"stages of the {boot['boot']} boot: {boot['stages_ms']}"
    assert {"bytes", "static", "peak_rss_kib", "initramfs_bytes_compressed"} <= set(report["agent"])
