#include "core/enrolment.h"

#include <doctest/doctest.h>

#include "fakes/org.h"

using namespace fortros;
using namespace fortros::fakes;

namespace {

// One node, one gateway, one connection; tests bend what the gateway says.
struct Conversation {
    SeededRandom random{11};
    FakeOrg org{random};
    FakeVerifier verifier{{org.signer.signer()}};
    PrivateKey node = crypto::make_private_key(random);
    PublicKey node_public = *crypto::public_key_of(node);
    WallTime now{std::chrono::seconds{1'800'000'000}};
    JudgeContext context{.node = node_public,
                         .gateway = org.gateway_public,
                         .chain_not_before = now - one_day,
                         .chain_not_after = now + one_day};
    Exporter exporter;
    std::optional<PendingRequest> pending;

    Conversation() {
        org.invites["invite-of-the-test"] = {};
        random.fill(exporter.writable());
    }

    HttpAnswer ask() {
        GatewayIdentity gateway;
        gateway.wireguard_key = org.gateway_public;
        gateway.exporter = exporter.duplicate();
        pending = *make_request(node, node_public, gateway, org.gateway_name,
                                {.boot_id = std::string(32, 'a')}, as_bytes("invite-of-the-test"),
                                random);
        return org.answer(serialize(pending->request).text(), exporter, now);
    }
    Result<Verdict> judge(const HttpAnswer& answer) {
        return judge_answer(answer, *pending, context, verifier);
    }
    // Why an answer that the gateway itself has bent, and proved, is not believed.
    std::string why_not(void (*tamper)(MembershipAnswer&)) {
        org.tamper = tamper;
        const auto verdict = judge(ask());
        return verdict ? "" : verdict.error().text();
    }
};

}  // namespace

TEST_CASE("a proved, consistent answer makes a member") {
    Conversation c;
    const auto verdict = c.judge(c.ask());
    REQUIRE(verdict);
    const auto& joined = std::get<Joined>(*verdict);
    CHECK(joined.answer.node == c.node_public);
    CHECK(joined.attestation.node == c.node_public);
}

// Who has stolen a gateway's TLS key, but not its WireGuard key, must get nowhere.
TEST_CASE("an answer without its proof, or changed after it, is untrusted") {
    Conversation c;
    HttpAnswer answer = c.ask();
    SUBCASE("no proof") { answer.headers.clear(); }
    SUBCASE("changed body") { answer.body += " "; }
    SUBCASE("changed status") { answer.status = 202; }
    SUBCASE("added Retry-After") { answer.headers.emplace_back("retry-after", "9"); }
    SUBCASE("another connection") {
        const HttpAnswer replayed = answer;
        c.random.fill(c.exporter.writable());
        c.ask();
        answer = replayed;
    }
    const auto verdict = c.judge(answer);
    REQUIRE(!verdict);
    CHECK(verdict.error().code == ErrorCode::Untrusted);
}

// A gateway that errs or was broken into must not be able to aim a node at its own overlay, at
// strangers, or at somebody else's address.
TEST_CASE("a proved answer is still checked against what the node knows") {
    Conversation c;
    CHECK(c.why_not([](MembershipAnswer& a) { a.node.bytes[0] ^= 1; }).contains("another node"));
    CHECK(c.why_not([](MembershipAnswer& a) {
               a.overlay_address = *IpAddress::parse("fd12:3456:789a::1");
           }).contains("does not follow from the node's key"));
    CHECK(c.why_not([](MembershipAnswer& a) { a.attestation.clear(); }).contains("wrong size"));
    CHECK(c.why_not([](MembershipAnswer& a) {
               a.attestation = a.peers[0].attestation;
           }).contains("another key or role"));
    CHECK(c.why_not([](MembershipAnswer& a) {
               a.peers[0].attestation.clear();
           }).contains("wrong size"));
    CHECK(c.why_not([](MembershipAnswer& a) {
               a.peers[0].role = Role::Lighthouse;
           }).contains("another key or role"));
    CHECK(c.why_not([](MembershipAnswer& a) {
               a.peers.clear();
           }).contains("gateway is not among the peers"));
    CHECK(c.why_not([](MembershipAnswer& a) {
               a.peers.push_back(a.peers[0]);
           }).contains("names a peer twice"));
    CHECK(c.why_not([](MembershipAnswer& a) {
               a.peers[0].endpoints = {*Endpoint::parse("[fd12:3456:789a::7]:51820")};
           }).contains("inside the overlay"));
    CHECK(c.why_not([](MembershipAnswer& a) {
               a.peers[0].endpoints = {*Endpoint::parse("127.0.0.1:51820")};
           }).contains("not an address of a host"));
    CHECK(c.why_not([](MembershipAnswer& a) {
               a.peers[0].overlay_address = a.overlay_address;
           }).contains("does not follow from its key"));
    CHECK(c.why_not([](MembershipAnswer& a) { a.signers.clear(); }).contains("unknown signer"));
    CHECK(c.why_not([](MembershipAnswer& a) {
               a.signers[0][5] ^= 1;
           }).contains("not the organisation's"));
    CHECK(c.why_not([](MembershipAnswer&) {}).empty());
}

namespace {

// What an answer with such a document comes to.
std::string with_document(Conversation& c, std::function<void(OrgDocument&)> tamper) {
    c.org.tamper_with_document = std::move(tamper);
    const auto verdict = c.judge(c.ask());
    if (!verdict) return verdict.error().text();
    if (const auto* rejected = std::get_if<Rejected>(&*verdict))
        return std::string(name_of(rejected->refusal.code));
    return "joined";
}

}  // namespace

// Policy and prefix change by the org document and by nothing else, and never back.
TEST_CASE("an answer without a sound and current org document is untrusted") {
    Conversation c;
    CHECK(c.why_not([](MembershipAnswer& a) { a.document.clear(); }).contains("org document"));
    CHECK(c.why_not([](MembershipAnswer& a) {
               a.document.back() ^= 1;
           }).contains("signature is wrong"));
    CHECK(c.why_not([](MembershipAnswer& a) {
               a.domain = "example.net";
           }).contains("not that of the org document"));
    c.org.tamper = nullptr;
    c.context.document_serial = 5;
    CHECK(with_document(c, [](OrgDocument& d) { d.serial = 4; }).contains("older than one"));
    CHECK(with_document(c, [](OrgDocument& d) { d.serial = 5; }) == "joined");
    CHECK(with_document(c, [](OrgDocument& d) { d.serial = 6; }) == "joined");
}

// An overlay of other addresses is another overlay: only the org's own word may lead there, once.
TEST_CASE("the prefix changes by a newer org document only, and never where the image pins it") {
    Conversation c;
    c.context.prefix = *OrgPrefix::parse("fd00:1111:2222::/48");
    c.context.document_serial = 5;
    c.org.document_serial = 5;
    CHECK(
        c.why_not([](MembershipAnswer&) {}).contains("changes the organisation's overlay prefix"));
    c.org.document_serial = 6;
    CHECK(c.why_not([](MembershipAnswer&) {}).empty());
    c.context.pinned_prefix = c.context.prefix;
    CHECK(
        c.why_not([](MembershipAnswer&) {}).contains("changes the organisation's overlay prefix"));
    c.context.pinned_prefix = c.org.prefix;
    CHECK(c.why_not([](MembershipAnswer&) {}).empty());
}

// What is revoked must not come back by way of a gateway that has not heard of it, or does not want to.
TEST_CASE("an org document revokes peers, and this node itself") {
    Conversation c;
    CHECK(with_document(c, [&](OrgDocument& d) {
              d.revoked = {c.org.gateway_public};
          }).contains("a peer is revoked"));
    CHECK(with_document(c, [&](OrgDocument& d) { d.revoked = {c.node_public}; }) == "revoked");
}

// The org has replaced a signer whose key was stolen: what the thief signs must be worth nothing.
TEST_CASE("a disowned signer's word is not taken") {
    Conversation c;
    c.org.signer = FakeSigner(c.now - one_day);
    FakeVerifier both({c.org.signer.signer()});
    const auto judged = [&] {
        const auto answer = c.ask();
        const auto verdict = judge_answer(answer, *c.pending, c.context, both);
        return verdict ? "" : verdict.error().text();
    };
    CHECK(judged().empty());
    c.context.signers_since = c.now;
    CHECK(judged().contains("unknown signer"));
    c.context.signers_since = c.now - one_day;
    CHECK(judged().empty());
}

// An attestation that was replaced, with another role perhaps, is still signed.
TEST_CASE("an attestation older than one seen before is untrusted") {
    Conversation c;
    c.context.attestation_serial = 1;
    CHECK(c.why_not([](MembershipAnswer&) {}).empty());
    c.context.attestation_serial = 2;
    CHECK(c.why_not([](MembershipAnswer&) {}).contains("older than one seen before"));
}

// The next boot comes up from this set before anybody has answered.
TEST_CASE("a member gets a bootstrap set, checked, with the certificate that checks it again") {
    Conversation c;
    const auto verdict = c.judge(c.ask());
    REQUIRE(verdict);
    const auto& joined = std::get<Joined>(*verdict);
    REQUIRE(joined.bootstrap);
    CHECK(joined.bootstrap_problem.empty());
    CHECK(joined.bootstrap->node == c.node_public);
    CHECK(joined.bootstrap->not_after == c.now + bootstrap_set_life);
    REQUIRE(joined.bootstrap->peers.size() == 1);
    CHECK(joined.bootstrap->peers[0].key == c.org.gateway_public);
    const auto signer = c.verifier.verify(joined.bootstrap_signer, c.now);
    REQUIRE(signer);
    CHECK(check_bootstrap_set(joined.answer.bootstrap, {*signer}, c.org.prefix, c.node_public,
                              c.now + 13 * one_day));
}

// A gateway whose own clock is wrong would set that of every node that asks it, and a thief's his.
TEST_CASE("a time that cannot be is not believed") {
    Conversation c;
    const auto why_not = [&c](std::chrono::seconds away) {
        c.org.tamper = [away](MembershipAnswer& a) { a.time += away; };
        const auto verdict = c.judge(c.ask());
        return verdict ? "" : verdict.error().text();
    };
    const std::chrono::seconds a_day = one_day;
    CHECK(why_not(-a_day).empty());
    CHECK(why_not(a_day).empty());
    CHECK(why_not(-a_day - 1s).contains("before its own certificate chain begins"));
    CHECK(why_not(a_day + 1s).contains("after its own certificate chain has ended"));
    c.context.clock_floor = c.now - 1h;
    CHECK(why_not(-1h).empty());
    CHECK(why_not(-1h - 1s).contains("before a time that surely is past"));
    CHECK(why_not(-1h - 1s).contains(to_rfc3339(c.now - 1h - 1s)));
}

// With an empty battery every member's attestation would be judged by a clock of 1970, and what was
// stolen long ago and has ended would be good for ever.
TEST_CASE("an answer is judged at its own time, which is not before what surely is past") {
    Conversation c;
    std::chrono::seconds left{};
    std::chrono::seconds away{};
    c.org.tamper = [&](MembershipAnswer& a) {
        a.attestation = c.org.signer.attest(a.prefix, a.node, a.role, a.time + left);
        a.time += away;
    };
    const auto why_not = [&](std::chrono::seconds life) {
        left = life;
        const auto verdict = c.judge(c.ask());
        return verdict ? "" : verdict.error().text();
    };
    CHECK(why_not(0s).empty());
    CHECK(why_not(-1s).contains("attestation expired at"));
    // A time at which it was good still does not help it.
    away = -1h;
    CHECK(why_not(-1h).empty());
    c.context.clock_floor = c.now - 1h + 1s;
    CHECK(why_not(-1h).contains("before a time that surely is past"));
}

// A gateway whose sets are wrong makes the next boot slower; it must not end this one.
TEST_CASE("a bootstrap set that does not check is absent, and the node a member all the same") {
    Conversation c;
    const auto problem = [&c] {
        const auto verdict = c.judge(c.ask());
        REQUIRE_MESSAGE(verdict, (verdict ? "" : verdict.error().text()));
        const auto& joined = std::get<Joined>(*verdict);
        CHECK(!joined.bootstrap);
        CHECK(joined.answer.bootstrap.empty());
        CHECK(joined.bootstrap_signer.empty());
        return joined.bootstrap_problem;
    };
    const auto with_set = [&](void (*tamper)(BootstrapSet&)) {
        c.org.tamper_with_set = tamper;
        return problem();
    };
    CHECK(with_set([](BootstrapSet& s) { s.prefix.bytes[5] ^= 1; }).contains("another org"));
    CHECK(with_set([](BootstrapSet& s) { s.node = s.peers[0].key; }).contains("another node"));
    CHECK(with_set([](BootstrapSet& s) { s.role = Role::Lighthouse; }).contains("another role"));
    CHECK(with_set([](BootstrapSet& s) { s.not_after += 2 * one_day; }).contains("lives longer"));
    CHECK(with_set([](BootstrapSet& s) { s.peers.clear(); }).contains("no peer"));
    c.org.tamper_with_set = nullptr;
    c.org.tamper = [](MembershipAnswer& a) { a.bootstrap.back() ^= 1; };
    CHECK(problem().contains("signature is wrong"));
    c.org.tamper = [](MembershipAnswer& a) { a.bootstrap.resize(5000); };
    CHECK(problem().contains("too large"));
    c.org.tamper = [](MembershipAnswer& a) { a.bootstrap.clear(); };
    CHECK(problem().empty());
}

TEST_CASE("refusals come back as what they are") {
    Conversation c;
    c.org.refuse_all = RefusalCode::Revoked;
    auto verdict = c.judge(c.ask());
    REQUIRE(verdict);
    CHECK(std::get<Rejected>(*verdict).refusal.code == RefusalCode::Revoked);
    c.org.refuse_all = RefusalCode::ApprovalPending;
    c.org.retry_after = 12;
    verdict = c.judge(c.ask());
    REQUIRE(verdict);
    CHECK(std::get<NotYet>(*verdict).retry_after_seconds == 12);
}
