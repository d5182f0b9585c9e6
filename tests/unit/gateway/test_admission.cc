// The protocol's server side over twins: who is let in, every status, and what must have happened before it.
#include "unit/gateway/admission_world.h"

using namespace fortros;
using namespace fortros::gateway;

// Nobody could ever enrol, or a node would be told something that it can't check.
TEST_CASE("admission: an invite and a proof make a member") {
    AdmissionWorld world;
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

// A node whose first answer was lost would be locked out by its own invite.
TEST_CASE("admission: the same key gets its 200 again, another key a 401") {
    AdmissionWorld world;
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
    AdmissionWorld world;
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

// A stranger could learn which keys are members, or spend an invite that he only overheard.
TEST_CASE("admission: every wrong proof gets the same 401, whatever the key") {
    AdmissionWorld world;
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
    AdmissionWorld world;
    FakeNode node(2);
    const auto answer = world.handle(node.join(world.gateway.public_key));
    CHECK(answer.status == 401);
    CHECK(code_of(answer) == RefusalCode::UnknownNode);
    CHECK(node.is_proved(answer));
}

// A revoked node would go on as if nothing had happened.
TEST_CASE("admission: a revoked node gets a proved 403 on join and on enrol") {
    AdmissionWorld world;
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
    AdmissionWorld world;
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
    AdmissionWorld world;
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
    AdmissionWorld world;
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
    AdmissionWorld world;
    FakeNode node(2);
    world.tunnels.fault = Error{ErrorCode::Io, "netlink"};
    CHECK(world.handle(node.enroll(world.gateway.public_key, invite)).status == 503);
    world.tunnels.fault.reset();
    world.enrolled(node);  // the invite was spent by this very key
    CHECK(world.tunnels.peers.contains(node.public_key));
}

// An admin could not say who was turned away, or a stranger could fill the disk by being turned away.
TEST_CASE("admission: refusals are recorded, within bounds") {
    AdmissionWorld world;
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
    AdmissionWorld world;
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
