#include "core/feed.h"

#include <doctest/doctest.h>

#include "base/encoding.h"
#include "fakes/org.h"

using namespace fortros;
using namespace fortros::fakes;

namespace {

// One node, one gateway, one connection, and an answer that the gateway has proved.
struct Conversation {
    SeededRandom random{11};
    FakeOrg org{random};
    PrivateKey node = crypto::make_private_key(random);
    PublicKey node_public = *crypto::public_key_of(node);
    FeedPosition since{7, 3};
    std::string boot_id = std::string(32, 'b');
    std::optional<PendingRequest> pending;

    Conversation() {
        GatewayIdentity gateway;
        gateway.wireguard_key = org.gateway_public;
        random.fill(gateway.exporter.writable());
        pending =
            *make_feed_request(node, node_public, gateway, org.gateway_name, since, 290s, boot_id);
    }
    HttpAnswer proved(int status, std::string body) const {
        HttpAnswer answer{.status = status, .body = std::move(body)};
        const auto proof =
            answer_proof(pending->proof_key, pending->proof, status, 0, as_bytes(answer.body));
        answer.headers.emplace_back("fortros-answer", to_base64(proof));
        return answer;
    }
    Result<FeedVerdict> judge(const HttpAnswer& answer) const {
        return judge_feed_answer(answer, *pending, since);
    }
};

constexpr std::string_view empty_page = R"({"revision":8,"members":[],"removed":[]})";

std::string why_not(std::string_view text) {
    const auto page = parse_feed_page(text);
    return page ? "" : page.error().text();
}

}  // namespace

// A gateway would refuse the question, or take its proof for that of another one.
TEST_CASE("feed: a node asks for what has changed since, and proves who it is") {
    const Conversation c;
    CHECK(c.pending->request.method == "GET");
    CHECK(c.pending->request.target == "/v1/members?since=7&document=3&wait=290&boot=" + c.boot_id);
    CHECK(c.pending->proof ==
          request_proof(c.pending->proof_key, "GET", c.pending->request.target, c.node_public, {}));
    const std::string wire(serialize(c.pending->request).text());
    CHECK(!wire.contains("Content-Type"));
    CHECK(wire.contains("Fortros-Node: " + c.node_public.base64url()));
}

// Whoever has stolen a gateway's TLS key could name members, and take others away.
TEST_CASE("feed: an answer without the gateway's proof is not believed") {
    const Conversation c;
    HttpAnswer answer = c.proved(200, std::string(empty_page));
    SUBCASE("no proof") { answer.headers.clear(); }
    SUBCASE("changed body") { answer.body += " "; }
    SUBCASE("changed status") { answer.status = 204; }
    const auto verdict = c.judge(answer);
    REQUIRE(!verdict);
    CHECK(verdict.error().code == ErrorCode::Untrusted);
}

TEST_CASE("feed: every kind of answer is told from the others") {
    const Conversation c;
    CHECK(std::holds_alternative<NothingNew>(*c.judge(c.proved(204, ""))));
    CHECK(std::get<FeedPage>(*c.judge(c.proved(200, std::string(empty_page)))).revision == 8);
    const auto revoked = c.judge(c.proved(403, R"({"error":"revoked","message":"thrown out"})"));
    CHECK(std::get<Rejected>(*revoked).refusal.code == RefusalCode::Revoked);
    const auto busy = c.judge(c.proved(503, R"({"error":"busy","message":"later"})"));
    CHECK(std::holds_alternative<NotYet>(*busy));
}

// The node would ask for the same page for ever, as fast as it can.
TEST_CASE("feed: more that comes no nearer is refused") {
    const Conversation c;
    CHECK(!c.judge(c.proved(200, R"({"revision":7,"more":true,"members":[],"removed":[]})")));
    CHECK(c.judge(c.proved(200, R"({"revision":9,"more":true,"members":[],"removed":[]})")));
    // Of a registry that came from a backup.
    CHECK(c.judge(
        c.proved(200, R"({"revision":2,"more":true,"reset":true,"members":[],"removed":[]})")));
}

TEST_CASE("feed: a page is read whole") {
    Conversation c;
    const MeshPeer peer{.key = c.node_public,
                        .role = Role::Lighthouse,
                        .overlay_address = overlay_address(c.org.prefix, c.node_public),
                        .endpoints = {*Endpoint::parse("192.0.2.7:51820")},
                        .keepalive_seconds = 25,
                        .attestation = Bytes(attestation_size, 7)};
    Json member = to_json(peer);
    member.set("hostname", "lamp");
    Json page{Json::Object{}};
    page.set("revision", 12);
    page.set("more", true);
    page.set("members", Json(Json::Array{member}));
    page.set("removed", Json(Json::Array{Json(c.org.gateway_public.base64())}));
    page.set("document_serial", 4);
    page.set("document", to_base64(as_bytes("a document")));
    page.set("signers", Json(Json::Array{Json(to_base64(as_bytes("a signer")))}));
    page.set("gateways", Json(Json::Array{to_json(peer)}));
    const auto read = parse_feed_page(page.dump());
    REQUIRE_MESSAGE(read, (read ? "" : read.error().text()));
    CHECK(read->more);
    CHECK(read->members == std::vector<MemberNews>{{peer, "lamp"}});
    CHECK(read->removed == std::vector{c.org.gateway_public});
    CHECK(as_text(read->document) == "a document");
    CHECK(read->signers.size() == 1);
    CHECK(read->gateways == std::vector{peer});
}

// What comes from outside is bounded, and said by name where it is wrong.
TEST_CASE("feed: a page that is none is refused by name") {
    CHECK(why_not("[]").contains("revision"));
    CHECK(why_not(R"({"revision":-1})").contains("revision"));
    CHECK(why_not(R"({"revision":1,"removed":["x"]})").contains("removed"));
    CHECK(why_not(R"({"revision":1,"members":[{}]})").contains("members[0]"));
    CHECK(why_not(R"({"revision":1,"document":"AAAA"})").contains("signers"));
    CHECK(why_not(R"({"revision":1,"document":"%"})").contains("document"));
    std::string many = R"({"revision":1,"removed":[)";
    for (std::size_t i = 0; i <= page_members_limit; ++i) many += i == 0 ? "1" : ",1";
    CHECK(why_not(many + "]}").contains("removed"));
}
