"""Many nodes at once, by build/out/tests/bench/storm-client: what they are told to do, and how they fared.

    told = storm.run(site, "join", nodes=300, per_address=300)
    assert told["in"] == 300
"""

import contextlib
import json
import subprocess

from lib.gateway import ADDRESS, OUT

CLIENT = OUT / "tests/bench/storm-client"
MARGIN_S = 60


def start(site, verb, *, port=None, limit=180, **options):
    """The client, which runs; options as at the head of its source, `per_address` for --per-address."""
    options |= {"server": f"{ADDRESS}:{port or site.port}", "ca": site.org.ca, "name": site.org.gateway_name, "limit": limit}
    words = [str(word) for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
    return subprocess.Popen([CLIENT, verb, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


def finish(client, limit=180):
    """What it says at its end."""
    try:
        out, _ = client.communicate(timeout=limit + MARGIN_S)
    except BaseException:
        client.kill()
        client.wait()
        raise
    assert client.returncode == 0, f"storm-client: exit {client.returncode}"
    return json.loads(out)


def run(site, verb, *, limit=180, **options):
    return finish(start(site, verb, limit=limit, **options), limit)


@contextlib.contextmanager
def polling(site, **options):
    """Nodes that wait for a change of the member feed: all of them have asked."""
    client = start(site, "poll", **options)
    try:
        line = client.stdout.readline()
        assert line == "waiting\n", f"storm-client: {line!r}"
        yield client
    finally:
        if client.poll() is None:
            client.kill()
        client.wait()


def position(site, seed=1):
    """Where a node is that knows everybody: `since` and `document` of the member feed."""
    since, document = 0, 0
    with site.client() as node:
        while (told := node.tell(f"get {seed} /v1/members?since={since}&document={document}"))["status"] == 200:
            page = json.loads(told["body"])
            since, document = page["revision"], page.get("document_serial", document)
    assert told["status"] == 204, told
    return {"since": since, "document": document}
