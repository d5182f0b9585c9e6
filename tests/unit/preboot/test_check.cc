#include "preboot/check.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace fortros;

using Kind = Finding::Kind;

static const WallTime today = *from_rfc3339("2026-11-22T10:00:00Z");

// Settings and a machine at which nothing is wrong.
struct Case {
    explicit Case(const std::string& more = "") {
        auto parsed =
            parse_settings("[Organisation]\nGatewayName=gateway.example.org\n" + more, "t");
        REQUIRE(parsed);
        settings = std::move(*parsed);
    }

    Settings settings;
    CheckFacts facts{.now = today,
                     .newest_not_before = today - std::chrono::days{100},
                     .latest_not_after = today + std::chrono::days{1000},
                     .has_invite = true,
                     .links = {"eth0"}};

    // The only finding that has `part` in its words; checks that it says what to do.
    Finding finding(std::string_view part) const {
        Finding found;
        std::size_t number = 0;
        for (const auto& each : check(settings, facts)) {
            CHECK(!each.act.empty());
            CHECK((each.kind == Kind::Error) == (each.status != ExitStatus::Joined));
            if (!each.what.contains(part)) continue;
            found = each;
            ++number;
        }
        CAPTURE(part);
        CHECK(number == 1);
        return found;
    }
    ExitStatus status() const { return status_of(check(settings, facts)); }
};

// Warnings that are always there are not read.
TEST_CASE("of sound settings there is nothing to say") {
    CHECK(check(Case().settings, Case().facts).empty());
    const Case opsec("Gateways=203.0.113.5 203.0.113.6\n[Discovery]\nSources=cached\n");
    CHECK(check(opsec.settings, opsec.facts).empty());
}

// The image is rolled out, and every node refuses its own gateway.
TEST_CASE("a CA that has ended, ends soon or has not begun is told of") {
    Case it;
    it.facts.latest_not_after = today - 1s;
    CHECK(it.finding("ended on").status == ExitStatus::TrustAnchorInvalid);
    it.facts.latest_not_after = today + std::chrono::days{10};
    CHECK(it.finding("ends on").kind == Kind::Warning);
    it.facts.latest_not_after = today + std::chrono::days{1000};
    it.facts.newest_not_before = today + std::chrono::days{1};
    CHECK(it.finding("begins on").status == ExitStatus::TrustAnchorInvalid);
    it.facts.anchors = 2;
    CHECK(it.finding("begins on").kind == Kind::Warning);
    CHECK(it.status() == ExitStatus::Joined);
}

// A build machine with a wrong clock makes images whose nodes live in the future.
TEST_CASE("a build time that has not come yet is an error") {
    const Case it("[Clock]\nBuildTime=2027-01-01T00:00:00Z\n");
    CHECK(it.finding("BuildTime=").kind == Kind::Error);
}

// Nobody notices that the invite was forgotten, or that everybody can read it.
TEST_CASE("an invite that is missing or public is told of") {
    Case it;
    it.facts.invite_is_public = true;
    CHECK(it.finding("read by others").kind == Kind::Warning);
    it.facts.has_invite = false;
    CHECK(it.finding("there is no invite").kind == Kind::Warning);
    CHECK(it.status() == ExitStatus::Joined);
}

// The key is gone at the second boot, and the invite is spent.
TEST_CASE("a store that does not last or is not root's is an error, one that is not here is not") {
    const Case volatile_one("[Node]\nKeyStore=file:/run/fortros/key\n");
    CHECK(volatile_one.finding("does not last").status == ExitStatus::KeyStoreFailed);
    Case it("[Node]\nKeyStore=file:/persist/key\nStateStore=file:/persist/state\n");
    it.facts.key_folder = StoreFolder::NotRoots;
    it.facts.state_folder = StoreFolder::Absent;
    CHECK(it.finding("KeyStore=file:/persist/key: its folder is not root's").kind == Kind::Error);
    CHECK(it.finding("StateStore=file:/persist/state: its folder is not here").kind == Kind::Hint);
    const Case ephemeral("[Node]\nKeyStore=ephemeral\n");
    CHECK(ephemeral.finding("anew at each boot").kind == Kind::Warning);
}

// It enrols where it is built up, and never comes up where it is deployed.
TEST_CASE("sources that can never work are told of") {
    Case cached("[Discovery]\nSources=cached\n");
    CHECK(cached.finding("Sources=cached without").status == ExitStatus::NoGateway);
    cached.facts.has_invite = false;  // it may be meant for nodes that are enrolled
    CHECK(cached.finding("Sources=cached without").kind == Kind::Warning);
    const Case forgetful("[Discovery]\nAfterEnrollment=cached\n[Node]\nStateStore=ephemeral\n");
    CHECK(forgetful.finding("the second boot").status == ExitStatus::NoGateway);
    const Case fixed("[Network]\nMode=static\nAddress=192.0.2.10/24\nGateway=192.0.2.1\n");
    CHECK(fixed.finding("has nobody to ask").kind == Kind::Warning);
}

// A prefix of another organisation, or an underlay address within it, keeps every answer out.
TEST_CASE("a prefix that does not fit is an error") {
    Case it("Prefix=fd12:3456:789a::/48\nGateways=[fd12:3456:789a::1]:443\n");
    CHECK(it.finding("within Prefix=").kind == Kind::Error);
    it.facts.remembered_prefix = OrgPrefix{};
    CHECK(it.finding("is not the one").status == ExitStatus::GatewayUntrusted);
    it.facts.remembered_prefix = it.settings.prefix;
    CHECK(check(it.settings, it.facts).size() == 1);
}

// The builder has other interfaces than the node: that must not stop a build.
TEST_CASE("a pattern that matches no interface here is a hint only") {
    Case it("[Network]\nInterfaces=enp* eth*\n");
    CHECK(it.finding("Interfaces=enp*").kind == Kind::Hint);
    CHECK(it.status() == ExitStatus::Joined);
}

TEST_CASE("the worst comes first, and each says what to do in a line of its own") {
    Case it("[Network]\nInterfaces=enp*\n[Node]\nKeyStore=file:/run/key\n");
    it.facts.has_invite = false;
    const auto findings = check(it.settings, it.facts);
    REQUIRE(findings.size() == 3);
    CHECK(findings[0].kind == Kind::Error);
    CHECK(findings[2].kind == Kind::Hint);
    const std::string text = to_text(findings);
    CHECK(text.starts_with("error:   "));
    CHECK(text.contains("\nwarning: "));
    CHECK(text.contains("\nhint:    "));
}
