"""By which ways nodes reach each other, and how soon after something has died: lib/mesh_bed.py draws the internet.

Judged by real packets: pings each 100 ms with the times of the guest's kernel, TCP connections, and a count of
what goes over each line. A bound in seconds of the guest is what is promised, and what it costs is printed."""

import dataclasses
import json

from lib.mesh_bed import EVERYBODY, LINES, NODES, Bed
from lib.once import once

TIME_LIMIT_S = 600  # of ours; what is judged is in the guest's time
ALONE = True  # a guest that is always busy, and takes minutes beside others
PROMISED_S = 10
DIRECT_WITHIN_S = 60
PREFERRED_WITHIN_S = 120  # a lighthouse that has come back waits for others to find it, too
HOMES = ("office", "cottage")


@once
def story():
    """How it began: by which way two behind NATs spoke before any maintainer ran, and what came of it."""
    made = Bed()
    with made.telling():
        made.reaches("desk1", "home")
        first = made.way("desk1", "home")
        with made.pings("desk1", "home") as pings:
            made.start()
            made.until_direct("desk1", "home", DIRECT_WITHIN_S)
            pings.wait_answered(10)
        return Story(made, first, made.way("desk1", "home"), pings.lost)


def bed():
    return story().bed


@dataclasses.dataclass
class Story:
    bed: Bed
    first_way: set
    second_way: set
    lost: list


def expect_fallback(pings, what):
    print(f"{what}: silence {pings.silence_s:.1f} s, lost {len(pings.lost)}")
    assert pings.silence_s <= PROMISED_S, f"{what}: {pings.silence_s:.1f} s without an answer"


def is_direct(way, one, other):
    return {(one, other), (other, one)} <= way


def is_relayed(way, one, other):
    """Through something, and not by the line between the two."""
    return way and not {(one, other), (other, one)} & way


def test_every_node_boots_and_its_interfaces_are_adopted():
    """A tunnel would blink at each boot, or come up without anybody who keeps it."""
    for name in EVERYBODY:
        assert bed().runs(name), bed().told()
        links = {link["ifname"]: link["ifindex"] for link in json.loads(bed().run(f"ip -n {name} -j link"))}
        handed_over = {entry["name"]: entry["ifindex"] for entry in bed().hand_off(name)["interfaces"]}
        assert handed_over.items() <= links.items(), f"{name}: {handed_over} became {links}"
        assert {"fortros0", "fortros-lh0"} <= handed_over.keys(), handed_over


def test_nodes_behind_nats_talk_through_a_relay_and_directly_as_soon_as_they_can():
    """Home would never reach the office, or pay for the way round for ever."""
    assert is_relayed(story().first_way, *HOMES), story().first_way
    assert is_direct(story().second_way, *HOMES), story().second_way
    assert story().lost == [], f"lost by moving to the direct path: {story().lost}\n{bed().told()}"


def test_a_node_meshes_with_its_lan_by_itself():
    """Two desks in one room would talk through a lighthouse, or not at all when the line is down."""
    with bed().trial():
        bed().until_direct("desk1", "desk2", DIRECT_WITHIN_S)
        # Asked again, for what others say at their start is counted as well.
        bed().until_way("desk1", "desk2", set(), DIRECT_WITHIN_S)
        bed().cut_off("office")
        bed().until_way("desk1", "desk2", set(), DIRECT_WITHIN_S)


def test_a_dead_direct_path_falls_back_within_ten_seconds_and_returns():
    """A router on the way dies: the call would drop, or stay on the way round for ever."""
    check_fallback(lambda: bed().cut(HOMES))


def test_a_path_that_is_dead_in_one_direction_only_is_left_by_both():
    """Each would hear the other, or not, and half of everything would be lost for ever."""
    check_fallback(lambda: bed().cut_one_way(HOMES))


def check_fallback(kill):
    with bed().trial():
        bed().until_direct("desk1", "home", DIRECT_WITHIN_S)
        assert is_direct(bed().way("desk1", "home"), *HOMES)
        with bed().pings("desk1", "home") as pings:
            kill()
            pings.wait_answered(30)
            expect_fallback(pings, "dead direct path")
            way = bed().way("desk1", "home")
            assert is_relayed(way, *HOMES), way
            lost = pings.lost
            bed().heal()
            bed().until_direct("desk1", "home", DIRECT_WITHIN_S)
            pings.wait_answered(10)
            assert pings.lost == lost, f"lost by returning: {sorted(set(pings.lost) - set(lost))}"
        assert is_direct(bed().way("desk1", "home"), *HOMES)


def test_neighbours_whose_lan_fails_between_them_meet_at_a_lighthouse():
    """One bad switch port would part two desks that both have the internet."""
    with bed().trial():
        bed().until_direct("desk1", "desk2", DIRECT_WITHIN_S)
        with bed().pings("desk1", "desk2") as pings:
            bed().cut_lan("desk1", "desk2")
            pings.wait_answered(30)
            expect_fallback(pings, "dead LAN path")
            assert bed().way("desk1", "desk2"), "not through the internet?"
            bed().heal()
            bed().until_direct("desk1", "desk2", DIRECT_WITHIN_S)
        bed().until_way("desk1", "desk2", set(), DIRECT_WITHIN_S)


def test_nodes_that_reach_no_common_lighthouse_talk_through_two():
    """Half of the world behind another provider would be out of reach."""
    with bed().trial():
        bed().cut(HOMES, ("office", "lh2"), ("cottage", "lh1"))
        bed().cut_off("gw")
        bed().until_way("desk1", "home", {("office", "lh1"), ("lh1", "lh2"), ("lh2", "cottage")}, DIRECT_WITHIN_S)
        with bed().pings("desk1", "home") as pings:
            pings.wait_answered(30)
            assert pings.lost == []


def test_nodes_that_prefer_different_lighthouses_talk_through_both_without_loss():
    """WireGuard takes a packet only from the peer that owns its source: each answer would be dropped."""
    with bed().trial():
        bed().cut(HOMES)
        bed().until_by("desk1", "home", ("lh1", "lh2"), PREFERRED_WITHIN_S)
        with bed().pings("desk1", "home") as pings, bed().session("home", "desk1") as session:
            pings.wait_answered(50)
            session.wait_echoed(10)
            session.check_whole()
            assert pings.lost == [], pings.lost
        way = bed().way("desk1", "home")
        assert {("office", "lh1"), ("cottage", "lh2")} <= way, way


def test_a_lighthouse_dies_and_its_traffic_moves_within_ten_seconds():
    """Everybody behind it would be cut off until somebody comes to look."""
    with bed().trial():
        bed().cut(HOMES)
        bed().until_by("desk1", "home", ("lh1", "lh2"), PREFERRED_WITHIN_S)
        with bed().pings("desk1", "home") as pings:
            bed().cut_off("lh1")
            pings.wait_answered(30)
            expect_fallback(pings, "dead lighthouse")
            way = bed().way("desk1", "home")
            assert is_relayed(way, *HOMES) and not any("lh1" in pair for pair in way), way
            lost = pings.lost
            bed().heal()
            bed().cut(HOMES)
            pings.wait_answered(300)
            assert pings.lost == lost, f"lost when it came back: {sorted(set(pings.lost) - set(lost))}"


def test_a_laptop_moves_from_the_office_to_a_hotel_and_keeps_its_address_and_its_sessions():
    """Each walk to another network would end every connection."""
    with bed().trial():
        address = bed().addresses["laptop"]
        bed().until_direct("laptop", "desk1", DIRECT_WITHIN_S)
        bed().until_direct("laptop", "vps", DIRECT_WITHIN_S)
        with bed().session("laptop", "desk1") as near, bed().session("vps", "laptop") as far, \
                bed().pings("vps", "laptop") as pings, bed().pings("desk1", "laptop") as neighbour:
            bed().carry_laptop("hotel")
            for session in (near, far):
                session.wait_echoed(20)
            expect_fallback(pings, "to a peer elsewhere")
            expect_fallback(neighbour, "to a neighbour that was")
            assert address in bed().run("ip -n laptop -6 addr show dev fortros0")
            bed().carry_laptop("office")
            for session in (near, far):
                session.wait_echoed(20)
                session.check_whole()
        # Only now: while the pings from elsewhere go on they would be taken for the desk's.
        bed().until_way("laptop", "desk1", set(), PREFERRED_WITHIN_S)


def test_the_org_splits_in_two_and_heals():
    """A cable in the sea breaks: each half would break with it, or they would never find each other again."""
    halves = ("office", "lh1"), tuple(site for site in LINES if site not in ("office", "lh1"))
    with bed().trial():
        for pair in (("home", "vps"), ("desk1", "desk2"), ("desk1", "home")):
            bed().until_direct(*pair, DIRECT_WITHIN_S)
        with bed().pings("home", "vps") as theirs, bed().pings("desk1", "desk2") as ours, \
                bed().pings("desk1", "home") as across:
            bed().cut(*((one, other) for one in halves[0] for other in halves[1]))
            bed().sleep(15)
            bed().reaches("desk1", "lh1", timeout_s=10)
            bed().reaches("home", "lh2", timeout_s=10)
            bed().heal()
            across.wait_answered(30)
            assert (ours.lost, theirs.lost) == ([], []), "one half suffered from the other's absence"
            bed().until_direct("desk1", "home", DIRECT_WITHIN_S)
        for one in NODES:
            for other in NODES:
                if one < other:
                    bed().reaches(one, other, timeout_s=10)


def test_every_gateway_dies_and_the_mesh_does_not_care():
    """One machine would be the whole org's single point of failure."""
    with bed().trial():
        for pair in (("desk1", "home"), ("desk2", "vps")):
            bed().until_direct(*pair, DIRECT_WITHIN_S)
        with bed().pings("desk1", "home") as direct, bed().pings("vps", "desk2") as restarted, \
                bed().pings("lh1", "lh2") as lighthouses:
            bed().gateway_server.end("KILL")
            bed().cut_off("gw")
            try:
                bed().restart_maintainer("vps", "KILL")
                bed().sleep(15)
                for pings, what in ((direct, "direct"), (restarted, "restarted"), (lighthouses, "lighthouses")):
                    pings.wait_answered(10)
                    assert pings.lost == [], f"{what}: {pings.lost}"
                bed().cut(HOMES)
                direct.wait_answered(30)
                expect_fallback(direct, "a direct path that dies meanwhile")
            finally:
                bed().gateway_server.start()


def test_the_maintainer_is_killed_restarted_and_upgraded_without_one_lost_packet():
    """Every update would be an outage."""
    with bed().trial():
        bed().until_direct("desk1", "home", DIRECT_WITHIN_S)
        bed().cut(("office", "vps"))
        bed().until_direct("desk1", "vps", DIRECT_WITHIN_S, is_direct=False)
        bed().reaches("desk1", "vps")
        bed().run("cp /bin/fortros-maintainer /run/fortros-maintainer-2")
        with bed().pings("desk1", "home") as direct, bed().pings("desk1", "vps") as relayed, \
                bed().pings("desk1", "desk2") as near:
            for name in ("desk1", "lh1", "lh2"):
                for signal, program in (("KILL", "fortros-maintainer"), ("TERM", "/run/fortros-maintainer-2")):
                    bed().restart_maintainer(name, signal, program)
                    for pings in (direct, relayed, near):
                        pings.wait_answered(10)
            for pings, what in ((direct, "direct"), (relayed, "relayed"), (near, "on the LAN")):
                assert pings.lost == [], f"{what}: {pings.lost}"
