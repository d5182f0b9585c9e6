"""What is left of secrets in the memory of the programs that handle them, read as root reads it."""


from lib import leaks
from lib.discovery import ROUTER, World

GATEWAY = "203.0.113.5"
LIMIT_S = 60


def node_secrets(world, invite):
    """Of a boot with KeyStore=file:."""
    record = (world.net.folder / "key").read_bytes()
    return [leaks.second_half("key", record[8:40]), leaks.second_half("invite", invite)]


def boot(world, invite, *lines, others=()):
    return world.boot("Sources=cached", *lines, gateways=[GATEWAY, *others], invite=invite)


def test_the_search_finds_what_is_there():
    """All of the below would be true of a search that sees nothing."""
    with World() as world:
        mark = "a-mark-that-is-put-into-the-memory"
        process = world.node.start("sh", "-c", f"it={mark}; echo ready; read line; echo $it", ready="ready")
        found = leaks.in_memory(process.process.pid, [leaks.Secret("mark", mark)])
        assert found["mark", "raw"] >= 1, found


def test_between_two_requests_a_node_holds_its_secrets_once():
    """Each copy that nobody needs is one more that a fault may give away."""
    with World() as world, world.mute_gateway() as mute:
        world.gateway(GATEWAY)
        invite = "fortros-invite-v1-" + "NobodyHasEverGivenThisInvite_000"
        process = boot(world, invite, "AttemptTimeout=1min", others=[ROUTER])
        mute.accept()
        process.wait_for("invite-invalid", LIMIT_S)
        found = leaks.in_memory(process.process.pid, node_secrets(world, invite))
        assert found == {("key", "raw"): 1, ("invite", "raw"): 1}, found


def test_a_boot_that_has_ended_holds_no_secret():
    """OnFailure=hold keeps the agent for hours, with whoever comes by."""
    with World() as world:
        site = world.gateway(GATEWAY)
        invite = site.invite()
        process = boot(world, invite, "[Failure]", "OnFailure=hold")
        process.wait_for("OnFailure=hold", LIMIT_S)
        assert site.json("node", "list"), "the node has not enrolled"
        found = leaks.in_memory(process.process.pid, node_secrets(world, invite))
        assert not found, found


def test_a_gateway_holds_no_invite():
    """Who reads the gateway's memory later could let himself in with an invite of many uses."""
    with World() as world:
        site = world.gateway(GATEWAY)
        invite = site.invite("--uses", "5")
        process = boot(world, invite, "[Failure]", "OnFailure=hold")
        process.wait_for("OnFailure=hold", LIMIT_S)
        assert site.json("node", "list"), "the node has not enrolled"
        found = leaks.in_memory(site.server.process.pid, [leaks.second_half("invite", invite)])
        assert not found, found
