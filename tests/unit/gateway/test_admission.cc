// The protocol's server side over twins: every status, and what must have happened before it.
#include "gateway/admission.h"

#include <doctest/doctest.h>

#include "base/encoding.h"
#include "unit/gateway/fakes.h"
#include "unit/gateway/memory_registry.h"

using namespace fortros;
using namespace fortros::gateway;

namespace {

const WallTime noon{std::chrono::seconds{1'800'000'000}};
const std::string invite = "fortros-invite-v1-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

struct World {
    explicit World(WallTime signer_end = noon + std::chrono::days{365})
        : gateway(1), signer(make_fake_signer(noon - one_day, signer_end)) {
        restart();
        open_invite(invite, 1);
    }

    // The gateway's process ends and another begins.
    void restart() {
        GatewaySelf self{.prefix = prefix,
                         .domain = "example.org",
                         .private_key = gateway.key.duplicate(),
                         .public_key = gateway.public_key,
                         .endpoints = {*Endpoint::parse("198.51.100.1:51820")},
                         .keepalive_seconds = 25};
        admission.emplace(std::move(self),
                          Admission::Parts{registry, tunnels, *signer, random, log,
                                           [this](const auto&) { return vouched; }});
    }

    void open_invite(std::string_view text, std::uint32_t uses) {
        REQUIRE(registry.create_invite({.hash = hash_of_invite(as_bytes(text)),
                                        .uses = uses,
                                        .expires = noon + std::chrono::days{7}},
                                       "uid 0", noon));
    }

    std::uint32_t uses_of(std::string_view text) {
        const auto invites = registry.invites(noon);
        for (const auto& record : *invites)
            if (record.id == invite_id_of(hash_of_invite(as_bytes(text)))) return record.used;
        FAIL("no such invite");
        return 0;
    }

    // By way of the gate, and given as well, as nothing stands in the way of.
    Answer handle(const Request& request, WallTime now = noon) {
        Answer given;
        time = now;
        gate.handle(copy_of(request), [&](Answer answer) { given = std::move(answer); }, now);
        if (given.note) log.write(*given.note);
        return given;
    }

    MembershipAnswer enrolled(FakeNode& node, WallTime now = noon) {
        const auto answer = handle(node.enroll(gateway.public_key, invite), now);
        REQUIRE_MESSAGE(answer.status == 200, answer.body);
        return *parse_membership_answer(answer.body);
    }

    // What a node would think of the attestation in an answer.
    Result<Attestation> check(const MembershipAnswer& answer, WallTime now = noon) const {
        return check_attestation(answer.attestation, {signer->facts()}, prefix, now);
    }

    FakeNode gateway;  // its keys
    std::unique_ptr<AttestationSigner> signer;
    OrgPrefix prefix = *OrgPrefix::parse("fd12:3456:789a::/48");
    MemoryRegistry registry;
    FakeTunnels tunnels;
    SeededRandom random{7};
    MemoryLog log;
    // What the CA says of any other gateway.
    Result<Vouched> vouched = fail(ErrorCode::Untrusted, "nobody knows it");
    std::optional<Admission> admission;
    WallTime time = noon;
    ProofGate gate{
        gateway.key.duplicate(), gateway.public_key, log,
        [this](const Proved& proved, Reply reply) { reply(admission->handle(proved, time)); }};
};

RefusalCode code_of(const Answer& answer) { return parse_refusal(answer.status, answer.body).code; }

}  // namespace

// Nobody could ever enrol, or a node would be told something that it can't check.
TEST_CASE("admission: an invite and a proof make a member") {
    World world;
    FakeNode node(2);
    const auto request = node.enroll(world.gateway.public_key, invite);
    const auto answer = world.handle(request);
    REQUIRE(answer.status == 200);
    CHECK(node.is_proved(answer));
    CHECK(answer.progress == Progress::Enrolled);
    const auto membership = parse_membership_answer(answer.body);
    REQUIRE(membership);
    CHECK(membership->time == noon);
    CHECK(membership->node == node.public_key);
    CHECK(membership->overlay_address == overlay_address(world.prefix, node.public_key));
    CHECK(membership->hostname == "wish");
    CHECK(membership->domain == "example.org");
    CHECK(membership->signers == std::vector<Bytes>{world.signer->certificate()});
    const auto attestation = world.check(*membership);
    REQUIRE(attestation);
    CHECK(attestation->node == node.public_key);
    CHECK(attestation->role == Role::Node);
    CHECK(attestation->not_after == noon + std::chrono::days{30});
    REQUIRE(membership->peers.size() == 1);
    const auto& peer = membership->peers[0];
    CHECK(peer.key == world.gateway.public_key);
    CHECK(peer.role == Role::Gateway);
    CHECK(peer.overlay_address == overlay_address(world.prefix, peer.key));
    CHECK(peer.endpoints == std::vector{*Endpoint::parse("198.51.100.1:51820")});
    CHECK(peer.keepalive_seconds == 25);
    const auto own =
        check_attestation(peer.attestation, {world.signer->facts()}, world.prefix, noon);
    REQUIRE(own);
    CHECK(own->role == Role::Gateway);
    CHECK(own->node == world.gateway.public_key);
    CHECK(world.tunnels.peers.at(node.public_key).address == membership->overlay_address);
    CHECK(world.registry.find_node(node.public_key)->has_value());
}

// --- lighthouses ---

namespace {

const Endpoint lighthouse_endpoint = *Endpoint::parse("203.0.113.5:51820");

// Another member, at `endpoints`; one with a greater seed has enrolled later.
PublicKey make_lighthouse(World& world, std::uint64_t seed,
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

MembershipAnswer joined(World& world, FakeNode& node, WallTime now = noon) {
    const auto answer = world.handle(node.join(world.gateway.public_key), now);
    REQUIRE_MESSAGE(answer.status == 200, answer.body);
    return *parse_membership_answer(answer.body);
}

}  // namespace

// A node would have no way into the overlay but the one gateway that has answered it.
TEST_CASE("admission: every answer names the lighthouses, to all but themselves") {
    World world;
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
    World world;
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
    World world;
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
    World world;
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
    World world;
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
    World world;
    FakeNode node(2);
    world.enrolled(node);
    for (std::uint64_t seed = 3; seed < 3 + lighthouses_limit; ++seed) make_lighthouse(world, seed);
    const auto answer = joined(world, node);
    CHECK(answer.peers.size() == lighthouse_limit);
    CHECK(answer.peers[0].key == world.gateway.public_key);
}

// A node takes neither answer nor set without it; and what is revoked must be known to all.
TEST_CASE("admission: every 200 carries the org document of the moment") {
    World world;
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
    World world;
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
    World world(noon + std::chrono::days{5});
    FakeNode node(2);
    const auto set = parse_bootstrap_set(world.enrolled(node).bootstrap);
    REQUIRE(set);
    CHECK(set->not_after == noon + std::chrono::days{5});
}

// A node whose first answer was lost would be locked out by its own invite.
TEST_CASE("admission: the same key gets its 200 again, another key a 401") {
    World world;
    FakeNode node(2), other(3);
    const auto first = world.enrolled(node);
    const auto again = world.enrolled(node);
    CHECK(again.overlay_address == first.overlay_address);
    CHECK(world.check(again)->serial == world.check(first)->serial);
    const auto refused = world.handle(other.enroll(world.gateway.public_key, invite));
    CHECK(refused.status == 401);
    CHECK(code_of(refused) == RefusalCode::InviteInvalid);
    CHECK(other.is_proved(refused));
    CHECK(!world.tunnels.peers.contains(other.public_key));
    CHECK(!refused.progress);
}

// A returning org would wear out its disk, or find it too slow.
TEST_CASE("admission: a member joins without a write") {
    World world;
    FakeNode node(2);
    const auto enrolled = world.enrolled(node);
    const auto writes = world.registry.writes;
    const auto later = noon + std::chrono::days{14};
    for (int boot = 0; boot < 3; ++boot) {
        const auto answer = world.handle(node.join(world.gateway.public_key), later);
        REQUIRE(answer.status == 200);
        CHECK(node.is_proved(answer));
        CHECK(answer.progress == Progress::Joined);
        const auto membership = *parse_membership_answer(answer.body);
        CHECK(membership.time == later);
        CHECK(membership.overlay_address == enrolled.overlay_address);
        CHECK(world.check(membership, later)->serial == world.check(enrolled)->serial);
    }
    CHECK(world.registry.writes == writes);
}

// After a month a node would no longer be believed by any peer.
TEST_CASE("admission: an attestation is renewed once half of its life is gone") {
    World world;
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
    World world;
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
    World world;
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
    World world(end);
    FakeNode node(2);
    CHECK(world.check(world.enrolled(node))->not_after == end);
    const auto writes = world.registry.writes;
    CHECK(world.handle(node.join(world.gateway.public_key), noon + one_day).status == 200);
    CHECK(world.registry.writes == writes);
    CHECK(world.handle(node.join(world.gateway.public_key), end).status == 503);
    CHECK(world.log.text().contains("signer"));
}

// A stranger could learn which keys are members, or spend an invite that he only overheard.
TEST_CASE("admission: every wrong proof gets the same 401, whatever the key") {
    World world;
    FakeNode member(2), stranger(3);
    world.enrolled(member);
    const auto gateway = world.gateway.public_key;
    const auto reference = world.handle({.method = "POST", .target = "/v1/join"});
    REQUIRE(reference.status == 401);
    CHECK(code_of(reference) == RefusalCode::ProofInvalid);

    std::vector<Request> wrong;
    for (FakeNode* node : {&member, &stranger}) {
        const auto add = [&](auto change) {
            auto request = node->join(gateway);
            change(request);
            wrong.push_back(std::move(request));
        };
        add([](Request& it) { it.headers[1].second = to_base64(ByteArray<32>{}); });
        add([](Request& it) { it.headers[1].second.pop_back(); });
        add([](Request& it) { it.headers[1].second = ""; });
        add([](Request& it) { it.headers.pop_back(); });
        add([](Request& it) { it.headers.erase(it.headers.begin()); });
        add([](Request& it) { it.headers.push_back(it.headers[0]); });
        add([](Request& it) { it.headers.push_back(it.headers[1]); });
        add([](Request& it) { it.headers[0].second += "="; });
        add([](Request& it) { it.body = SecretBytes(std::string_view("{}")); });
        add([](Request& it) { it.target = enroll_target; });
        add([](Request& it) { it.exporter.writable()[0] ^= 1; });  // another connection
        add([&](Request& it) { it.headers[0].second = gateway.base64url(); });
        add([&](Request& it) {
            it.headers[0].second = (node == &member ? stranger : member).public_key.base64url();
        });
        // A point of low order: the key agreement itself fails.
        add([](Request& it) { it.headers[0].second = PublicKey{}.base64url(); });
    }
    for (const auto& request : wrong) {
        const auto answer = world.handle(request);
        CHECK(answer.status == reference.status);
        CHECK(answer.body == reference.body);
        CHECK(answer.headers == reference.headers);  // above all: no proof of the answer
    }
}

// A node would wait for ever instead of enrolling.
TEST_CASE("admission: a key that is not enrolled is told so") {
    World world;
    FakeNode node(2);
    const auto answer = world.handle(node.join(world.gateway.public_key));
    CHECK(answer.status == 401);
    CHECK(code_of(answer) == RefusalCode::UnknownNode);
    CHECK(node.is_proved(answer));
}

// A revoked node would go on as if nothing had happened.
TEST_CASE("admission: a revoked node gets a proved 403 on join and on enrol") {
    World world;
    FakeNode node(2);
    world.enrolled(node);
    REQUIRE(world.registry.revoke_node(node.public_key, "uid 0", noon));
    REQUIRE(world.tunnels.remove(node.public_key));
    world.open_invite("another-invite-entirely", 1);
    const auto check = [&](const Request& request) {
        const auto answer = world.handle(request);
        CHECK(answer.status == 403);
        CHECK(code_of(answer) == RefusalCode::Revoked);
        CHECK(node.is_proved(answer));
        CHECK(!world.tunnels.peers.contains(node.public_key));
    };
    check(node.join(world.gateway.public_key));
    check(node.enroll(world.gateway.public_key, "another-invite-entirely"));
    CHECK(world.uses_of("another-invite-entirely") == 0);
}

// Two nodes would share an address, or a node the gateway's.
TEST_CASE("admission: a taken address is a 409 and costs no invite") {
    World world;
    FakeNode node(2), other(3);
    SUBCASE("of another node") {
        world.open_invite("the-other-node's-invite", 1);
        REQUIRE(
            world.registry.enrol({.key = other.public_key,
                                  .overlay_address = overlay_address(world.prefix, node.public_key),
                                  .invite = hash_of_invite(as_bytes("the-other-node's-invite")),
                                  .attested_until = noon + one_day},
                                 "x", noon));
        const auto answer = world.handle(node.enroll(world.gateway.public_key, invite));
        CHECK(answer.status == 409);
        CHECK(node.is_proved(answer));
    }
    SUBCASE("of the gateway itself") {
        const auto answer = world.handle(world.gateway.enroll(world.gateway.public_key, invite));
        CHECK(answer.status == 409);
    }
    CHECK(world.uses_of(invite) == 0);
}

// A node with a bug would be told to come back later, for ever.
TEST_CASE("admission: what can't be read is a proved 400") {
    World world;
    FakeNode node(2);
    const auto ask = [&](std::string_view target, std::string_view body) {
        const auto answer = world.handle(node.ask(world.gateway.public_key, target, body));
        CHECK(node.is_proved(answer));
        CHECK_MESSAGE(answer.status == 400, body);
    };
    const std::string boot = R"("boot_id":"0123456789abcdef0123456789abcdef")";
    ask(join_target, "");
    ask(join_target, "[]");
    ask(join_target, "{\"version\":1");
    ask(join_target, "{\"version\":2," + boot + "}");
    ask(join_target, R"({"version":1})");
    ask(join_target, "{\"version\":1," + boot + R"(,"hostname":"-bad-"})");
    ask(join_target, std::string(1000, '['));
    ask(join_target, "{\"version\":1," + boot + R"(,"sealed_invite":"AAAAAAAAAAAAAAAAAAAA"})");
    ask(enroll_target, "{\"version\":1," + boot + "}");
    // In the clear, or sealed for nobody: whoever sends it so has shown it to others.
    ask(enroll_target, "{\"version\":1," + boot + R"(,"invite":")" + invite + "\"}");
    ask(enroll_target, "{\"version\":1," + boot + R"(,"sealed_invite":"AAAA"})");
    ask(enroll_target,
        "{\"version\":1," + boot + R"(,"sealed_invite":")" + to_base64(Bytes(60)) + "\"}");
}

// A node would take a full disk for a refusal, or be told yes and then be forgotten.
TEST_CASE("admission: when the registry fails, the node is told to come back") {
    World world;
    FakeNode node(2);
    for (auto [code, longest] : {std::pair{ErrorCode::Busy, 4U}, {ErrorCode::Exhausted, 29U}}) {
        world.registry.fault = Error{code, "database or disk is full"};
        const auto answer = world.handle(node.enroll(world.gateway.public_key, invite));
        CHECK(answer.status == 503);
        CHECK(code_of(answer) == RefusalCode::Busy);
        CHECK(node.is_proved(answer));
        REQUIRE(header_of(answer, "Retry-After") != nullptr);
        const auto seconds = std::stoul(*header_of(answer, "Retry-After"));
        CHECK(seconds >= 1);
        CHECK(seconds <= longest);
        CHECK(!world.tunnels.peers.contains(node.public_key));
    }
    CHECK(world.log.text().contains("disk is full"));
    world.registry.fault.reset();
    world.enrolled(node);
}

// A node would be sent away at once, though its tunnel is not there.
TEST_CASE("admission: without its peer in the kernel a node is not told yes") {
    World world;
    FakeNode node(2);
    world.tunnels.fault = Error{ErrorCode::Io, "netlink"};
    CHECK(world.handle(node.enroll(world.gateway.public_key, invite)).status == 503);
    world.tunnels.fault.reset();
    world.enrolled(node);  // the invite was spent by this very key
    CHECK(world.tunnels.peers.contains(node.public_key));
}

// A node that rebooted, or once ran with its clock ahead, would be dropped by the kernel for ever;
// and a node whose tunnel lives would see it blink at every join.
TEST_CASE("admission: a peer without a live session is made anew, a live one is left alone") {
    World world;
    FakeNode node(2);
    world.enrolled(node);
    REQUIRE(world.tunnels.resets == 1);
    auto& peer = world.tunnels.peers.at(node.public_key);
    const auto resets_after = [&](std::optional<WallTime> handshake, bool stepped_back) {
        peer.last_handshake = handshake;
        const auto before = world.tunnels.resets;
        REQUIRE(world.handle(node.join(world.gateway.public_key, stepped_back)).status == 200);
        return world.tunnels.resets - before;
    };
    CHECK(resets_after(std::nullopt, false) == 1);
    CHECK(resets_after(noon, false) == 0);
    CHECK(resets_after(noon - 179s, false) == 0);
    CHECK(resets_after(noon - 180s, false) == 1);
    CHECK(resets_after(noon + 1h, false) == 1);  // the gateway's own clock was ahead
    CHECK(resets_after(noon, true) == 1);
    // A reboot within the life of the old session, perhaps with the clock set back meanwhile.
    node.boot_id = "00000000000000000000000000000001";
    CHECK(resets_after(noon, false) == 1);
    CHECK(resets_after(noon, false) == 0);
    world.tunnels.peers.clear();
    REQUIRE(world.handle(node.join(world.gateway.public_key)).status == 200);
    CHECK(world.tunnels.peers.contains(node.public_key));
}

// The node has begun its session before it asked; and a gateway that has lost its kernel's peers since
// would say yes to a node that it then knows nothing of.
TEST_CASE(
    "admission: a session that the node tells of is left alone, where the kernel has its peer") {
    World world;
    FakeNode node(2);
    world.enrolled(node);
    const auto join_with_session = [&](bool stepped_back) {
        const NodeRequest body{.boot_id = "00000000000000000000000000000002",
                               .agent = "test 1",
                               .clock_stepped_back = stepped_back,
                               .has_session = true};
        const auto before = world.tunnels.resets;
        const auto answer =
            world.handle(node.ask(world.gateway.public_key, join_target, to_json_text(body)));
        REQUIRE(answer.status == 200);
        return world.tunnels.resets - before;
    };
    world.tunnels.peers.at(node.public_key).last_handshake = noon;
    CHECK(join_with_session(false) == 0);
    CHECK(join_with_session(true) == 1);
    world.tunnels.peers.clear();
    CHECK(join_with_session(false) == 0);
    CHECK(world.tunnels.peers.contains(node.public_key));
}

// WireGuard tells of all peers or of none: everybody who comes back after a power cut would cost what
// the whole org has, and the last ones would come back much later.
TEST_CASE("admission: nobody who boots, and nobody who has a session, has all peers read") {
    World world;
    FakeNode node(2);
    world.enrolled(node);
    for (const char boot : {'a', 'b'}) {
        node.boot_id = std::string(31, '0') + boot;
        REQUIRE(world.handle(node.join(world.gateway.public_key)).status == 200);
    }
    NodeRequest body{.boot_id = node.boot_id, .agent = "test 1", .has_session = true};
    REQUIRE(
        world.handle(node.ask(world.gateway.public_key, join_target, to_json_text(body))).status ==
        200);
    CHECK(world.tunnels.readings == 0);
    REQUIRE(world.handle(node.join(world.gateway.public_key)).status == 200);
    CHECK(world.tunnels.readings == 1);  // the same boot, and no word of a session
}

// The kernel remembers a handshake from the future for longer than the gateway runs.
TEST_CASE(
    "admission: a gateway that has started anew takes a node that it sees first for rebooted") {
    World world;
    FakeNode node(2);
    world.enrolled(node);
    world.tunnels.peers.at(node.public_key).last_handshake = noon;
    world.restart();
    const auto resets = world.tunnels.resets;
    REQUIRE(world.handle(node.join(world.gateway.public_key)).status == 200);
    CHECK(world.tunnels.resets == resets + 1);
    world.tunnels.peers.at(node.public_key).last_handshake = noon;
    REQUIRE(world.handle(node.join(world.gateway.public_key)).status == 200);
    CHECK(world.tunnels.resets == resets + 1);
}

// An admin could not say who was turned away, or a stranger could fill the disk by being turned away.
TEST_CASE("admission: refusals are recorded, within bounds") {
    World world;
    FakeNode node(2);
    const auto request = node.join(world.gateway.public_key);
    for (int i = 0; i < 500; ++i) world.handle(request);
    auto entries = *world.registry.audit(1000);
    CHECK(entries.size() == 1 + 60);  // the invite of the world, and a minute's worth
    CHECK(entries.back().event == "refused");
    CHECK(entries.back().node == node.public_key);
    CHECK(entries.back().actor == "203.0.113.9");
    CHECK(entries.back().detail == "unknown-node");
    CHECK(world.log.count("refused") == 60);
    world.handle(request, noon + 1min);
    CHECK(world.registry.audit(1)->back().detail == "unknown-node, and 440 not recorded before");
    for (int i = 0; i < 500; ++i) world.handle({.method = "POST", .target = "/v1/join"});
    CHECK(world.log.count("proof-invalid") == 20);
}

// Who reads the log would have the invite.
TEST_CASE("admission: no secret is logged or recorded") {
    World world;
    FakeNode node(2), other(3);
    world.enrolled(node);
    world.handle(other.enroll(world.gateway.public_key, invite));
    world.handle(node.ask(world.gateway.public_key, enroll_target, "{\"invite\":\"" + invite));
    std::string all = world.log.text();
    const auto entries = world.registry.audit(100);
    REQUIRE(entries->size() == 3);
    for (const auto& entry : *entries) all += entry.detail + entry.invite;
    const auto random_part = invite.substr(invite_prefix.size());
    CHECK(!all.contains(random_part));
    CHECK(!all.contains(to_base64(node.key.view())));
    CHECK(all.contains(invite_id_of(hash_of_invite(as_bytes(invite)))));
}

// --- approval, retirement, shared keys ---

namespace {

constexpr std::string_view guarded = "fortros-invite-v1-GGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGG";

void open_guarded_invite(World& world, std::uint32_t uses = 9) {
    REQUIRE(world.registry.create_invite({.hash = hash_of_invite(as_bytes(guarded)),
                                          .uses = uses,
                                          .approval = Approval::Needed,
                                          .expires = noon + std::chrono::days{7}},
                                         "uid 0", noon));
}

}  // namespace

// The node would give up, ask all the time, or show its owner an address that nobody approves.
TEST_CASE("admission: who needs approval is told to wait, and is let in once it is given") {
    World world;
    open_guarded_invite(world);
    FakeNode node(2);
    const auto ask = [&] { return world.handle(node.enroll(world.gateway.public_key, guarded)); };
    const auto answer = ask();
    CHECK(answer.status == 202);
    CHECK(node.is_proved(answer));
    const auto refusal = parse_refusal(answer.status, answer.body);
    CHECK(refusal.code == RefusalCode::ApprovalPending);
    CHECK(refusal.overlay_address == overlay_address(world.prefix, node.public_key));
    REQUIRE(header_of(answer, "Retry-After") != nullptr);
    const int seconds = std::stoi(*header_of(answer, "Retry-After"));
    CHECK(seconds >= 15);
    CHECK(seconds < 30);
    CHECK(world.tunnels.peers.empty());
    CHECK(world.log.count("waiting") == 1);
    CHECK(answer.progress == Progress::BeganToWait);
    const auto again = ask();
    CHECK(again.status == 202);
    CHECK(!again.progress);
    CHECK(world.log.count("waiting") == 1);  // asking again is no news

    world.restart();  // a power cut does not lose its place
    CHECK(ask().status == 202);
    REQUIRE(world.registry.approve(node.public_key, "uid 0", noon));
    const auto welcome = ask();
    REQUIRE(welcome.status == 200);
    CHECK(world.check(*parse_membership_answer(welcome.body)));
    CHECK(world.tunnels.peers.contains(node.public_key));
}

// A node that an admin has refused would come up, or would be told that its invite is bad.
TEST_CASE("admission: a rejected node is told so") {
    World world;
    open_guarded_invite(world);
    FakeNode node(2);
    world.handle(node.enroll(world.gateway.public_key, guarded));
    REQUIRE(world.registry.reject(node.public_key, "uid 0", noon));
    const auto answer = world.handle(node.enroll(world.gateway.public_key, guarded));
    CHECK(answer.status == 401);
    CHECK(code_of(answer) == RefusalCode::ApprovalRefused);
    CHECK(node.is_proved(answer));
}

// A waiting node could join without ever having been approved.
TEST_CASE("admission: a waiting node is no member") {
    World world;
    open_guarded_invite(world);
    FakeNode node(2);
    world.handle(node.enroll(world.gateway.public_key, guarded));
    const auto answer = world.handle(node.join(world.gateway.public_key));
    CHECK(answer.status == 401);
    CHECK(code_of(answer) == RefusalCode::UnknownNode);
}

// Nodes behind a flood of strangers would give up instead of coming back.
TEST_CASE("admission: a full list of the waiting asks for patience") {
    World world;
    open_guarded_invite(world, 1000);
    for (std::uint32_t i = 0; i < waiting_per_invite_limit; ++i) {
        FakeNode node(100 + i);
        REQUIRE(world.handle(node.enroll(world.gateway.public_key, guarded)).status == 202);
    }
    FakeNode late(2);
    const auto answer = world.handle(late.enroll(world.gateway.public_key, guarded));
    CHECK(answer.status == 429);
    CHECK(code_of(answer) == RefusalCode::Busy);
    CHECK(late.is_proved(answer));
    REQUIRE(header_of(answer, "Retry-After") != nullptr);
    CHECK(std::stoi(*header_of(answer, "Retry-After")) >= 60);
    FakeNode honest(3);
    CHECK(world.handle(honest.enroll(world.gateway.public_key, invite)).status == 200);
}

// The lost key of a retired node would still open the org.
TEST_CASE("admission: a retired node is refused with its own word") {
    World world;
    FakeNode node(2);
    world.enrolled(node);
    REQUIRE(world.registry.retire_node(node.public_key, "uid 0", noon));
    for (const auto& request :
         {node.join(world.gateway.public_key), node.enroll(world.gateway.public_key, invite)}) {
        const auto answer = world.handle(request);
        CHECK(answer.status == 403);
        CHECK(code_of(answer) == RefusalCode::Retired);
    }
}

// Nodes join once a boot, and stay up for months: the clone would be known by then.
TEST_CASE("admission: two machines with one key show in the feed, one that reboots does not") {
    World world;
    FakeNode node(2);
    world.enrolled(node);
    const auto boots = [&](char id) {
        node.boot_id = std::string(32, id);
        REQUIRE(world.handle(node.join(world.gateway.public_key)).status == 200);
    };
    const auto polls = [&](char id) {
        world.admission->has_seen(node.public_key, std::string(32, id), noon);
    };
    for (const char id : {'a', 'b', 'c', 'd', 'e'}) {
        boots(id);
        for (int i = 0; i < 3; ++i) polls(id);
    }
    CHECK(world.log.count("key-shared") == 0);
    polls('d');
    CHECK(world.log.count("key-shared") == 1);
    CHECK(world.registry.find_node(node.public_key).value()->key_shared == noon);
    polls('e');
    polls('d');
    CHECK(world.log.count("key-shared") == 1);  // not at every turn
}

// Two copies of one disk would fight for one tunnel, and nobody would know.
TEST_CASE("admission: boots that take turns with one key are reported, and served") {
    World world;
    FakeNode node(2);
    world.enrolled(node);
    FakeNode copy(2);
    copy.boot_id = std::string(32, 'c');
    const auto join = [&](FakeNode& who, WallTime now) {
        REQUIRE(world.handle(who.join(world.gateway.public_key), now).status == 200);
    };
    join(copy, noon + 1s);  // a reboot, for all we know
    CHECK(world.log.count("key-shared") == 0);
    join(node, noon + 2s);
    CHECK(world.log.count("key-shared") == 1);
    CHECK(world.registry.find_node(node.public_key).value()->key_shared == noon + 2s);
    join(copy, noon + 3s);
    join(node, noon + 4s);
    CHECK(world.log.count("key-shared") == 1);  // not at every turn
    join(copy, noon + 2h);
    CHECK(world.log.count("key-shared") == 2);
    const auto entries = world.registry.audit(1);
    CHECK(entries->at(0).event == "key-shared");
    // A registry that can't be written keeps nobody out.
    world.registry.fault = Error{ErrorCode::Exhausted, "disk full"};
    join(node, noon + 4h);
    CHECK(world.log.count("key-shared") == 3);
}
