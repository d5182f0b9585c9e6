#include "core/bootstrap_set.h"

#include <doctest/doctest.h>

#include "fakes/org.h"
#include "vectors.h"

using namespace fortros;
using fakes::FakeSigner;

static const OrgPrefix prefix = *OrgPrefix::parse("fd12:3456:789a::/48");
static const WallTime now{std::chrono::seconds{1'800'000'000}};

static PublicKey key_of(unsigned seed) {
    SeededRandom random(seed);
    return *crypto::public_key_of(crypto::make_private_key(random));
}

static MeshPeer peer_of(unsigned seed, Role role, std::vector<Endpoint> endpoints) {
    const PublicKey key = key_of(seed);
    return {.key = key,
            .role = role,
            .overlay_address = overlay_address(prefix, key),
            .endpoints = std::move(endpoints),
            .keepalive_seconds = 25};
}

static const Endpoint v4 = *Endpoint::parse("203.0.113.5:51820");
static const Endpoint v6 = *Endpoint::parse("[2001:db8::5]:51820");

static BootstrapSet some_set() {
    return {.prefix = prefix,
            .node = key_of(1),
            .role = Role::Node,
            .serial = 42,
            .not_after = now + bootstrap_set_life,
            .policy_serial = 3,
            .revocation_number = 4,
            .peers = {peer_of(2, Role::Gateway, {v4, v6}), peer_of(3, Role::Lighthouse, {v6})}};
}

// Why a set is not used, or nothing.
static std::string why_not(const FakeSigner& signer, ByteView bytes, WallTime at = now) {
    const auto checked = check_bootstrap_set(bytes, {signer.signer()}, prefix, key_of(1), at);
    return checked ? "" : checked.error().text();
}

// A node without any gateway in reach comes up from these bytes alone.
TEST_CASE("a signed bootstrap set checks and reads back") {
    const FakeSigner signer;
    BootstrapSet set = some_set();
    const Bytes bytes = signer.sign(set);
    const auto checked = check_bootstrap_set(bytes, {signer.signer()}, prefix, set.node, now);
    REQUIRE(checked);
    set.signer = signer.signer().id;
    CHECK(*checked == set);
    CHECK(why_not(signer, bytes, set.not_after).empty());
}

// Gateways in other languages sign sets; nodes must read them as they were meant.
TEST_CASE("bootstrap sets are those of the published vectors") {
    const Json vectors = read_vectors("bootstrap_set.json");
    REQUIRE(vectors.array()->size() >= 3);
    for (const Json& vector : *vectors.array()) {
        const Bytes bytes = bytes_of(vector, "set");
        Signer signer{.not_after = WallTime::max()};
        std::ranges::copy(bytes_of(vector, "signer_id"), signer.id.begin());
        std::ranges::copy(bytes_of(vector, "signer_key"), signer.key.begin());
        const auto number = [&](std::string_view name) {
            return static_cast<std::uint64_t>(*vector.find(name)->number());
        };
        const auto node = *PublicKey::from_base64(text_of(vector, "node"));
        const WallTime not_after{std::chrono::seconds{number("not_after")}};
        const auto set =
            check_bootstrap_set(bytes, {signer}, *OrgPrefix::parse(text_of(vector, "prefix")), node,
                                not_after - bootstrap_set_life);
        REQUIRE_MESSAGE(set, (set ? "" : set.error().text()));
        CHECK(name_of(set->role) == text_of(vector, "role"));
        CHECK(set->serial == number("serial"));
        CHECK(set->not_after == not_after);
        CHECK(set->policy_serial == number("policy_serial"));
        CHECK(set->revocation_number == number("revocation_number"));
        const auto& peers = *vector.find("peers")->array();
        REQUIRE(set->peers.size() == peers.size());
        for (std::size_t i = 0; i < peers.size(); ++i)
            CHECK(set->peers[i] == *mesh_peer_from(peers[i], "peer"));
        CHECK(bytes.size() <= bootstrap_set_limit);
    }
    CHECK(bytes_of(vectors.array()->back(), "set").size() == 908);
}

// Whoever can write to flash must not be able to aim a node at peers of his own.
TEST_CASE("a bootstrap set with any bit changed or any byte cut off is refused") {
    const FakeSigner signer;
    const Bytes bytes = signer.sign(some_set());
    for (std::size_t i = 0; i < bytes.size() * 8; ++i) {
        Bytes changed = bytes;
        changed[i / 8] = static_cast<std::uint8_t>(changed[i / 8] ^ 1U << i % 8);
        CHECK_MESSAGE(!why_not(signer, changed).empty(), "bit ", i);
    }
    for (std::size_t size = 0; size < bytes.size(); ++size)
        CHECK_MESSAGE(!parse_bootstrap_set(ByteView(bytes).first(size)), "size ", size);
    Bytes longer = bytes;
    longer.push_back(0);
    CHECK(!parse_bootstrap_set(longer));
    Bytes no_role = bytes;
    for (const std::uint8_t role : {0, 4, 255}) {
        no_role[58] = role;
        CHECK(!parse_bootstrap_set(no_role));
    }
    CHECK(why_not(signer, Bytes(bootstrap_set_limit + 1)).contains("too large"));
}

TEST_CASE("a bootstrap set out of its time, of another org or node, or by a stranger is refused") {
    const FakeSigner signer(now - one_day, now + 10 * one_day);
    const BootstrapSet set = some_set();
    const Bytes bytes = signer.sign(set);
    REQUIRE(why_not(signer, bytes).empty());
    CHECK(why_not(signer, bytes, now + 11 * one_day).contains("signer is not valid"));
    CHECK(why_not(signer, bytes, now - 2 * one_day).contains("signer is not valid"));
    CHECK(why_not(FakeSigner(), bytes).contains("unknown signer"));
    const std::vector signers = {signer.signer()};
    const auto reason = [](const Result<BootstrapSet>& checked) {
        REQUIRE(!checked);
        CHECK(checked.error().code == ErrorCode::Untrusted);
        return checked.error().text();
    };
    const auto other = *OrgPrefix::parse("fd00::/48");
    CHECK(reason(check_bootstrap_set(bytes, signers, other, set.node, now))
              .contains("another organisation's"));
    CHECK(reason(check_bootstrap_set(bytes, signers, prefix, key_of(9), now))
              .contains("another node"));
    // A signer's id in front of somebody else's signature.
    const FakeSigner stranger;
    Signer taken = signer.signer();
    taken.key = stranger.signer().key;
    CHECK(reason(check_bootstrap_set(bytes, {taken}, prefix, set.node, now))
              .contains("signature is wrong"));
}

// A set is believed without asking anybody: it must end soon, whatever a signer was made to sign.
TEST_CASE("a bootstrap set that has expired, or lives too long, is refused") {
    const FakeSigner signer;
    BootstrapSet set = some_set();
    CHECK(why_not(signer, signer.sign(set), set.not_after + 1s).contains("expired at 2027-01-"));
    set.not_after = now + bootstrap_set_life + bootstrap_clock_slack;
    CHECK(why_not(signer, signer.sign(set)).empty());
    set.not_after += 1s;
    CHECK(why_not(signer, signer.sign(set)).contains("lives longer than one may"));
}

// Not even a signer may aim a node at its own overlay, at its neighbours or at everybody.
TEST_CASE("a bootstrap set with peers that cannot be is refused") {
    const FakeSigner signer;
    const auto with_endpoint = [&](std::string_view text) {
        BootstrapSet set = some_set();
        set.peers[1].endpoints = {*Endpoint::parse(text)};
        return why_not(signer, signer.sign(set));
    };
    CHECK(with_endpoint("198.51.100.1:1").empty());
    CHECK(with_endpoint("[fd12:3456:789a::7]:51820").contains("inside the overlay"));
    for (const char* bad : {"127.0.0.1:1", "0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1",
                            "169.254.1.1:1", "[::]:1", "[::1]:1", "[ff02::1]:1", "[fe80::1]:1"})
        CHECK_MESSAGE(with_endpoint(bad).contains("not an address of a host"), bad);

    const auto with_peers = [&](std::vector<MeshPeer> peers) {
        BootstrapSet set = some_set();
        set.peers = std::move(peers);
        return why_not(signer, signer.sign(set));
    };
    CHECK(with_peers({}).contains("no peer"));
    CHECK(with_peers({peer_of(2, Role::Gateway, {})}).contains("no endpoint"));
    CHECK(with_peers({peer_of(2, Role::Node, {v4})}).contains("no gateway and no lighthouse"));
    CHECK(with_peers({peer_of(1, Role::Gateway, {v4})}).contains("its own peer"));
    CHECK(with_peers({peer_of(2, Role::Gateway, {v4}), peer_of(2, Role::Lighthouse, {v6})})
              .contains("a peer twice"));
    // An endpoint of port 0, by hand: no Endpoint spells it.
    BootstrapSet set = some_set();
    set.peers = {peer_of(2, Role::Gateway, {v4})};
    set.peers[0].endpoints[0].port = 0;
    CHECK(why_not(signer, signer.sign(set)).contains("endpoint that is none"));
}

// The gateway's answer may be long; the set is small, and keeps what a node with one family needs.
TEST_CASE("a set's peers are gateways and lighthouses, cut to the bounds") {
    std::vector<MeshPeer> peers = {peer_of(2, Role::Gateway, {v4, v4, v4, v4, v6, v6}),
                                   peer_of(3, Role::Node, {v4}), peer_of(4, Role::Lighthouse, {}),
                                   peer_of(5, Role::Lighthouse, {v6, v4, v6, v6})};
    peers[0].attestation = Bytes(attestation_size);
    const auto chosen = bootstrap_peers_of(peers);
    REQUIRE(chosen.size() == 2);
    CHECK(chosen[0] == peer_of(2, Role::Gateway, {v4, v4, v6}));
    CHECK(chosen[1] == peer_of(5, Role::Lighthouse, {v6, v4, v6}));
    for (unsigned i = 10; i < 20; ++i) peers.push_back(peer_of(i, Role::Lighthouse, {v4}));
    CHECK(bootstrap_peers_of(peers).size() == bootstrap_peers_limit);
}

// Flash wears out: a boot that learns nothing new must not write.
TEST_CASE("a stored set is replaced when it says something else or half of its life is gone") {
    BootstrapSet stored = some_set();
    const auto fresh_at = [](WallTime time) {
        BootstrapSet fresh = some_set();
        fresh.serial += 1000;
        fresh.not_after = time + bootstrap_set_life;
        return fresh;
    };
    CHECK(should_replace(std::nullopt, fresh_at(now), now));
    CHECK(!should_replace(stored, fresh_at(now + one_day), now + one_day));
    CHECK(!should_replace(stored, fresh_at(now + 7 * one_day), now + 7 * one_day));
    CHECK(should_replace(stored, fresh_at(now + 8 * one_day), now + 8 * one_day));
    // Near the signer's own end nothing is gained by writing.
    BootstrapSet last = fresh_at(now + 8 * one_day);
    last.not_after = stored.not_after + 60s;
    CHECK(!should_replace(stored, last, now + 8 * one_day));

    BootstrapSet fresh = fresh_at(now);
    // Two gateways that answer in turn name themselves first.
    std::swap(fresh.peers[0], fresh.peers[1]);
    CHECK(!should_replace(stored, fresh, now));
    SUBCASE("a peer moved") { fresh.peers[0].endpoints = {v4}; }
    SUBCASE("a peer is gone") { fresh.peers.pop_back(); }
    SUBCASE("another role") { fresh.role = Role::Lighthouse; }
    SUBCASE("another policy") { fresh.policy_serial += 1; }
    SUBCASE("a revocation") { fresh.revocation_number += 1; }
    SUBCASE("another signer") { fresh.signer[0] ^= 1; }
    CHECK(should_replace(stored, fresh, now));
}
