#include "core/messages.h"

#include <doctest/doctest.h>

#include "fakes/org.h"

using namespace fortros;

static constexpr const char* boot_id = "0123456789abcdef0123456789abcdef";

static MembershipAnswer some_answer() {
    SeededRandom random(3);
    const auto prefix = *OrgPrefix::parse("fd12:3456:789a::/48");
    const auto node = *crypto::public_key_of(crypto::make_private_key(random));
    const auto gateway = *crypto::public_key_of(crypto::make_private_key(random));
    MembershipAnswer answer{.time = WallTime{1'800'000'000s},
                            .node = node,
                            .overlay_address = overlay_address(prefix, node),
                            .hostname = "node-1",
                            .attestation = Bytes(attestation_size, 1),
                            .prefix = prefix,
                            .domain = "example.org",
                            .signers = {Bytes(400, 2)}};
    answer.peers.push_back({.key = gateway,
                            .role = Role::Gateway,
                            .overlay_address = overlay_address(prefix, gateway),
                            .endpoints = {*Endpoint::parse("203.0.113.5:51820"),
                                          *Endpoint::parse("[2001:db8::5]:51820")},
                            .keepalive_seconds = 25,
                            .attestation = Bytes(attestation_size, 3)});
    return answer;
}

// Both programs are built from this file, but not always from the same version of it.
TEST_CASE("requests and answers survive the way over the wire") {
    NodeRequest request{.sealed_invite = Bytes(60, 7),
                        .hostname = "node-1",
                        .boot_id = boot_id,
                        .agent = "fortros-preboot 0.1.0",
                        .clock_stepped_back = true,
                        .has_session = true};
    const auto read = parse_node_request(to_json_text(request));
    REQUIRE(read);
    CHECK(read->sealed_invite == request.sealed_invite);
    CHECK(read->hostname == request.hostname);
    CHECK(read->boot_id == request.boot_id);
    CHECK(read->clock_stepped_back);
    CHECK(read->has_session);

    const auto answer = some_answer();
    const auto back = parse_membership_answer(to_json_text(answer));
    REQUIRE(back);
    CHECK(back->time == answer.time);
    CHECK(back->node == answer.node);
    CHECK(back->hostname == answer.hostname);
    CHECK(back->attestation == answer.attestation);
    CHECK(back->signers == answer.signers);
    CHECK(back->peers == answer.peers);
    CHECK(back->prefix == answer.prefix);
}

TEST_CASE("a join carries no invite at all") {
    const auto text = to_json_text(NodeRequest{.boot_id = boot_id});
    CHECK(!text.contains("invite"));
    CHECK(parse_node_request(text)->sealed_invite.empty());
}

// A file with a stray character in it must not be sent to a gateway as if it were an invite.
TEST_CASE("an invite is trimmed and must look like one") {
    CHECK(parse_invite("  fortros-invite-v1-abc\n")->text() == "fortros-invite-v1-abc");
    for (const char* bad : {"", "short", "two words of an invite", "quote\"inside-an-invite"})
        CHECK_MESSAGE(!parse_invite(bad), bad);
    CHECK(!parse_invite(std::string(300, 'a')));
}

TEST_CASE("requests that are not whole and sound are refused") {
    for (
        const char* bad :
        {"", "{}", "[]", R"({"version":2,"boot_id":"0123456789abcdef0123456789abcdef"})",
         R"({"version":1})", R"({"version":1,"boot_id":"x"})",
         R"({"version":1,"boot_id":"0123456789abcdef0123456789abcdef","hostname":"-"})",
         R"({"version":1,"boot_id":"0123456789abcdef0123456789abcdef","sealed_invite":7})",
         R"({"version":1,"boot_id":"0123456789abcdef0123456789abcdef","sealed_invite":"not base64"})"})
        CHECK_MESSAGE(!parse_node_request(bad), bad);
}

// What a gateway of the future calls a bootstrap set may be unknown here: no reason to stay out.
TEST_CASE("an answer's bootstrap set is taken as it comes") {
    const std::string plain = to_json_text(some_answer());
    CHECK(!plain.contains("bootstrap"));
    const auto with = [&plain](std::string_view member) {
        const auto read = parse_membership_answer(
            plain.substr(0, plain.size() - 1).append(",\"bootstrap\":").append(member) + "}");
        REQUIRE(read);
        return read->bootstrap;
    };
    CHECK(with("\"AAEC\"") == Bytes{0, 1, 2});
    CHECK(with("\"AAE\"") == Bytes{'A', 'A', 'E'});
    CHECK(with("\"\"").empty());
    CHECK(with("7").empty());
    CHECK(with("\"" + std::string(9000, 'A') + "\"").size() == 6750);
    auto answer = some_answer();
    answer.bootstrap = {9, 8, 7};
    CHECK(parse_membership_answer(to_json_text(answer))->bootstrap == answer.bootstrap);
}

TEST_CASE("answers with a member missing, of a wrong kind or out of bounds are refused") {
    const std::string good = to_json_text(some_answer());
    auto without = [&](std::string_view what, std::string_view instead) {
        std::string text = good;
        const auto at = text.find(what);
        REQUIRE(at != std::string::npos);
        text.replace(at, what.size(), instead);
        return parse_membership_answer(text);
    };
    CHECK(!without("\"version\":1", "\"version\":2"));
    CHECK(!without("\"time\":1800000000", "\"time\":-1"));
    CHECK(!without("\"role\":\"gateway\"", "\"role\":\"king\""));
    CHECK(!without("fd12:3456:789a::/48", "2001:db8::/48"));
    CHECK(!without("203.0.113.5:51820", "203.0.113.5"));
    CHECK(!without("node-1", "no de"));
    auto crowded = some_answer();
    crowded.peers.resize(answer_peers_limit + 1, crowded.peers[0]);
    CHECK(!parse_membership_answer(to_json_text(crowded)));
}

// The status decides what a node does; a body must not be able to talk it into something else.
TEST_CASE("a refusal is read by its status first") {
    for (auto code : {RefusalCode::ProofInvalid, RefusalCode::InviteInvalid,
                      RefusalCode::UnknownNode, RefusalCode::Revoked, RefusalCode::AddressTaken,
                      RefusalCode::ApprovalPending, RefusalCode::Busy, RefusalCode::BadRequest}) {
        const auto text = to_json_text(Refusal{code, "because"});
        const auto read = parse_refusal(status_of(code), text);
        CHECK(read.code == code);
        CHECK(read.message == "because");
    }
    CHECK(parse_refusal(503, R"({"error":"revoked"})").code == RefusalCode::Busy);
    CHECK(parse_refusal(429, "").code == RefusalCode::Busy);
    CHECK(parse_refusal(500, "<html>").code == RefusalCode::BadRequest);
    CHECK(parse_refusal(403, "{\"message\":\"a\\u001b[31mb\"}").message == "a?[31mb");
}
