// What gateway/registry.h promises, asked of every store that keeps the promise.
#include "gateway/registry.h"

#include <doctest/doctest.h>

#include <functional>
#include <memory>

#include "gateway/audit_chain.h"
#include "gateway/sqlite_registry.h"
#include "unit/gateway/etcd_for_tests.h"
#include "unit/gateway/memory_registry.h"
#include "unit/os/temporary_directory.h"

using namespace fortros;
using namespace fortros::gateway;

namespace {

const OrgPrefix prefix = *OrgPrefix::parse("fd12:3456:789a::/48");
const WallTime noon{std::chrono::seconds{1'800'000'000}};
const Actor admin = "uid 0";
const Actor stranger = "203.0.113.9";

PublicKey key_of(std::uint8_t number) {
    PublicKey key;
    key.bytes[0] = number;
    return key;
}

InviteHash hash_of(std::string_view invite) {
    REQUIRE(crypto::initialise());
    return hash_of_invite(as_bytes(invite));
}

Enrolment enrolment_of(std::uint8_t number, std::string_view invite) {
    return {.key = key_of(number),
            .overlay_address = overlay_address(prefix, key_of(number)),
            .invite = hash_of(invite),
            .hostname = "wish",
            .attested_until = noon + std::chrono::days{30}};
}

template <typename T>
T must(Result<T> result) {
    if (!result) FAIL(result.error().text());
    return std::move(*result);
}

// Runs a contract against each store, every one empty.
void for_each_store(const std::function<void(Registry&)>& contract) {
    SUBCASE("in memory") {
        MemoryRegistry registry;
        contract(registry);
    }
    SUBCASE("in SQLite") {
        const TemporaryDirectory folder;
        auto registry = must(SqliteRegistry::open(folder.path("gateway.db"), prefix, 1s));
        contract(*registry);
    }
    // A cluster is there when a test of tests/net has started one.
    if (auto settings = empty_registry_in_etcd()) {
        SUBCASE("in etcd") {
            auto registry = must(EtcdRegistry::open(*settings, prefix, 10s));
            contract(*registry);
        }
    }
}

InviteRecord make_open_invite(Registry& registry, std::string_view text, std::uint32_t uses = 1) {
    return must(registry.create_invite(
        {.hash = hash_of(text), .uses = uses, .expires = noon + std::chrono::days{7}}, admin,
        noon));
}

Member member_of(Decision decision) {
    if (auto* code = std::get_if<RefusalCode>(&decision)) FAIL(name_of(*code));
    return std::get<Member>(decision);
}

RefusalCode refusal_of(Decision decision) {
    REQUIRE(std::holds_alternative<RefusalCode>(decision));
    return std::get<RefusalCode>(decision);
}

}  // namespace

// A single-use invite that works twice admits whoever found the image.
TEST_CASE("registry: a single-use invite admits one key") {
    for_each_store([](Registry& registry) {
        make_open_invite(registry, "one");
        const auto first = member_of(must(registry.enrol(enrolment_of(1, "one"), stranger, noon)));
        CHECK(first.is_new);
        CHECK(first.node.invite == invite_id_of(hash_of("one")));
        CHECK(refusal_of(must(registry.enrol(enrolment_of(2, "one"), stranger, noon))) ==
              RefusalCode::InviteInvalid);
        CHECK(!must(registry.find_node(key_of(2))));
        CHECK(must(registry.invites(noon))[0].used == 1);
    });
}

// A node whose answer was lost on the way would be locked out by its own spent invite.
TEST_CASE("registry: enrolling again with the same key is the same enrolment") {
    for_each_store([](Registry& registry) {
        make_open_invite(registry, "one");
        make_open_invite(registry, "other");
        const auto first = member_of(must(registry.enrol(enrolment_of(1, "one"), stranger, noon)));
        for (const char* invite : {"one", "other", "never existed"}) {
            const auto again =
                member_of(must(registry.enrol(enrolment_of(1, invite), stranger, noon + one_day)));
            CHECK(!again.is_new);
            CHECK(again.node == first.node);
        }
        for (const auto& invite : must(registry.invites(noon)))
            CHECK(invite.used == (invite.id == first.node.invite ? 1U : 0U));
    });
}

// An invite for ten machines would stop at one, or never.
TEST_CASE("registry: an invite for three admits three") {
    for_each_store([](Registry& registry) {
        make_open_invite(registry, "three", 3);
        for (std::uint8_t number : {1, 2, 3})
            CHECK(member_of(must(registry.enrol(enrolment_of(number, "three"), stranger, noon)))
                      .is_new);
        CHECK(refusal_of(must(registry.enrol(enrolment_of(4, "three"), stranger, noon))) ==
              RefusalCode::InviteInvalid);
    });
}

// An operator's graph would show members who were thrown out.
TEST_CASE("registry: members are counted, and nobody else") {
    for_each_store([](Registry& registry) {
        CHECK(must(registry.count_members()) == 0);
        make_open_invite(registry, "three", 3);
        for (std::uint8_t number : {1, 2, 3})
            must(registry.enrol(enrolment_of(number, "three"), stranger, noon));
        CHECK(must(registry.count_members()) == 3);
        must(registry.revoke_node(key_of(1), admin, noon));
        must(registry.retire_node(key_of(2), admin, noon));
        CHECK(must(registry.count_members()) == 1);
    });
}

// An image that lay in a drawer for a year would still admit.
TEST_CASE("registry: expired, revoked and unknown invites admit nobody") {
    for_each_store([](Registry& registry) {
        const auto expiring = make_open_invite(registry, "expiring");
        const auto revoked = make_open_invite(registry, "revoked");
        must(registry.revoke_invite(revoked.id, admin, noon));
        const auto refused = [&](std::string_view invite, WallTime now) {
            return refusal_of(must(registry.enrol(enrolment_of(1, invite), stranger, now)));
        };
        CHECK(refused("expiring", expiring.expires) == RefusalCode::InviteInvalid);
        CHECK(refused("revoked", noon) == RefusalCode::InviteInvalid);
        CHECK(refused("unknown", noon) == RefusalCode::InviteInvalid);
        CHECK(!must(registry.find_node(key_of(1))));
        CHECK(member_of(must(registry.enrol(enrolment_of(1, "expiring"), stranger,
                                            expiring.expires - 1s)))
                  .is_new);
    });
}

// A node would get a role or a name that it chose itself.
TEST_CASE("registry: what the invite fixes, the node cannot choose") {
    for_each_store([](Registry& registry) {
        must(registry.create_invite({.hash = hash_of("fixed"),
                                     .uses = 1,
                                     .role = Role::Lighthouse,
                                     .hostname = "lh1",
                                     .expires = noon + one_day},
                                    admin, noon));
        const auto node =
            member_of(must(registry.enrol(enrolment_of(1, "fixed"), stranger, noon))).node;
        CHECK(node.role == Role::Lighthouse);
        CHECK(node.hostname == "lh1");
        CHECK(must(registry.find_node(key_of(1))) == node);
        make_open_invite(registry, "free");
        CHECK(member_of(must(registry.enrol(enrolment_of(2, "free"), stranger, noon)))
                  .node.hostname == "wish");
    });
}

// The second node would take over the first one's traffic, and its invite would be gone.
TEST_CASE("registry: a taken address is refused before the invite is touched") {
    for_each_store([](Registry& registry) {
        make_open_invite(registry, "two", 2);
        must(registry.enrol(enrolment_of(1, "two"), stranger, noon));
        auto colliding = enrolment_of(2, "two");
        colliding.overlay_address = overlay_address(prefix, key_of(1));
        CHECK(refusal_of(must(registry.enrol(colliding, stranger, noon))) ==
              RefusalCode::AddressTaken);
        CHECK(must(registry.invites(noon))[0].used == 1);
    });
}

// A thrown-out node would come back with the next invite that it finds.
TEST_CASE("registry: a revoked key stays out and its address stays taken") {
    for_each_store([](Registry& registry) {
        make_open_invite(registry, "one");
        make_open_invite(registry, "fresh", 2);
        const auto node =
            member_of(must(registry.enrol(enrolment_of(1, "one"), stranger, noon))).node;
        const auto revoked = must(registry.revoke_node(node.key, admin, noon + 5s));
        CHECK(revoked.revoked == noon + 5s);
        CHECK(must(registry.revoke_node(node.key, admin, noon + 9s)) == revoked);
        CHECK(refusal_of(must(registry.enrol(enrolment_of(1, "fresh"), stranger, noon))) ==
              RefusalCode::Revoked);
        auto heir = enrolment_of(2, "fresh");
        heir.overlay_address = node.overlay_address;
        CHECK(refusal_of(must(registry.enrol(heir, stranger, noon))) == RefusalCode::AddressTaken);
        CHECK(registry.renew(node.key, noon + one_day).error().code == ErrorCode::NotFound);
        CHECK(registry.revoke_node(key_of(9), admin, noon).error().code == ErrorCode::NotFound);
    });
}

// A node that has heard of a revocation must hear of it from every gateway, and of all later ones.
TEST_CASE("registry: revocations are numbered, and change the org document") {
    for_each_store([](Registry& registry) {
        make_open_invite(registry, "three", 3);
        for (std::uint8_t number : {1, 2, 3})
            must(registry.enrol(enrolment_of(number, "three"), stranger, noon));
        CHECK(must(registry.policy()) == PolicyRecord{});
        must(registry.revoke_node(key_of(2), admin, noon + 5s));
        const auto first = must(registry.policy());
        CHECK(first.revocation_number == 1);
        CHECK(first.serial > 1);
        must(registry.revoke_node(key_of(1), admin, noon + 5s));
        const auto second = must(registry.policy());
        CHECK(second.revocation_number == 2);
        CHECK(second.serial > first.serial);
        must(registry.revoke_node(key_of(1), admin, noon + 9s));
        CHECK(must(registry.policy()) == second);
        CHECK(must(registry.revoked(noon)) == std::vector{key_of(2), key_of(1)});
        must(registry.retire_node(key_of(3), admin, noon + 9s));
        CHECK(must(registry.revoked(noon)) == std::vector{key_of(2), key_of(1), key_of(3)});
        CHECK(must(registry.policy()).serial > second.serial);
        // An attestation that has expired needs no revocation any more.
        CHECK(must(registry.revoked(noon + std::chrono::days{31})).empty());
    });
}

// Nodes refuse a document that is older than one they have seen: its serial never falls, and what is
// done after a backup was restored must look newer than whatever was lost.
TEST_CASE("registry: every change of policy makes a newer org document") {
    for_each_store([](Registry& registry) {
        const auto cached = SourceSet::only(Source::Cached);
        auto last = must(registry.policy());
        const auto changed = [&](const PolicyChange& change, WallTime now) {
            const auto policy = must(registry.change_policy(change, admin, now));
            CHECK(policy.serial > last.serial);
            CHECK(must(registry.policy()) == policy);
            return last = policy;
        };
        CHECK(changed({.sources = cached}, noon).sources == cached);
        CHECK(changed({.signers_since = noon - 1h}, noon).sources == cached);
        CHECK(changed({.signers_since = noon}, noon - one_day).signers_since == noon);
        CHECK(!changed({.sources = std::optional<SourceSet>{}}, noon).sources);
        CHECK(changed({}, noon + one_day).serial ==
              static_cast<std::uint64_t>((noon + one_day).time_since_epoch().count()));
        CHECK(registry.change_policy({.signers_since = noon - 1s}, admin, noon).error().code ==
              ErrorCode::InvalidArgument);
        CHECK(must(registry.policy()) == last);
        CHECK(must(registry.audit(1))[0].event == "policy-changed");
    });
}

TEST_CASE(
    "registry: after a restored backup all attestations are renewed past those that were lost") {
    for_each_store([](Registry& registry) {
        make_open_invite(registry, "three", 3);
        for (std::uint8_t number : {1, 2, 3})
            must(registry.enrol(enrolment_of(number, "three"), stranger, noon));
        must(registry.renew_gateway(key_of(9), noon + one_day));
        must(registry.revoke_node(key_of(2), admin, noon));
        // What was lost may have counted faster than the clock.
        const auto seconds_of = [](WallTime time) {
            return static_cast<std::uint64_t>(time.time_since_epoch().count());
        };
        const auto before = must(registry.history());
        CHECK(before.began == 0);
        CHECK(before.newest == must(registry.nodes_since(0)).back().revision);
        const auto policy = must(registry.change_policy({.renew = Renewal::All}, admin, noon));
        // Whoever was told a revision by the lost file is told everything again.
        const auto after = must(registry.history());
        CHECK(after.began > before.newest);
        CHECK(after.began >= seconds_of(noon + renewal_margin));
        CHECK(after.newest == after.began);
        CHECK(policy.serial >= seconds_of(noon + renewal_margin));
        CHECK(must(registry.find_node(key_of(1)))->attested_until == WallTime{});
        CHECK(must(registry.find_gateway(key_of(9)))->not_after == WallTime{});
        CHECK(must(registry.revoked(noon)) == std::vector{key_of(2)});
        // A node may hold an attestation that the lost file knew, and be thrown out before it has another.
        must(registry.revoke_node(key_of(3), admin, noon + 1h));
        CHECK(must(registry.revoked(noon + std::chrono::days{29})) ==
              std::vector{key_of(2), key_of(3)});
        CHECK(must(registry.revoked(noon + std::chrono::days{31})).empty());
        CHECK(must(registry.renew(key_of(1), noon + one_day)).serial >
              seconds_of(noon + renewal_margin));
    });
}

// A member's newer attestation would look older than its last one, and be refused.
TEST_CASE("registry: serials grow over the whole org") {
    for_each_store([](Registry& registry) {
        make_open_invite(registry, "two", 2);
        std::uint64_t last = 0;
        const auto grows = [&](std::uint64_t serial) {
            CHECK(serial > last);
            last = serial;
        };
        grows(must(registry.renew_gateway(key_of(9), noon)).serial);
        grows(member_of(must(registry.enrol(enrolment_of(1, "two"), stranger, noon))).node.serial);
        grows(must(registry.renew_gateway(key_of(9), noon)).serial);
        grows(member_of(must(registry.enrol(enrolment_of(2, "two"), stranger, noon))).node.serial);
        const auto renewed = must(registry.renew(key_of(1), noon + std::chrono::days{40}));
        grows(renewed.serial);
        CHECK(renewed.attested_until == noon + std::chrono::days{40});
        CHECK(must(registry.find_node(key_of(1))) == renewed);
    });
}

// A gateway could not start on a full disk, though it has all that it needs.
TEST_CASE("registry: a gateway's own attestation is kept") {
    for_each_store([](Registry& registry) {
        CHECK(!must(registry.find_gateway(key_of(9))));
        const auto attested = must(registry.renew_gateway(key_of(9), noon + one_day));
        CHECK(attested.not_after == noon + one_day);
        CHECK(must(registry.find_gateway(key_of(9))) == attested);
        const auto renewed = must(registry.renew_gateway(key_of(9), noon + 2 * one_day));
        CHECK(must(registry.find_gateway(key_of(9))) == renewed);
        CHECK(!must(registry.find_gateway(key_of(8))));
        CHECK(!must(registry.find_node(key_of(9))));
    });
}

// --- lighthouses ---

namespace {

const std::vector<Endpoint> public_endpoints = {*Endpoint::parse("203.0.113.5:51820"),
                                                *Endpoint::parse("[2001:db8::5]:443")};

}  // namespace

// Nodes would hear of a lighthouse that nothing vouches for, or with the role that it had before.
TEST_CASE("registry: a lighthouse has role, endpoints and a new attestation at once") {
    for_each_store([](Registry& registry) {
        make_open_invite(registry, "two", 2);
        const auto before =
            member_of(must(registry.enrol(enrolment_of(1, "two"), stranger, noon))).node;
        const auto other =
            member_of(must(registry.enrol(enrolment_of(2, "two"), stranger, noon))).node;
        CHECK(before.endpoints.empty());
        CHECK(must(registry.lighthouses()).empty());

        const auto lit = must(registry.set_lighthouse(key_of(1), public_endpoints, admin, noon));
        auto expected = before;
        expected.role = Role::Lighthouse;
        expected.endpoints = public_endpoints;
        expected.serial = lit.serial;
        expected.revision = lit.revision;
        CHECK(lit == expected);
        CHECK(lit.serial > other.serial);
        CHECK(lit.revision > other.revision);
        CHECK(must(registry.find_node(key_of(1))) == lit);
        CHECK(must(registry.lighthouses()) == std::vector{lit});
        CHECK(must(registry.nodes_since(other.revision)) == std::vector{lit});
        CHECK(must(registry.history()).newest == lit.revision);
        const auto entry = must(registry.audit(1))[0];
        CHECK(entry.event == "lighthouse-set");
        CHECK(entry.actor == admin);
        CHECK(entry.node == key_of(1));
        CHECK(entry.detail == "203.0.113.5:51820 [2001:db8::5]:443");

        // Again: nothing new, nothing written.
        CHECK(must(registry.set_lighthouse(key_of(1), public_endpoints, admin, noon)) == lit);
        CHECK(must(registry.audit(1))[0] == entry);

        const auto moved =
            must(registry.set_lighthouse(key_of(1), {public_endpoints[1]}, admin, noon));
        CHECK(moved.endpoints == std::vector{public_endpoints[1]});
        CHECK(moved.revision > lit.revision);

        const auto node = must(registry.set_lighthouse(key_of(1), {}, admin, noon));
        CHECK(node.role == Role::Node);
        CHECK(node.endpoints.empty());
        CHECK(node.serial > moved.serial);
        CHECK(must(registry.lighthouses()).empty());
        CHECK(must(registry.audit(1))[0].event == "lighthouse-unset");
        CHECK(!must(verify_audit(registry)).flaw);
    });
}

// A machine that was thrown out would stay everybody's relay.
TEST_CASE("registry: only members are lighthouses") {
    for_each_store([](Registry& registry) {
        make_open_invite(registry, "three", 3);
        for (std::uint8_t number : {1, 2, 3}) {
            must(registry.enrol(enrolment_of(number, "three"), stranger, noon));
            must(registry.set_lighthouse(key_of(number), public_endpoints, admin, noon));
        }
        must(registry.revoke_node(key_of(1), admin, noon));
        must(registry.retire_node(key_of(2), admin, noon));
        const auto left = must(registry.lighthouses());
        REQUIRE(left.size() == 1);
        CHECK(left[0].key == key_of(3));
        for (std::uint8_t number : {1, 2, 9})
            CHECK(registry.set_lighthouse(key_of(number), {}, admin, noon).error().code ==
                  ErrorCode::NotFound);
        // What it was attested goes on as it does for others.
        CHECK(must(registry.renew(key_of(3), noon + one_day)).endpoints == public_endpoints);
        must(registry.change_policy({.renew = Renewal::All}, admin, noon));
        CHECK(must(registry.lighthouses())[0].attested_until == WallTime{});
        CHECK(must(registry.set_lighthouse(key_of(3), {public_endpoints[0]}, admin, noon))
                  .attested_until == WallTime{});
    });
}

// Some would be told to nobody, and nobody would know which.
TEST_CASE("registry: there are no more lighthouses than a node takes") {
    for_each_store([](Registry& registry) {
        make_open_invite(registry, "many", 99);
        std::vector<PublicKey> keys;
        for (std::uint8_t number = 1; number <= lighthouses_limit + 1; ++number) {
            // In the order of their keys they come neither here nor there.
            const auto enrolment = enrolment_of(static_cast<std::uint8_t>(number * 37), "many");
            const WallTime now = noon + std::chrono::seconds{number};
            must(registry.enrol(enrolment, stranger, now));
            keys.push_back(enrolment.key);
        }
        for (std::size_t i = 0; i < lighthouses_limit; ++i)
            must(registry.set_lighthouse(keys[i], public_endpoints, admin, noon));
        CHECK(registry.set_lighthouse(keys.back(), public_endpoints, admin, noon).error().code ==
              ErrorCode::Conflict);
        CHECK(must(registry.find_node(keys.back()))->role == Role::Node);
        const auto all = must(registry.lighthouses());
        REQUIRE(all.size() == lighthouses_limit);
        for (std::size_t i = 0; i < all.size(); ++i) CHECK(all[i].key == keys[i]);
        // One that there is may change, and one that goes leaves its place to another.
        must(registry.set_lighthouse(keys[0], {public_endpoints[0]}, admin, noon));
        must(registry.set_lighthouse(keys[0], {}, admin, noon));
        must(registry.set_lighthouse(keys.back(), public_endpoints, admin, noon));
    });
}

// --- several gateways ---

namespace {

// Of a store that several gateways share.
void for_each_shared_store(const std::function<void(Registry&)>& contract) {
    SUBCASE("in memory") {
        MemoryRegistry registry;
        contract(registry);
    }
    if (auto settings = empty_registry_in_etcd()) {
        SUBCASE("in etcd") {
            auto registry = must(EtcdRegistry::open(*settings, prefix, 10s));
            contract(*registry);
        }
    }
}

GatewayRecord announcement_of(std::uint8_t number, WallTime until) {
    return {.key = key_of(number),
            .endpoints = public_endpoints,
            .chain = {Bytes{number, 1, 2}, Bytes{3}},
            .serves_until = until};
}

}  // namespace

// A node would know one gateway, and be alone when that is gone; or hear of each every few minutes.
TEST_CASE("registry: gateways tell one another where they serve, and of a change only once") {
    for_each_shared_store([](Registry& registry) {
        CHECK(must(registry.gateways()).empty());
        CHECK(must(registry.gateways_revision()) == 0);
        const auto attested = must(registry.renew_gateway(key_of(8), noon + one_day));
        CHECK(must(registry.gateways()).empty());  // it has not said where
        REQUIRE(registry.announce_gateway(announcement_of(8, noon + 1h), noon));
        auto expected = announcement_of(8, noon + 1h);
        expected.attested = attested;
        expected.revision = must(registry.history()).newest;
        CHECK(expected.revision > 0);
        CHECK(must(registry.gateways()) == std::vector{expected});
        CHECK(must(registry.gateways_revision()) == expected.revision);
        CHECK(must(registry.nodes_since(0)).empty());

        REQUIRE(registry.announce_gateway(announcement_of(8, noon + 2h), noon + 1h));
        expected.serves_until = noon + 2h;
        CHECK(must(registry.gateways()) == std::vector{expected});
        CHECK(must(registry.history()).newest == expected.revision);

        auto moved = announcement_of(8, noon + 2h);
        moved.endpoints.pop_back();
        REQUIRE(registry.announce_gateway(moved, noon + 1h));
        const auto there = must(registry.gateways()).at(0);
        CHECK(there.endpoints == moved.endpoints);
        CHECK(there.revision > expected.revision);
        // What it is told with has changed.
        const auto renewed = must(registry.renew_gateway(key_of(8), noon + 2 * one_day));
        const auto again = must(registry.gateways()).at(0);
        CHECK(again.attested == renewed);
        CHECK(again.endpoints == moved.endpoints);
        CHECK(again.revision > there.revision);
        CHECK(must(registry.find_gateway(key_of(8))) == renewed);
    });
}

// Nodes would go on asking a machine that was given away long ago.
TEST_CASE("registry: a gateway that is silent for too long goes") {
    for_each_shared_store([](Registry& registry) {
        const auto attested = must(registry.renew_gateway(key_of(7), noon + one_day));
        REQUIRE(registry.announce_gateway(announcement_of(7, noon + 1h), noon));
        REQUIRE(registry.announce_gateway(announcement_of(8, noon + 3h), noon));
        CHECK(must(registry.gateways()).size() == 2);
        const auto before = must(registry.gateways_revision());
        REQUIRE(registry.announce_gateway(announcement_of(8, noon + 3h), noon + 59min));
        CHECK(must(registry.gateways_revision()) == before);
        REQUIRE(registry.announce_gateway(announcement_of(8, noon + 3h), noon + 1h));
        const auto left = must(registry.gateways());
        REQUIRE(left.size() == 1);
        CHECK(left[0].key == key_of(8));
        const auto gone = must(registry.gateways_revision());
        CHECK(gone > before);
        CHECK(must(registry.history()).newest == gone);
        CHECK(must(registry.find_gateway(key_of(7))) == attested);
        // It comes back.
        REQUIRE(registry.announce_gateway(announcement_of(7, noon + 4h), noon + 2h));
        CHECK(must(registry.gateways()).size() == 2);
        CHECK(must(registry.gateways_revision()) > gone);
    });
}

// A watcher would miss a revocation, or apply it before the enrolment.
TEST_CASE("registry: changes come in their order, each once") {
    for_each_store([](Registry& registry) {
        make_open_invite(registry, "many", 9);
        for (std::uint8_t number : {3, 1, 2})
            must(registry.enrol(enrolment_of(number, "many"), stranger, noon));
        auto changes = must(registry.nodes_since(0));
        REQUIRE(changes.size() == 3);
        CHECK(changes[0].key == key_of(3));
        CHECK(changes[2].key == key_of(2));
        const auto seen = changes.back().revision;
        CHECK(must(registry.nodes_since(seen)).empty());
        must(registry.revoke_node(key_of(3), admin, noon));
        changes = must(registry.nodes_since(seen));
        REQUIRE(changes.size() == 1);
        CHECK(changes[0].key == key_of(3));
        CHECK(changes[0].revoked.has_value());
    });
}

// Nobody could say afterwards who let a machine in.
TEST_CASE("registry: every decision is in the audit log") {
    for_each_store([](Registry& registry) {
        const auto invite = make_open_invite(registry, "one");
        must(registry.enrol(enrolment_of(1, "one"), stranger, noon));
        must(registry.enrol(enrolment_of(1, "one"), stranger, noon));  // nothing new
        must(registry.enrol(enrolment_of(2, "one"), stranger, noon));  // nothing done
        must(registry.revoke_node(key_of(1), admin, noon));
        must(registry.revoke_invite(invite.id, admin, noon));
        REQUIRE(registry.record({.time = noon,
                                 .event = "refused",
                                 .actor = stranger,
                                 .node = key_of(2),
                                 .detail = "invite-invalid"}));
        const auto entries = must(registry.audit(100));
        REQUIRE(entries.size() == 5);
        CHECK(entries[0].event == "invite-created");
        CHECK(entries[1] == AuditEntry{.number = 2,
                                       .time = noon,
                                       .event = "enrolled",
                                       .actor = stranger,
                                       .node = key_of(1),
                                       .invite = invite.id,
                                       .detail = "wish"});
        CHECK(entries[2].event == "node-revoked");
        CHECK(entries[2].actor == admin);
        CHECK(entries[3].event == "invite-revoked");
        CHECK(entries[4].node == key_of(2));
        CHECK(must(registry.audit(2)).front().number == 4);
    });
}

// `audit verify` would cry wolf for what a stranger has sent, or for entries that came meanwhile.
TEST_CASE("registry: the audit log is a chain that fits, whatever is in it") {
    for_each_store([](Registry& registry) {
        CHECK(!must(verify_audit(registry)).flaw);
        CHECK(must(registry.audit_head()) == AuditHead{});
        make_open_invite(registry, "one");
        must(registry.enrol(enrolment_of(1, "one"), stranger, noon));
        const auto before = must(registry.audit_head());
        CHECK(before.number == 2);
        for (const auto& detail : {std::string(2000, 'x'), std::string("\xff\0\x80\"\\", 5),
                                   std::string("\u00e4\n"), std::string()})
            REQUIRE(registry.record(
                {.time = noon, .event = "refused", .actor = stranger, .detail = detail}));
        const auto verdict = must(verify_audit(registry, before));
        if (verdict.flaw) FAIL(verdict.flaw->number << " " << verdict.flaw->what);
        CHECK(verdict.head.number == 6);
        CHECK(verdict.head == must(registry.audit_head()));
        const auto links = must(registry.audit_after(4, 1));
        REQUIRE(links.size() == 1);
        CHECK(links[0].entry.number == 5);
        CHECK(links[0].hash.has_value());
        auto other = before;
        other.hash[31] ^= 1;
        CHECK(must(verify_audit(registry, other)).flaw->number == 2);
        CHECK(must(verify_audit(registry, AuditHead{.number = 9})).flaw->number == 7);
    });
}

// An admin would revoke a mistyped id and believe it done.
TEST_CASE("registry: revoking an invite that is not there says so") {
    for_each_store([](Registry& registry) {
        CHECK(registry.revoke_invite("0123456789ab", admin, noon).error().code ==
              ErrorCode::NotFound);
        const auto invite = make_open_invite(registry, "one");
        const auto revoked = must(registry.revoke_invite(invite.id, admin, noon));
        CHECK(state_of(revoked, noon) == InviteState::Revoked);
        CHECK(must(registry.revoke_invite(invite.id, admin, noon + 9s)) == revoked);
    });
}

// --- approval ---

namespace {

InviteRecord make_guarded_invite(Registry& registry, std::string_view text,
                                 std::uint32_t uses = 1) {
    return must(registry.create_invite({.hash = hash_of(text),
                                        .uses = uses,
                                        .approval = Approval::Needed,
                                        .expires = noon + std::chrono::days{7}},
                                       admin, noon));
}

Waiting waiting_of(Decision decision) {
    if (auto* code = std::get_if<RefusalCode>(&decision)) FAIL(name_of(*code));
    REQUIRE(std::holds_alternative<Waiting>(decision));
    return std::get<Waiting>(decision);
}

InviteRecord only_invite(Registry& registry, WallTime now = noon) {
    return must(registry.invites(now)).at(0);
}

}  // namespace

// Whoever finds an image would be in before an admin has heard of him.
TEST_CASE("registry: an invite with approval lets nobody in by itself") {
    for_each_store([](Registry& registry) {
        make_guarded_invite(registry, "guarded");
        const auto waiting =
            waiting_of(must(registry.enrol(enrolment_of(1, "guarded"), stranger, noon)));
        CHECK(waiting.is_new);
        CHECK(waiting.node.from == stranger);
        CHECK(waiting.node.hostname == "wish");
        CHECK(!must(registry.find_node(key_of(1))));
        CHECK(must(registry.nodes_since(0)).empty());
        CHECK(must(registry.waiting(noon)) == std::vector{waiting.node});
        CHECK(state_of(only_invite(registry), noon) == InviteState::Reserved);
        const auto again =
            waiting_of(must(registry.enrol(enrolment_of(1, "guarded"), stranger, noon + 30s)));
        CHECK(!again.is_new);
        CHECK(again.node == waiting.node);
    });
}

// A waiting node would lose its place to whoever comes later with the same image.
TEST_CASE("registry: a use is reserved for the key that waits with it") {
    for_each_store([](Registry& registry) {
        make_guarded_invite(registry, "guarded", 2);
        waiting_of(must(registry.enrol(enrolment_of(1, "guarded"), stranger, noon)));
        waiting_of(must(registry.enrol(enrolment_of(2, "guarded"), stranger, noon)));
        CHECK(refusal_of(must(registry.enrol(enrolment_of(3, "guarded"), stranger, noon))) ==
              RefusalCode::InviteInvalid);
        const auto node = must(registry.approve(key_of(1), admin, noon + 60s));
        CHECK(node.is_member());
        CHECK(node.enrolled == noon + 60s);
        CHECK(node.attested_until == noon + 60s);  // the gateway renews it when the node comes
        CHECK(only_invite(registry).used == 1);
        CHECK(only_invite(registry).waiting == 1);
        const auto member =
            member_of(must(registry.enrol(enrolment_of(1, "guarded"), stranger, noon + 61s)));
        CHECK(!member.is_new);
        CHECK(member.node == node);
        CHECK(registry.approve(key_of(1), admin, noon).error().code == ErrorCode::NotFound);
        CHECK(refusal_of(must(registry.enrol(enrolment_of(3, "guarded"), stranger, noon))) ==
              RefusalCode::InviteInvalid);
    });
}

// A stranger's attempt would cost the machine that the invite is for its place.
TEST_CASE("registry: a rejected node frees its use, and is not asked about again") {
    for_each_store([](Registry& registry) {
        make_guarded_invite(registry, "guarded");
        waiting_of(must(registry.enrol(enrolment_of(1, "guarded"), stranger, noon)));
        const auto rejected = must(registry.reject(key_of(1), admin, noon + 5s));
        CHECK(rejected.rejected == noon + 5s);
        CHECK(must(registry.reject(key_of(1), admin, noon + 9s)) == rejected);
        CHECK(refusal_of(must(registry.enrol(enrolment_of(1, "guarded"), stranger, noon + 9s))) ==
              RefusalCode::ApprovalRefused);
        waiting_of(must(registry.enrol(enrolment_of(2, "guarded"), stranger, noon + 9s)));
        // Its use is another's now.
        CHECK(registry.approve(key_of(1), admin, noon + 9s).error().code == ErrorCode::Conflict);
        must(registry.reject(key_of(2), admin, noon + 10s));
        CHECK(must(registry.approve(key_of(1), admin, noon + 11s)).is_member());
        CHECK(registry.reject(key_of(9), admin, noon).error().code == ErrorCode::NotFound);
    });
}

// A machine that was switched on by mistake would hold an invite for ever.
TEST_CASE("registry: a reservation ends when nobody decides") {
    for_each_store([](Registry& registry) {
        make_guarded_invite(registry, "guarded");
        const auto first =
            waiting_of(must(registry.enrol(enrolment_of(1, "guarded"), stranger, noon)));
        const WallTime later = first.node.expires;
        CHECK(only_invite(registry, later - 1s).waiting == 1);
        CHECK(only_invite(registry, later).waiting == 0);
        CHECK(must(registry.waiting(later)).empty());
        CHECK(registry.approve(key_of(1), admin, later).error().code == ErrorCode::NotFound);
        waiting_of(must(registry.enrol(enrolment_of(2, "guarded"), stranger, later)));
        CHECK(refusal_of(must(registry.enrol(enrolment_of(1, "guarded"), stranger, later))) ==
              RefusalCode::InviteInvalid);
        const auto entries = must(registry.audit(9));
        CHECK(entries[entries.size() - 2].event == "waiting-expired");
        CHECK(entries[entries.size() - 2].node == key_of(1));
    });
}

// Who was given a better invite would wait on with the worse one; or two uses would be his.
TEST_CASE("registry: a waiting node may come with another invite") {
    for_each_store([](Registry& registry) {
        make_guarded_invite(registry, "guarded");
        make_open_invite(registry, "open");
        waiting_of(must(registry.enrol(enrolment_of(1, "guarded"), stranger, noon)));
        CHECK(refusal_of(must(registry.enrol(enrolment_of(1, "unknown"), stranger, noon))) ==
              RefusalCode::InviteInvalid);
        CHECK(must(registry.waiting(noon)).size() == 1);
        CHECK(member_of(must(registry.enrol(enrolment_of(1, "open"), stranger, noon))).is_new);
        CHECK(must(registry.waiting(noon)).empty());
        for (const auto& invite : must(registry.invites(noon))) CHECK(invite.waiting == 0);
    });
}

// A leaked invite would go on filling the list after it was revoked.
TEST_CASE("registry: with its invite revoked nobody waits any more") {
    for_each_store([](Registry& registry) {
        const auto invite = make_guarded_invite(registry, "guarded", 9);
        waiting_of(must(registry.enrol(enrolment_of(1, "guarded"), stranger, noon)));
        waiting_of(must(registry.enrol(enrolment_of(2, "guarded"), stranger, noon)));
        must(registry.revoke_invite(invite.id, admin, noon));
        CHECK(must(registry.waiting(noon)).empty());
        CHECK(registry.approve(key_of(1), admin, noon).error().code == ErrorCode::NotFound);
        CHECK(refusal_of(must(registry.enrol(enrolment_of(1, "guarded"), stranger, noon))) ==
              RefusalCode::InviteInvalid);
    });
}

// One leaked image would fill the list, and no honest node could wait.
TEST_CASE("registry: one invite cannot fill the list of the waiting") {
    for_each_store([](Registry& registry) {
        make_guarded_invite(registry, "leaked", 1000);
        make_guarded_invite(registry, "honest", 1000);
        for (std::uint32_t i = 0; i < waiting_per_invite_limit; ++i)
            waiting_of(must(registry.enrol(enrolment_of(static_cast<std::uint8_t>(i), "leaked"),
                                           stranger, noon)));
        CHECK(refusal_of(must(registry.enrol(enrolment_of(200, "leaked"), stranger, noon))) ==
              RefusalCode::Busy);
        waiting_of(must(registry.enrol(enrolment_of(201, "honest"), stranger, noon)));
    });
}

// Strangers with many leaked images would fill the disk.
TEST_CASE("registry: the list of the waiting is bounded in all") {
    for_each_store([](Registry& registry) {
        constexpr std::uint32_t invites = waiting_limit / waiting_per_invite_limit;
        for (std::uint32_t invite = 0; invite <= invites; ++invite) {
            const std::string text = "leaked " + std::to_string(invite);
            make_guarded_invite(registry, text, 1000);
            for (std::uint32_t i = 0; i < waiting_per_invite_limit && invite < invites; ++i) {
                auto enrolment = enrolment_of(static_cast<std::uint8_t>(i), text);
                enrolment.key.bytes[1] = static_cast<std::uint8_t>(invite);
                enrolment.overlay_address = overlay_address(prefix, enrolment.key);
                waiting_of(must(registry.enrol(enrolment, stranger, noon)));
            }
        }
        const std::string one_more = "leaked " + std::to_string(invites);
        CHECK(refusal_of(must(registry.enrol(enrolment_of(255, one_more), stranger, noon))) ==
              RefusalCode::Busy);
    });
}

// Two nodes would get one address when both are approved.
TEST_CASE("registry: an address that somebody waits with is taken") {
    for_each_store([](Registry& registry) {
        make_guarded_invite(registry, "guarded", 2);
        waiting_of(must(registry.enrol(enrolment_of(1, "guarded"), stranger, noon)));
        auto colliding = enrolment_of(2, "guarded");
        colliding.overlay_address = overlay_address(prefix, key_of(1));
        CHECK(refusal_of(must(registry.enrol(colliding, stranger, noon))) ==
              RefusalCode::AddressTaken);
    });
}

// --- several at once ---

// One stranger's bad invite would undo the enrolments of those who came in the same moment.
TEST_CASE("registry: of several calls at once each stands or falls alone") {
    for_each_store([](Registry& registry) {
        make_open_invite(registry, "two", 2);
        make_guarded_invite(registry, "guarded");
        std::vector<Result<Decision>> decisions;
        REQUIRE(registry.batch([&] {
            for (const char* invite : {"two", "never existed", "two", "two", "guarded"})
                decisions.push_back(registry.enrol(
                    enrolment_of(static_cast<std::uint8_t>(decisions.size() + 1), invite), stranger,
                    noon));
            CHECK(registry.renew(key_of(9), noon).error().code == ErrorCode::NotFound);
        }));
        CHECK(member_of(must(decisions[0])).is_new);
        CHECK(refusal_of(must(decisions[1])) == RefusalCode::InviteInvalid);
        CHECK(member_of(must(decisions[2])).is_new);
        CHECK(refusal_of(must(decisions[3])) == RefusalCode::InviteInvalid);
        CHECK(waiting_of(must(decisions[4])).is_new);
        CHECK(must(registry.nodes_since(0)).size() == 2);
        CHECK(must(registry.waiting(noon)).size() == 1);
        CHECK(must(registry.audit(9)).size() == 5);
    });
}

// A node that waits would lose its place by a refusal that came in the same moment as a yes.
TEST_CASE("registry: of several calls at once a refused one leaves nothing behind") {
    for_each_store([](Registry& registry) {
        make_open_invite(registry, "open");
        make_guarded_invite(registry, "guarded");
        make_guarded_invite(registry, "full", 1000);
        for (std::uint32_t i = 0; i < waiting_per_invite_limit; ++i)
            waiting_of(must(registry.enrol(enrolment_of(static_cast<std::uint8_t>(100 + i), "full"),
                                           stranger, noon)));
        waiting_of(must(registry.enrol(enrolment_of(1, "guarded"), stranger, noon)));
        REQUIRE(registry.batch([&] {
            CHECK(refusal_of(must(registry.enrol(enrolment_of(1, "full"), stranger, noon))) ==
                  RefusalCode::Busy);
            member_of(must(registry.enrol(enrolment_of(2, "open"), stranger, noon)));
        }));
        CHECK(!waiting_of(must(registry.enrol(enrolment_of(1, "guarded"), stranger, noon))).is_new);
        CHECK(must(registry.find_node(key_of(2))).has_value());
    });
}

// --- retirement and shared keys ---

// A key that was lost and is found by somebody would still open the org.
TEST_CASE("registry: a retired key is refused with its own word, its address stays taken") {
    for_each_store([](Registry& registry) {
        make_open_invite(registry, "two", 2);
        const auto node =
            member_of(must(registry.enrol(enrolment_of(1, "two"), stranger, noon))).node;
        const auto retired = must(registry.retire_node(node.key, admin, noon + 5s));
        CHECK(retired.retired == noon + 5s);
        CHECK(!retired.is_member());
        CHECK(retired.revision > node.revision);
        CHECK(must(registry.retire_node(node.key, admin, noon + 9s)) == retired);
        CHECK(refusal_of(must(registry.enrol(enrolment_of(1, "two"), stranger, noon))) ==
              RefusalCode::Retired);
        CHECK(registry.renew(node.key, noon + one_day).error().code == ErrorCode::NotFound);
        auto heir = enrolment_of(2, "two");
        heir.overlay_address = node.overlay_address;
        CHECK(refusal_of(must(registry.enrol(heir, stranger, noon))) == RefusalCode::AddressTaken);
        // It turns out that the key was stolen.
        CHECK(must(registry.revoke_node(node.key, admin, noon + 9s)).revoked == noon + 9s);
        CHECK(refusal_of(must(registry.enrol(enrolment_of(1, "two"), stranger, noon))) ==
              RefusalCode::Revoked);
        CHECK(registry.retire_node(key_of(9), admin, noon).error().code == ErrorCode::NotFound);
    });
}

// An admin who looks a day later would see nothing of a cloned disk.
TEST_CASE("registry: a shared key is kept with its node") {
    for_each_store([](Registry& registry) {
        make_open_invite(registry, "one");
        must(registry.enrol(enrolment_of(1, "one"), stranger, noon));
        must(registry.mark_key_shared(key_of(1), "gateway", noon + 5s));
        CHECK(must(registry.find_node(key_of(1)))->key_shared == noon + 5s);
        CHECK(must(registry.find_node(key_of(1)))->is_member());
        CHECK(must(registry.audit(1))[0].event == "key-shared");
        CHECK(registry.mark_key_shared(key_of(9), "gateway", noon).error().code ==
              ErrorCode::NotFound);
    });
}
