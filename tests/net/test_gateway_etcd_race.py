"""Three gateways on three members of etcd, a hundred invites, and at each of them a gateway and a member are killed.

    nodes ──▶ gateway 0 ─┬─ etcd 0      each node asks its own gateway first, and the next one
          ──▶ gateway 1 ─┼─ etcd 1      when it gets no answer
          ──▶ gateway 2 ─┴─ etcd 2
"""

import concurrent.futures
import contextlib
import os
import pathlib
import random
import tempfile
import time

from lib.etcd import Cluster
from lib.gateway import PORT, Client, Site

TIME_LIMIT_S = 900
TAKES_S = 90
GATEWAYS = MEMBERS = 3
NODES = 6
ROUNDS = int(os.environ.get("FORTROS_RACE_ROUNDS", "100"))
SEED = int(os.environ.get("FORTROS_SEED", "20261122"))
LONGEST_DELAY_S = 0.1
ENROLLED_LIMIT_S = 10
TRIES = 300
WINNER = "that enrols first"


class Node:
    """A newcomer: says the same to one gateway after the other until one says yes or no."""

    def __init__(self, stack, sites, home):
        self._clients = [stack.enter_context(Client(site)) for site in sites]
        self._home = home

    def ask(self, line):
        """The answer, and how many were asked for it."""
        for tries in range(TRIES):
            answer = self._clients[(self._home + tries) % GATEWAYS].tell(line)
            if "status" in answer and answer["status"] != 503:
                return answer, tries + 1
            time.sleep(0.02)  # somebody is being restarted
        raise AssertionError(f"nobody answered: {answer}")

    def ask_at(self, gateway, line):
        return self._clients[gateway].tell(line)

    def close(self):
        for client in self._clients:
            client.tell("close")


class World:
    """The gateways and the members, of each of which one is killed and brought back on demand."""

    def __init__(self, stack):
        folder = tempfile.mkdtemp(prefix="race.")
        self.cluster = stack.enter_context(Cluster(f"{folder}/etcd", MEMBERS))
        self.sites = []
        for number in range(GATEWAYS):
            home = pathlib.Path(folder, f"gateway{number}")
            home.mkdir()
            org = self.sites[0].org if self.sites else None
            self.sites.append(Site(home, org=org, port=PORT + number, etcd=self.cluster.settings))
        self.servers = [site.start() for site in self.sites]
        stack.callback(lambda: [server.kill() for server in self.servers])

    def first_to_enrol(self):
        """The gateway that has somebody in etcd, and may not have told him."""
        seen = [len(server.lines) for server in self.servers]
        deadline = time.monotonic() + ENROLLED_LIMIT_S
        while time.monotonic() < deadline:
            for number, server in enumerate(self.servers):
                if any("event=enrolled" in line for line in server.lines[seen[number]:]):
                    return number
            time.sleep(0.0005)
        return 0

    # After a random moment, which is what is tested.
    def kill_member(self, number, delay_s):
        time.sleep(delay_s)
        self.cluster.kill(number)
        self.cluster.start(number)

    def kill_gateway(self, number, delay_s):
        """WINNER for a number: the first that enrols somebody, as soon as it has."""
        if number == WINNER:
            number = self.first_to_enrol()
        else:
            time.sleep(delay_s)
        self.servers[number].kill()
        self.servers[number] = self.sites[number].start()

    def known(self):
        return {node["public_key"] for node in self.sites[0].json("node", "list")}


def check_round(where, world, answers, winners):
    statuses = [answer["status"] for answer, _ in answers]
    assert sorted(statuses) == [200] + [401] * (NODES - 1), f"{where}: {sorted(statuses)}"
    told_yes, tries = answers[statuses.index(200)]
    winners.append((statuses.index(200), told_yes["public_key"]))
    expected = {key for _, key in winners}
    assert world.known() == expected, f"{where}: {world.known() ^ expected} differ"
    return tries


def check_that_all_agree(world, nodes, winners):
    """Every gateway serves every member, and hears of a revocation by itself."""
    for gateway in range(GATEWAYS):
        for number, (winner, _) in enumerate(winners):
            seed = 1 + number * NODES + winner
            answer = nodes[0].ask_at(gateway, f"join {seed}")
            assert answer.get("status") == 200, f"gateway {gateway}, the join of {seed}: {answer}"
    world.sites[0].admin("node", "revoke", winners[0][1])
    for server in world.servers:
        server.wait_for("event=node-removed")
    for gateway in range(GATEWAYS):
        answer = nodes[0].ask_at(gateway, f"join {1 + winners[0][0]}")
        assert answer["status"] == 403, f"gateway {gateway}, the join of the revoked: {answer}"


def test_each_invite_admits_one_whoever_dies():
    """An invite would admit two machines at two gateways, or lock out the one that it had admitted."""
    print(f"seed {SEED}, {ROUNDS} rounds", flush=True)
    dice = random.Random(SEED)
    winners, repeated = [], 0
    with contextlib.ExitStack() as stack:
        world = World(stack)
        invites = [world.sites[0].invite() for _ in range(ROUNDS)]
        nodes = [Node(stack, world.sites, i % GATEWAYS) for i in range(NODES)]
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(NODES + 2))
        began = time.monotonic()
        for number, invite in enumerate(invites):
            gateway, member = dice.choice((WINNER, dice.randrange(GATEWAYS))), dice.randrange(MEMBERS)
            delays_s = [dice.uniform(0, LONGEST_DELAY_S) for _ in range(2)]
            where = (f"seed {SEED}, round {number}, gateway {gateway} killed after {delays_s[0]:.4f} s, "
                     f"member {member} after {delays_s[1]:.4f} s")
            killed = [pool.submit(world.kill_gateway, gateway, delays_s[0]),
                      pool.submit(world.kill_member, member, delays_s[1])]
            asked = [pool.submit(node.ask, f"enroll {1 + number * NODES + i} {invite}")
                     for i, node in enumerate(nodes)]
            answers = [future.result() for future in asked]
            for future in killed:
                future.result()
            repeated += check_round(where, world, answers, winners) > 1
            for node in nodes:
                node.close()
        print(f"{ROUNDS} rounds in {time.monotonic() - began:.0f} s; in {repeated} of them the winner had to ask "
              "more than once", flush=True)
        check_that_all_agree(world, nodes, winners)
        used = [invite["used"] for invite in world.sites[0].json("invite", "list")]
        assert used == [1] * ROUNDS, used
