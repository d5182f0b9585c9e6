// What an answer has signed: attestations, the org document, bootstrap sets.
#include "unit/gateway/admission_world.h"

using namespace fortros;
using namespace fortros::gateway;

// After a month a node would no longer be believed by any peer.
TEST_CASE("admission: an attestation is renewed once half of its life is gone") {
    AdmissionWorld world;
    FakeNode node(2);
    const auto first = world.check(world.enrolled(node));
    const auto later = noon + std::chrono::days{16};
    auto answer = world.handle(node.join(world.gateway.public_key), later);
    REQUIRE(answer.status == 200);
    const auto membership = *parse_membership_answer(answer.body);
    const auto renewed = world.check(membership, later);
    CHECK(renewed->serial > first->serial);
    CHECK(renewed->not_after == later + std::chrono::days{30});
    CHECK(check_attestation(membership.peers[0].attestation, {world.signer->facts()}, world.prefix,
                            later)
              ->not_after == later + std::chrono::days{30});
    const auto writes = world.registry.writes;
    world.handle(node.join(world.gateway.public_key), later + one_day);
    CHECK(world.registry.writes == writes);
}

// A full disk would keep members out that the registry knows.
TEST_CASE("admission: a renewal that can't be stored does not keep a member out") {
    AdmissionWorld world;
    FakeNode node(2);
    const auto first = world.check(world.enrolled(node));
    world.registry.fault = Error{ErrorCode::Exhausted, "disk full"};
    auto answer = world.handle(node.join(world.gateway.public_key), noon + std::chrono::days{16});
    REQUIRE(answer.status == 200);
    CHECK(world.check(*parse_membership_answer(answer.body))->serial == first->serial);
    // But not beyond its end: nobody would believe it.
    answer = world.handle(node.join(world.gateway.public_key), noon + std::chrono::days{31});
    CHECK(answer.status == 503);
}

// After a power cut on a full disk nobody could come back, not even members.
TEST_CASE("admission: a gateway that starts anew uses the attestation that it had") {
    AdmissionWorld world;
    FakeNode node(2);
    const auto first = world.enrolled(node);
    world.registry.fault = Error{ErrorCode::Exhausted, "disk full"};
    world.restart();
    const auto answer = world.handle(node.join(world.gateway.public_key), noon + one_day);
    REQUIRE(answer.status == 200);
    const auto serial_of = [](const MembershipAnswer& membership) {
        return parse_attestation(membership.peers[0].attestation)->serial;
    };
    CHECK(serial_of(*parse_membership_answer(answer.body)) == serial_of(first));
}

// Near the end of the signer every join would be a write, and its members' words worth nothing.
TEST_CASE("admission: no attestation outlives its signer") {
    const auto end = noon + std::chrono::days{10};
    AdmissionWorld world(end);
    FakeNode node(2);
    CHECK(world.check(world.enrolled(node))->not_after == end);
    const auto writes = world.registry.writes;
    CHECK(world.handle(node.join(world.gateway.public_key), noon + one_day).status == 200);
    CHECK(world.registry.writes == writes);
    CHECK(world.handle(node.join(world.gateway.public_key), end).status == 503);
    CHECK(world.log.text().contains("signer"));
}

// A node takes neither answer nor set without it; and what is revoked must be known to all.
TEST_CASE("admission: every 200 carries the org document of the moment") {
    AdmissionWorld world;
    FakeNode node(2);
    const auto document_of = [&](const MembershipAnswer& answer, WallTime now) {
        const auto document = check_org_document(answer.document, {world.signer->facts()}, now);
        REQUIRE_MESSAGE(document, (document ? "" : document.error().text()));
        const auto set = parse_bootstrap_set(answer.bootstrap);
        REQUIRE(set);
        CHECK(set->policy_serial == document->serial);
        CHECK(set->revocation_number == document->revocation_number);
        return *document;
    };
    const auto joined = [&](WallTime now) {
        const auto answer = world.handle(node.join(world.gateway.public_key), now);
        REQUIRE_MESSAGE(answer.status == 200, answer.body);
        return document_of(*parse_membership_answer(answer.body), now);
    };
    const auto first = document_of(world.enrolled(node), noon);
    CHECK(first.prefix == world.prefix);
    CHECK(first.domain == "example.org");
    CHECK(first.revoked.empty());
    CHECK(!first.sources);

    FakeNode other(3);
    world.open_invite("fortros-invite-v1-BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB", 1);
    REQUIRE(world
                .handle(other.enroll(world.gateway.public_key,
                                     "fortros-invite-v1-BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"))
                .status == 200);
    REQUIRE(world.registry.revoke_node(other.public_key, "uid 0", noon));
    const auto second = joined(noon);
    CHECK(second.serial > first.serial);
    CHECK(second.revoked == std::vector{other.public_key});
    // Nobody would take the revoked node's attestation after its end, so nobody needs to hear of it.
    const WallTime later = noon + std::chrono::days{31};
    CHECK(joined(later).revoked.empty());

    const auto cached = SourceSet::only(Source::Cached);
    REQUIRE(world.registry.change_policy({.sources = cached}, "uid 0", later));
    CHECK(joined(later).sources == cached);
    // A gateway that still has the old signer must not go on as if nothing had happened.
    REQUIRE(world.registry.change_policy({.signers_since = later}, "uid 0", later));
    CHECK(world.handle(node.join(world.gateway.public_key), later).status == 503);
}

// Without it the next boot waits for a gateway; a wrong one would be refused there.
TEST_CASE("admission: every 200 carries a bootstrap set that the node can check") {
    AdmissionWorld world;
    FakeNode node(2);
    const auto check = [&](const MembershipAnswer& answer, WallTime now) {
        const auto set = check_bootstrap_set(answer.bootstrap, {world.signer->facts()},
                                             world.prefix, node.public_key, now);
        REQUIRE_MESSAGE(set, (set ? "" : set.error().text()));
        return *set;
    };
    const auto first = check(world.enrolled(node), noon);
    CHECK(first.role == Role::Node);
    CHECK(first.not_after == noon + bootstrap_set_life);
    REQUIRE(first.peers.size() == 1);
    CHECK(first.peers[0].key == world.gateway.public_key);
    CHECK(first.peers[0].role == Role::Gateway);
    CHECK(first.peers[0].endpoints == std::vector{*Endpoint::parse("198.51.100.1:51820")});
    CHECK(first.peers[0].keepalive_seconds == 25);
    const auto answer = world.handle(node.join(world.gateway.public_key), noon + one_day);
    REQUIRE(answer.status == 200);
    const auto second = check(*parse_membership_answer(answer.body), noon + one_day);
    CHECK(second.serial > first.serial);
    CHECK(second.not_after == first.not_after + one_day);
    CHECK(!should_replace(first, second, noon + one_day));
}

// A set that outlives its signer would be stored, and then refused when it is needed.
TEST_CASE("admission: a bootstrap set ends with its signer") {
    AdmissionWorld world(noon + std::chrono::days{5});
    FakeNode node(2);
    const auto set = parse_bootstrap_set(world.enrolled(node).bootstrap);
    REQUIRE(set);
    CHECK(set->not_after == noon + std::chrono::days{5});
}
