"""The mesh with Serf as its engine: nodes find each other with the gateway dead since before they began, and do not
care when every Serf agent is killed. lib/mesh_bed.py draws the internet.

The agents are Debian's. What a node's maintainer knows here beyond its hand-off (the gateway and the lighthouses)
it can only have by Serf, until the gateway comes back. The lighthouses, which had run before, know the members."""

import base64
import json
import os

from lib.mesh_bed import EVERYBODY, LIGHTHOUSES, NODES, Bed
from lib.once import once

TIME_LIMIT_S = 600  # of ours; what is judged is in the guest's time
ALONE = True  # a guest that is always busy, and takes minutes beside others
MESH_WITHIN_S = 120
REVOKED_WITHIN_S = 10
SETTINGS = "[Membership]\nEngine=serf\n"


@once
def bed():
    """Everybody is enrolled, and the lighthouses know them; the gateway dies, and only then do the nodes begin."""
    made = Bed(programs=["serf"], settings={
        "/etc/fortros/maintainer.conf": SETTINGS,
        "/etc/fortros/serf.key": (base64.b64encode(os.urandom(32)).decode() + "\n", 0o600)})
    with made.telling():
        made.start_maintainers(LIGHTHOUSES)
        for lighthouse in LIGHTHOUSES:
            known = f"ip netns exec {lighthouse} wg show fortros0 peers"
            made.until(" && ".join(f"{known} | grep -qF '{made.keys[name]}'" for name in NODES), MESH_WITHIN_S)
        made.cut_off("gw")
        made.start_maintainers(NODES)
        start_agents(made)
    return made


def start_agents(made, names=EVERYBODY):
    made.run("\n".join(f"ip netns exec {name} serf agent -config-file=/nodes/{name}/run/serf.json"
                       f" >>/nodes/{name}/serf.log 2>&1 & echo $! >/nodes/{name}/serf.pid" for name in names))


def kill_agents(names=EVERYBODY):
    bed().run("\n".join(f"kill -9 $(cat /nodes/{name}/serf.pid)" for name in names))


def serf_says(name, words):
    """A shell condition: the line of `status` about Serf has these words."""
    return (f"ip netns exec {name} fortros-maintainer status --run-directory /nodes/{name}/run"
            f" | grep '^serf ' | grep -q '{words}'")


def test_nodes_find_each_other_though_the_gateway_was_dead_before_they_began():
    """After a power cut that the gateways did not survive a node would know nobody but lighthouses."""
    with bed().telling():
        for name in EVERYBODY:
            bed().until(serf_says(name, f"^serf  *{len(EVERYBODY) - 1} members"), MESH_WITHIN_S)
        bed().until_direct("desk1", "desk2", MESH_WITHIN_S)
        bed().until_direct("desk1", "home", MESH_WITHIN_S)


def test_a_password_keeps_other_programs_of_the_host_from_the_agent():
    """Any user of the node could make the agent leave the cluster."""
    config = json.loads(bed().guest.read("/nodes/desk1/run/serf.json"))
    assert bed().run("stat -c %a /nodes/desk1/run/serf.json").strip() == "600"
    members = f"ip netns exec desk1 serf members -rpc-addr={config['rpc_addr']}"
    assert bed().guest.run(members, check=False).status != 0
    assert bed().run(f"{members} -rpc-auth={config['rpc_auth']}").count("alive") == len(EVERYBODY)


def test_no_packet_is_lost_when_every_agent_is_killed_and_started_again():
    """An engine that is upgraded, or dies, would take the mesh with it."""
    with bed().telling():
        bed().until_direct("desk1", "home", MESH_WITHIN_S)
        with bed().pings("desk1", "home") as pings:
            kill_agents()
            for name in EVERYBODY:
                bed().until(serf_says(name, "does not answer"), 30)
            pings.wait_answered(30)
            start_agents(bed())
            for name in EVERYBODY:
                bed().until(serf_says(name, f"^serf  *{len(EVERYBODY) - 1} members"), MESH_WITHIN_S)
            pings.wait_answered(10)
            assert pings.lost == [], pings.lost
        bed().until_direct("desk1", "home", MESH_WITHIN_S)


def test_a_revoked_node_is_out_though_serf_still_tells_of_it():
    """Gossip remembers for a day: whoever was thrown out would come back by it."""
    with bed().telling():
        bed().until_direct("desk1", "vps", MESH_WITHIN_S)
        bed().heal()
        # News, for whoever asks again and is told nothing for minutes because there is none.
        bed().gateway("policy set --sources cached")
        for name in EVERYBODY:
            bed().until(f"ip netns exec {name} fortros-maintainer status --json --run-directory /nodes/{name}/run"
                        " | grep -q heard_seconds_ago && ! ip netns exec " + name +
                        f" fortros-maintainer status --run-directory /nodes/{name}/run | grep -q 'not now'", MESH_WITHIN_S)
        bed().gateway("node revoke", bed().addresses["vps"])
        key = bed().keys["vps"]
        peers = " || ".join(f"ip netns exec {name} wg show all peers | grep -qF '{key}'" for name in EVERYBODY if name != "vps")
        bed().until(f"! {{ {peers}; }}", REVOKED_WITHIN_S, pause_s=0.2)
        # Serf goes on telling of it; nobody takes it up again.
        bed().sleep(15)
        assert bed().guest.run(peers, check=False).status != 0, "a revoked node is a peer again"
