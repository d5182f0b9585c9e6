#include "maintainer/boot_memory.h"

#include <doctest/doctest.h>

#include "fakes/org.h"

using namespace fortros;
using namespace fortros::fakes;

namespace {

// A node that has just renewed its membership.
struct World {
    SeededRandom random{5};
    WallTime now{std::chrono::seconds{1'800'000'000}};
    FakeOrg org{random};
    PublicKey node = *crypto::public_key_of(crypto::make_private_key(random));
    Endpoint gateway = *Endpoint::parse("203.0.113.5:443");
    NodeState state{.node = node,
                    .enrolled = true,
                    .prefix = org.prefix,
                    .gateways = {gateway},
                    .document_serial = 1};
    Joined joined;

    World() {
        joined.answer.node = node;
        joined.answer.attestation =
            org.signer.attest(org.prefix, node, Role::Node, now + 30 * one_day, 1);
        joined.attestation = *parse_attestation(joined.answer.attestation);
        joined.org.document = {.prefix = org.prefix, .serial = 1};
        give_set(100, "203.0.113.5:51820");
        state = remember();
    }
    void give_set(std::uint64_t serial, std::string_view peer) {
        BootstrapSet set{
            .prefix = org.prefix,
            .node = node,
            .serial = serial,
            .not_after = now + bootstrap_set_life,
            .peers = {{.key = org.gateway_public,
                       .role = Role::Gateway,
                       .overlay_address = overlay_address(org.prefix, org.gateway_public),
                       .endpoints = {*Endpoint::parse(peer)}}}};
        joined.answer.bootstrap = org.signer.sign(set);
        joined.bootstrap = parse_bootstrap_set(joined.answer.bootstrap).value();
        joined.bootstrap_signer = org.signer.certificate();
    }
    NodeState remember(std::optional<SourceSet> sources = SourceSet::all()) const {
        return remembered(state, {.joined = joined,
                                  .chain_not_before = now - one_day,
                                  .gateway = gateway,
                                  .sources = sources,
                                  .now = now});
    }
};

}  // namespace

// Flash wears out: a laptop that renews every week would write for nothing.
TEST_CASE("boot memory: what says nothing new is not written") {
    World world;
    world.give_set(200, "203.0.113.5:51820");
    CHECK(world.remember() == world.state);
}

// The next boot would have no fast start, or one to lighthouses that are gone.
TEST_CASE("boot memory: a fresh set takes the place of one that is old or says something else") {
    World world;
    SUBCASE("another peer") { world.give_set(200, "203.0.113.6:51820"); }
    SUBCASE("half of its life is gone") {
        world.now += 8 * one_day;
        world.give_set(200, "203.0.113.5:51820");
    }
    const NodeState fresh = world.remember();
    CHECK(fresh.bootstrap_serial == 200);
    CHECK(fresh.bootstrap_set == world.joined.answer.bootstrap);
    CHECK(fresh.bootstrap_signer == world.org.signer.certificate());
}

TEST_CASE("boot memory: an older set is not taken") {
    World world;
    world.give_set(50, "203.0.113.6:51820");
    CHECK(world.remember() == world.state);
}

// A document that narrows what may name a gateway would count only after another boot with the old one.
TEST_CASE("boot memory: the document's policy counts, within what leaves the image a source") {
    World world;
    world.joined.org.document.serial = 2;
    world.joined.org.document.sources = SourceSet::only(Source::Cached);
    CHECK(world.remember().policy == SourceSet::only(Source::Cached));
    CHECK(world.remember().document_serial == 2);
    CHECK(!world.remember(SourceSet::only(Source::PublicDns)).policy);
    CHECK(!world.remember(std::nullopt).policy);
}

// The node would start from somebody else's memory.
TEST_CASE("boot memory: the state of another key, or of no member, stays as it is") {
    World world;
    world.give_set(200, "203.0.113.6:51820");
    SUBCASE("another key") { world.state.node.bytes[0] ^= 1; }
    SUBCASE("not enrolled") { world.state.enrolled = false; }
    CHECK(world.remember() == world.state);
}

// It would be looked for inside of the overlay that it is needed for.
TEST_CASE("boot memory: a gateway that answered inside of the overlay is not remembered") {
    World world;
    world.gateway = {overlay_address(world.org.prefix, world.org.gateway_public), 443};
    CHECK(world.remember() == world.state);
    world.gateway = *Endpoint::parse("203.0.113.9:443");
    CHECK(world.remember().gateways.front() == world.gateway);
}
