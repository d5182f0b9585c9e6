#include "maintainer/report.h"

#include <doctest/doctest.h>

#include "core/crypto.h"

using namespace fortros;

namespace {

PublicKey key_of(std::uint64_t seed) {
    SeededRandom random(seed);
    return *crypto::public_key_of(crypto::make_private_key(random));
}

// A node with a lighthouse, a peer, and somebody who is none.
struct World {
    OrgPrefix prefix = *OrgPrefix::parse("fd12:3456:789a::/48");
    HandOff hand_off;
    std::vector<InterfaceState> have;
    mesh::Members members;
    mesh::WantedOverlay wanted;
    WallTime wall{std::chrono::seconds{1'800'000'000}};

    World() {
        hand_off.node = key_of(1);
        hand_off.overlay_address = overlay_address(prefix, key_of(1));
        members.put(member(2, "desk", Role::Node));
        members.put(member(3, "", Role::Node));
        members.put(member(4, "lamp", Role::Lighthouse));
        have.push_back({.wireguard = {.name = "fortros0"}});
        have[0].wireguard.peers.push_back(
            {.peer = {.key = key_of(2), .endpoint = Endpoint::parse("192.0.2.7:51820")},
             .last_handshake = wall - 7s,
             .rx_bytes = 12'345'678,
             .tx_bytes = 99});
    }
    mesh::Member member(std::uint64_t seed, std::string name, Role role) const {
        return {.key = key_of(seed),
                .address = overlay_address(prefix, key_of(seed)),
                .role = role,
                .hostname = std::move(name)};
    }
    Json status() const {
        return status_of(
            {.hand_off = hand_off,
             .have = have,
             .members = members,
             .wanted = wanted,
             .peers = {{.key = key_of(4), .tier = mesh::Tier::Lighthouse, .reason = "a lighthouse"},
                       {.key = key_of(2),
                        .tier = mesh::Tier::Lan,
                        .link = mesh::LinkState::Linked,
                        .path = mesh::PathState::Alive,
                        .rtt = 400us,
                        .reason = "on this link"},
                       {.key = key_of(3), .reason = "refused: full"}},
             .membership = {.engine = "gateway",
                            .heard = Instant{} + 10s,
                            .source = "192.0.2.1:443",
                            .problem = "192.0.2.1:443: no answer",
                            .revision = 17},
             .warnings = {"something is wrong"},
             .now = Instant{} + 100s,
             .wall = wall});
    }
};

}  // namespace

// What an operator looks at first when a node is not reachable.
TEST_CASE("report: people see each peer, why it is one, and why others are not") {
    const std::string text = status_text(World().status());
    INFO(text);
    CHECK(text.contains("desk"));
    CHECK(text.contains("lan"));
    CHECK(text.contains("alive"));
    CHECK(text.contains("0.4 ms"));
    CHECK(text.contains("7.0 s"));
    CHECK(text.contains("on this link"));
    CHECK(text.contains("192.0.2.7:51820"));
    CHECK(text.contains("NO PEER"));
    CHECK(text.contains("refused: full"));
    CHECK(text.contains("warning    something is wrong"));
    CHECK(text.contains("3 members"));
    CHECK(text.contains("not now: 192.0.2.1:443: no answer"));
}

// `status` reads what another version has written, and must not fall over it.
TEST_CASE("report: what is missing is left out") {
    CHECK(status_text(Json{Json::Object{}}).contains("PEER"));
    CHECK(metrics_text(Json{Json::Object{}}).ends_with("# EOF\n"));
}

TEST_CASE("report: JSON names what a program asks for") {
    const World world;
    const Json status = world.status();
    const Json& peer = (*status.find("peers")->array())[1];
    CHECK(*peer.find("tier")->string() == "lan");
    CHECK(*peer.find("rtt_us")->number() == 400);
    CHECK(*peer.find("handshake_age_seconds")->number() == 7);
    CHECK(*peer.find("rx_bytes")->number() == 12'345'678);
    CHECK(*peer.find("interface")->string() == "fortros0");
    CHECK(status.find("others")->array()->size() == 1);
    CHECK(*status.find("membership")->find("heard_seconds_ago")->number() == 90);
}

TEST_CASE("report: a collector gets numbers, with the peer and its tier") {
    const World world;
    const std::string text = metrics_text(world.status());
    INFO(text);
    CHECK(text.contains("fortros_members 3\n"));
    CHECK(text.contains("fortros_membership_heard_seconds_ago 90\n"));
    CHECK(text.contains("fortros_peers{tier=\"lan\",path=\"alive\"} 1\n"));
    CHECK(text.contains("fortros_peer_received_bytes_total{peer=\"" +
                        overlay_address(world.prefix, key_of(2)).text() +
                        "\",tier=\"lan\"} 12345678\n"));
    CHECK(text.ends_with("# EOF\n"));
}
