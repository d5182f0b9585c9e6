// Whom an answer names: the lighthouses, and the gateways that the CA vouches for.
#include "unit/gateway/admission_world.h"

using namespace fortros;
using namespace fortros::gateway;

namespace {

const Endpoint lighthouse_endpoint = *Endpoint::parse("203.0.113.5:51820");

// Another member, at `endpoints`; one with a greater seed has enrolled later.
PublicKey make_lighthouse(AdmissionWorld& world, std::uint64_t seed,
                          const std::vector<Endpoint>& endpoints = {lighthouse_endpoint}) {
    const std::string text = invite.substr(0, invite.size() - 2) + std::to_string(10 + seed);
    world.open_invite(text, 1);
    FakeNode node(seed);
    const auto answer = world.handle(node.enroll(world.gateway.public_key, text),
                                     noon + std::chrono::seconds{seed});
    REQUIRE_MESSAGE(answer.status == 200, answer.body);
    REQUIRE(world.registry.set_lighthouse(node.public_key, endpoints, "uid 0", noon));
    return node.public_key;
}

MembershipAnswer joined(AdmissionWorld& world, FakeNode& node, WallTime now = noon) {
    const auto answer = world.handle(node.join(world.gateway.public_key), now);
    REQUIRE_MESSAGE(answer.status == 200, answer.body);
    return *parse_membership_answer(answer.body);
}

}  // namespace

// A node would have no way into the overlay but the one gateway that has answered it.
TEST_CASE("admission: every answer names the lighthouses, to all but themselves") {
    AdmissionWorld world;
    FakeNode node(2), first(3), second(4);
    world.enrolled(node);
    make_lighthouse(world, 3);
    const std::vector both{lighthouse_endpoint, *Endpoint::parse("[2001:db8::5]:51820")};
    make_lighthouse(world, 4, both);
    const auto answer = joined(world, node);
    REQUIRE(answer.peers.size() == 3);
    CHECK(answer.peers[0].key == world.gateway.public_key);
    const auto& peer = answer.peers[2];
    CHECK(answer.peers[1].key == first.public_key);
    CHECK(peer.key == second.public_key);
    CHECK(peer.role == Role::Lighthouse);
    CHECK(peer.overlay_address == overlay_address(world.prefix, second.public_key));
    CHECK(peer.endpoints == both);
    CHECK(peer.keepalive_seconds == 25);
    const auto attestation =
        check_attestation(peer.attestation, {world.signer->facts()}, world.prefix, noon);
    REQUIRE(attestation);
    CHECK(attestation->role == Role::Lighthouse);
    CHECK(attestation->node == second.public_key);
    const auto set = parse_bootstrap_set(answer.bootstrap);
    REQUIRE(set);
    REQUIRE(set->peers.size() == 3);
    CHECK(set->peers[2].role == Role::Lighthouse);

    const auto own = joined(world, second);
    CHECK(own.role == Role::Lighthouse);
    REQUIRE(own.peers.size() == 2);
    CHECK(own.peers[1].key == first.public_key);
}

// One machine that was thrown out, or has long been gone, would keep every node from joining.
TEST_CASE("admission: a lighthouse that a node must not believe is not named") {
    AdmissionWorld world;
    FakeNode node(2);
    world.enrolled(node);
    const auto key = make_lighthouse(world, 3);
    CHECK(joined(world, node).peers.size() == 2);
    SUBCASE("it is revoked") { REQUIRE(world.registry.revoke_node(key, "uid 0", noon)); }
    SUBCASE("it is a node again") {
        REQUIRE(world.registry.set_lighthouse(key, {}, "uid 0", noon));
    }
    SUBCASE("its attestation is over") {
        REQUIRE(world.registry.renew(key, noon + std::chrono::minutes{10}));
    }
    SUBCASE("it would be reached through the overlay itself") {
        const Endpoint inside{overlay_address(world.prefix, key), 51820};
        REQUIRE(world.registry.set_lighthouse(key, {inside}, "uid 0", noon));
    }
    CHECK(joined(world, node).peers.size() == 1);
}

// A node whose gateway dies would have to find another one before it can speak to anybody.
TEST_CASE("admission: every answer names the other gateways that the CA vouches for") {
    AdmissionWorld world;
    FakeNode node(2), other(5);
    world.enrolled(node);
    make_lighthouse(world, 3);
    const auto attested =
        *world.registry.renew_gateway(other.public_key, noon + std::chrono::days{300});
    const GatewayRecord record{.key = other.public_key,
                               .endpoints = {*Endpoint::parse("198.51.100.2:51820")},
                               .chain = {Bytes{1}},
                               .serves_until = noon + 1h};
    world.vouched = Vouched{other.public_key, noon + std::chrono::days{60}};
    REQUIRE(world.registry.announce_gateway(record, noon));
    const auto answer = joined(world, node);
    REQUIRE(answer.peers.size() == 3);
    CHECK(answer.peers[0].key == world.gateway.public_key);
    const auto& peer = answer.peers[1];
    CHECK(peer.key == other.public_key);
    CHECK(peer.role == Role::Gateway);
    CHECK(peer.endpoints == record.endpoints);
    CHECK(peer.keepalive_seconds == 25);
    CHECK(answer.peers[2].role == Role::Lighthouse);
    const auto attestation =
        check_attestation(peer.attestation, {world.signer->facts()}, world.prefix, noon);
    REQUIRE(attestation);
    CHECK(attestation->serial == attested.serial);
    // Not longer than the CA says, whatever the registry does.
    CHECK(attestation->not_after == noon + std::chrono::days{60});
    CHECK(parse_bootstrap_set(answer.bootstrap)->peers.size() == 3);

    // It has said nothing since.
    CHECK(joined(world, node, noon + 1h).peers.size() == 2);
}

// Who gets into etcd would put himself between all nodes.
TEST_CASE("admission: a gateway that the CA does not vouch for is named to nobody") {
    AdmissionWorld world;
    FakeNode node(2), other(5), third(6);
    world.enrolled(node);
    REQUIRE(world.registry.renew_gateway(other.public_key, noon + one_day));
    SUBCASE("it shows nothing") {}
    SUBCASE("it shows another one's certificate") {
        world.vouched = Vouched{third.public_key, noon + one_day};
    }
    SUBCASE("its certificate is over") { world.vouched = Vouched{other.public_key, noon}; }
    REQUIRE(world.registry.announce_gateway({.key = other.public_key,
                                             .endpoints = {lighthouse_endpoint},
                                             .chain = {Bytes{1}},
                                             .serves_until = noon + 1h},
                                            noon));
    for (int i = 0; i < 3; ++i) CHECK(joined(world, node).peers.size() == 1);
    const bool is_over = world.vouched && world.vouched->key == other.public_key;
    CHECK(world.log.count("gateway-not-vouched") == (is_over ? 0 : 1));
}

// It runs for years without a join: after a month nobody would believe it any more.
TEST_CASE("admission: a lighthouse's attestation is renewed without its asking") {
    AdmissionWorld world;
    FakeNode node(2);
    world.enrolled(node);
    const auto key = make_lighthouse(world, 3);
    auto& backbone = world.admission->backbone();
    const auto writes = world.registry.writes;
    REQUIRE(backbone.renew_due(noon + std::chrono::days{10}));
    CHECK(world.registry.writes == writes);
    const WallTime later = noon + std::chrono::days{20};
    REQUIRE(backbone.renew_due(later));
    CHECK(world.registry.writes == writes + 1);
    CHECK((*world.registry.find_node(key))->attested_until == later + attestation_life);
    REQUIRE(backbone.renew_due(later));
    CHECK(world.registry.writes == writes + 1);
    // What it is told with is the new one.
    const auto answer = joined(world, node, noon + std::chrono::days{45});
    REQUIRE(answer.peers.size() == 2);
    CHECK(check_attestation(answer.peers[1].attestation, {world.signer->facts()}, world.prefix,
                            noon + std::chrono::days{45}));
}

// Which of them a node leaves out would be chance.
TEST_CASE("admission: no more gateways and lighthouses are named than a node takes") {
    AdmissionWorld world;
    FakeNode node(2);
    world.enrolled(node);
    for (std::uint64_t seed = 3; seed < 3 + lighthouses_limit; ++seed) make_lighthouse(world, seed);
    const auto answer = joined(world, node);
    CHECK(answer.peers.size() == lighthouse_limit);
    CHECK(answer.peers[0].key == world.gateway.public_key);
}
