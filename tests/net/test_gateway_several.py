"""Two gateways of one org, each with a key of its own, on one registry: nodes hear of both, from either.

    nodes ──┬── 127.0.0.1:8443 ── gateway 0 ──┬── etcd
            └── 127.0.0.1:8444 ── gateway 1 ──┘
"""

import base64
import contextlib
import ipaddress
import json
import pathlib
import tempfile
import urllib.request

from lib.etcd import CLIENT_PORT, Cluster
from lib.gateway import PORT, Site, expect
from lib.org import Org

TIME_LIMIT_S = 180


@contextlib.contextmanager
def two_gateways():
    home = pathlib.Path(tempfile.mkdtemp(prefix="several."))
    with Cluster(home / "etcd") as cluster:
        org = Org.make(home / "org")
        yield [Site(home / f"gateway{i}", org=org, port=PORT + i, etcd=cluster.settings) for i in range(2)]


def adapt(site, number):
    text = site.settings.read_text()
    site.settings.write_text(text.replace("192.0.2.1:51820", f"192.0.2.{number + 1}:51820"))


def gateways_in(told):
    assert told["status"] == 200 and told["proved"], told
    return [(peer["public_key"], peer["endpoints"], peer["interface"]) for peer in told["peers"]
            if peer["role"] == "gateway"]


def page(node, since=0, document=0, wait=0):
    told = node.tell(f"get 1 /v1/members?since={since}&document={document}&wait={wait}")
    assert told["status"] == 200 and told["proved"], told
    return json.loads(told["body"])


def test_each_gateway_names_the_other_one():
    """With the gateway that it has asked a node would lose its only way into the overlay."""
    with two_gateways() as sites:
        for number, site in enumerate(sites):
            adapt(site, number)
        keys = [site.gateway.wireguard_public for site in sites]
        entries = [(key, [f"192.0.2.{number + 1}:51820"]) for number, key in enumerate(keys)]
        with sites[0].start(), sites[0].client() as node:
            told = node.tell(f"enroll 1 {sites[0].invite()}")
            expect(gateways_in(told), [(*entries[0], "fortros-lh0")], "the gateways, where there is one")
            first = page(node)
            since, document = first["revision"], first["document_serial"]
            node.say(f"get 1 /v1/members?since={since}&document={document}&wait=120")
            with sites[1].start(), sites[1].client() as other:
                told = json.loads(node.hear()["body"])
                expect([(peer["public_key"], peer["endpoints"]) for peer in told["gateways"]], entries, "the feed's word")
                assert told["signers"] and told["members"] == [] and "document" not in told, told
                for asked, client in ((0, node), (1, other)):
                    wanted = [(*entries[asked], "fortros-lh0"), (*entries[1 - asked], "fortros-lh1")]
                    told = client.tell("join 1")  # judged by the agent's own core
                    expect(gateways_in(told), wanted, f"the gateways, as gateway {asked} names them")
                    expect(told["bootstrap_problem"], "", "what an agent says of the set for its next boot")
                    for key in keys:
                        assert base64.b64decode(key) in base64.b64decode(told["bootstrap"]), key


def put(name, row):
    """What somebody might write who has got into etcd."""
    body = {"key": base64.b64encode(name.encode()).decode(), "value": base64.b64encode(json.dumps(row).encode()).decode()}
    request = urllib.request.Request(f"http://127.0.0.1:{CLIENT_PORT}/v3/kv/put", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=30) as answer:
        expect(answer.status, 200, "etcd's answer")


def test_who_gets_into_etcd_is_no_gateway():
    """He would put himself between all nodes of the org."""
    with two_gateways() as (site, _):
        invite = site.invite()  # makes the registry
        org = ipaddress.ip_network(site.org.prefix).network_address.packed[:6].hex()
        twin = site.org.twin(site.folder / "twin").gateway(site.folder / "posing")
        der = base64.b64encode(pem_to_der(twin.certificate.read_text())).decode()
        row = {"serial": 1, "not_after": 4_000_000_000, "endpoints": "192.0.2.66:51820", "chain": der,
               "serves_until": 4_000_000_000, "revision": 1}
        name = twin.wireguard_uri.rpartition(":")[2]
        put(f"/fortros/{org}/state/gateway/{name}", row)
        with site.start() as server, site.client() as node:
            told = node.tell(f"enroll 1 {invite}")
            expect([key for key, _, _ in gateways_in(told)], [site.gateway.wireguard_public], "the gateways")
            assert twin.wireguard_public in server.wait_for("event=gateway-not-vouched")
            expect([peer["public_key"] for peer in page(node)["gateways"]], [site.gateway.wireguard_public], "the feed's")


def pem_to_der(text):
    lines = text.split("-----BEGIN CERTIFICATE-----")[1].split("-----END CERTIFICATE-----")[0].split()
    return base64.b64decode("".join(lines))
