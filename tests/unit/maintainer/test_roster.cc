#include "maintainer/roster.h"

#include <doctest/doctest.h>

#include "fakes/org.h"

using namespace fortros;
using namespace fortros::fakes;

namespace {

// An org that has told a node of itself.
struct World {
    SeededRandom random{5};
    WallTime now{std::chrono::seconds{1'800'000'000}};
    FakeOrg org{random};
    PublicKey self = key();
    FakeSigner successor{now - one_day};
    FakeVerifier verifier{{org.signer.signer(), successor.signer()}};
    Roster roster{org.prefix, self, verifier};

    World() { REQUIRE(take(document())); }

    PublicKey key() { return *crypto::public_key_of(crypto::make_private_key(random)); }
    OrgDocument document(std::uint64_t serial = 1) const {
        return {.prefix = org.prefix, .serial = serial, .domain = org.domain};
    }
    Status take(const OrgDocument& said) {
        return roster.take_org({org.signer.certificate()}, org.signer.sign(said), now);
    }
    MemberNews member(const PublicKey& who, Role role = Role::Node,
                      std::uint64_t serial = 1) const {
        return {{.key = who,
                 .role = role,
                 .overlay_address = overlay_address(org.prefix, who),
                 .attestation = org.signer.attest(org.prefix, who, role, now + one_day, serial)}};
    }
    bool knows(const PublicKey& who) const { return roster.members().find(who) != nullptr; }
};

}  // namespace

// News are anybody's: peering with whom the org has not vouched for would let a stranger in.
TEST_CASE("roster: a claim counts only with the org's attestation") {
    World world;
    MemberNews news = world.member(world.key());
    SUBCASE("good") {
        CHECK(world.roster.admit(news, world.now));
        CHECK(world.knows(news.peer.key));
    }
    SUBCASE("bad") {
        SUBCASE("no attestation") { news.peer.attestation.clear(); }
        SUBCASE("somebody else's") {
            news.peer.attestation = world.member(world.key()).peer.attestation;
        }
        SUBCASE("another role") { news.peer.role = Role::Lighthouse; }
        SUBCASE("another address") {
            news.peer.overlay_address = world.member(world.key()).peer.overlay_address;
        }
        SUBCASE("expired") { world.now += 2 * one_day; }
        SUBCASE("an endpoint inside of the overlay") {
            news.peer.endpoints = {{news.peer.overlay_address, 51820}};
        }
        CHECK(!world.roster.admit(news, world.now));
        CHECK(!world.knows(news.peer.key));
    }
}

// A thousand signatures at once would keep every probe waiting, and peers would be taken for dead.
TEST_CASE("roster: claims are checked a few at a time, the newest of each member only") {
    World world;
    const PublicKey twice = world.key();
    world.roster.claim(world.member(twice, Role::Node, 1));
    for (int i = 0; i < 4; ++i) world.roster.claim(world.member(world.key()));
    world.roster.claim(world.member(twice, Role::Node, 2));
    CHECK(world.roster.claims() == 5);
    CHECK(world.roster.check_some(3, world.now) == 0);
    CHECK(world.roster.members().size() == 3);
    CHECK(world.roster.members().find(twice)->serial == 2);
    CHECK(world.roster.has_claims());
    CHECK(world.roster.check_some(3, world.now) == 0);
    CHECK(!world.roster.has_claims());
    CHECK(world.roster.members().size() == 5);
}

TEST_CASE("roster: what does not check is counted and said, and changes nothing") {
    World world;
    MemberNews news = world.member(world.key());
    news.peer.attestation.back() ^= 1;
    world.roster.claim(news);
    CHECK(world.roster.check_some(1, world.now) == 1);
    CHECK(world.roster.last_refusal().contains("attestation"));
    CHECK(world.roster.members().size() == 0);
}

// A thrown-out node would stay everybody's peer.
TEST_CASE("roster: whom the document revokes is out at once, and stays out") {
    World world;
    const MemberNews news = world.member(world.key());
    REQUIRE(world.roster.admit(news, world.now));
    OrgDocument document = world.document(2);
    document.revoked = {news.peer.key};
    REQUIRE(world.take(document));
    CHECK(!world.knows(news.peer.key));
    CHECK(!world.roster.admit(news, world.now));
    CHECK(!world.roster.is_revoked());
    document.serial = 3;
    document.revoked = {world.self};
    REQUIRE(world.take(document));
    CHECK(world.roster.is_revoked());
}

// Who keeps an old document could bring a revoked node back.
TEST_CASE("roster: an older document is not taken") {
    World world;
    REQUIRE(world.take(world.document(5)));
    CHECK(!world.take(world.document(4)));
    CHECK(world.roster.document_serial() == 5);
    CHECK(world.take(world.document(5)));
}

// After a boot that no gateway answered there is no document at hand: a gateway that has kept an old one
// would bring a revoked node back, and a thief's signer.
TEST_CASE("roster: what the boots before have seen counts, without the document that said it") {
    World world;
    Roster roster(world.org.prefix, world.self, world.verifier,
                  {.serial = 5, .signers_since = world.now - 2 * one_day});
    const auto take = [&](const FakeSigner& signer, std::uint64_t serial) {
        return roster.take_org({signer.certificate()}, signer.sign(world.document(serial)),
                               world.now);
    };
    CHECK(!take(world.successor, 4));
    CHECK(!take(world.org.signer, 5));
    CHECK(!roster.document());
    CHECK(roster.floor().serial == 5);
    // That document itself, from before it knew of the signers, takes nothing back.
    CHECK(take(world.successor, 5));
    CHECK(!roster.take_org({world.org.signer.certificate()}, {}, world.now));
    CHECK(roster.floor().signers_since == world.now - 2 * one_day);
    // A disowned one beside another says nothing, and costs nothing.
    CHECK(roster.take_org({world.org.signer.certificate(), world.successor.certificate()}, {},
                          world.now));
    CHECK(roster.signer_certificates().size() == 1);
}

TEST_CASE("roster: a document of another prefix, or of nobody's, is not taken") {
    World world;
    OrgDocument document = world.document(2);
    document.prefix.bytes[5] ^= 1;
    CHECK(!world.take(document));
    const FakeSigner stranger;
    CHECK(!world.roster.take_org({stranger.certificate()}, stranger.sign(world.document(9)),
                                 world.now));
    CHECK(world.roster.document_serial() == 1);
}

// A stolen signer's attestations would count for as long as they last.
TEST_CASE("roster: whom only a disowned signer has vouched for is out") {
    World world;
    const MemberNews old = world.member(world.key());
    MemberNews renewed = world.member(world.key());
    renewed.peer.attestation =
        world.successor.attest(world.org.prefix, renewed.peer.key, Role::Node, world.now + one_day);
    REQUIRE(world.roster.admit(old, world.now));
    REQUIRE(world.roster.take_org({world.successor.certificate()},
                                  world.successor.sign(world.document(2)), world.now));
    REQUIRE(world.roster.admit(renewed, world.now));
    CHECK(world.knows(old.peer.key));
    OrgDocument document = world.document(3);
    document.signers_since = world.now - one_day;
    REQUIRE(world.roster.take_org({world.successor.certificate()}, world.successor.sign(document),
                                  world.now));
    CHECK(!world.knows(old.peer.key));
    CHECK(world.knows(renewed.peer.key));
    CHECK(!world.roster.admit(world.member(world.key()), world.now));
    CHECK(!world.take(world.document(4)));
}

// After a restored backup somebody who is gone would be a member for ever; or, if all were forgotten
// first, every tunnel would blink.
TEST_CASE("roster: when all is said anew, who is not named goes at the end and not before") {
    World world;
    const MemberNews stays = world.member(world.key()), goes = world.member(world.key());
    const MemberNews gateway = world.member(world.key(), Role::Gateway);
    for (const auto& news : {stays, goes, gateway}) REQUIRE(world.roster.admit(news, world.now));
    world.roster.begin_anew();
    world.roster.claim(stays);
    CHECK(world.knows(goes.peer.key));
    world.roster.end_anew();
    CHECK(world.knows(stays.peer.key));
    CHECK(!world.knows(goes.peer.key));
    CHECK(world.knows(gateway.peer.key));  // of gateways there is a list of their own
    world.roster.keep_only(Role::Gateway, {});
    CHECK(!world.knows(gateway.peer.key));
    CHECK(world.knows(stays.peer.key));
}

// A node that no gateway renews would lose its tunnels, although nobody has thrown it out.
TEST_CASE("roster: an expired member stays as long as it is linked") {
    World world;
    const MemberNews linked = world.member(world.key()), idle = world.member(world.key());
    for (const auto& news : {linked, idle}) REQUIRE(world.roster.admit(news, world.now));
    world.roster.remove_expired(world.now, {});
    CHECK(world.roster.members().size() == 2);
    world.roster.remove_expired(world.now + 2 * one_day, {linked.peer.key});
    CHECK(world.knows(linked.peer.key));
    CHECK(!world.knows(idle.peer.key));
}

// Without any gateway the node would drop the lighthouses that it has come up with.
TEST_CASE("roster: who is remembered counts until somebody with an attestation takes the place") {
    World world;
    MemberNews news = world.member(world.key(), Role::Gateway);
    news.peer.endpoints = {*Endpoint::parse("192.0.2.1:51820")};
    MeshPeer remembered = news.peer;
    remembered.attestation.clear();
    world.roster.take_remembered({remembered}, world.now + one_day);
    REQUIRE(world.knows(news.peer.key));
    REQUIRE(world.roster.admit(news, world.now));
    CHECK(world.roster.members().find(news.peer.key)->attestation == news.peer.attestation);
}

TEST_CASE("roster: this node is not its own member") {
    World world;
    world.roster.claim(world.member(world.self));
    CHECK(!world.roster.has_claims());
}
