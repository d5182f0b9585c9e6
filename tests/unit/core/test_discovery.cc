#include "core/discovery.h"

#include <doctest/doctest.h>

using namespace fortros;

static const auto cached_1 = *Endpoint::parse("203.0.113.1:443");
static const auto cached_2 = *Endpoint::parse("203.0.113.2:443");
static const auto looked_up = *Endpoint::parse("203.0.113.9:443");

static DiscoveryPlan plan() {
    return {.sources = SourceSet::all(),
            .cached = {cached_1, cached_2},
            .public_resolvers = {{{*IpAddress::parse("9.9.9.9")}}},
            .dhcp_resolvers = {{{*IpAddress::parse("192.0.2.53")}}},
            .gateway_name = "gateway.example.org"};
}

template <typename T>
static const T* first(const std::vector<Discovery::Action>& actions) {
    for (const auto& action : actions)
        if (const auto* found = std::get_if<T>(&action)) return found;
    return nullptr;
}

static const Error refused{ErrorCode::Unreachable, "connection refused"};

// The order is the policy: what is nearest and quietest first.
TEST_CASE("candidates and sources are tried in order, the next at once when one fails") {
    Discovery discovery(plan());
    Instant now{};
    auto actions = discovery.start(now);
    REQUIRE(first<Discovery::Attempt>(actions));
    CHECK(first<Discovery::Attempt>(actions)->candidate.endpoint == cached_1);
    actions = discovery.attempt_failed(1, refused, now);
    CHECK(first<Discovery::GaveUp>(actions)->endpoint == cached_1);
    CHECK(first<Discovery::Attempt>(actions)->candidate.endpoint == cached_2);
    actions = discovery.attempt_failed(2, refused, now);
    REQUIRE(first<Discovery::Lookup>(actions));
    CHECK(first<Discovery::Lookup>(actions)->source == Source::PublicDns);
    actions = discovery.looked_up(3, std::vector{looked_up}, now);
    CHECK(first<Discovery::Attempt>(actions)->candidate ==
          Candidate{looked_up, Source::PublicDns});
    actions = discovery.attempt_failed(4, refused, now);
    CHECK(first<Discovery::Lookup>(actions)->source == Source::DhcpDns);
    actions = discovery.looked_up(5, fail(ErrorCode::NameNotResolved, "no such name"), now);
    CHECK(first<Discovery::Exhausted>(actions));
}

// A blackholed address must cost its deadline and not a TCP time-out of two minutes.
TEST_CASE("what does not end by its deadline is cancelled and given up") {
    Discovery discovery(plan());
    Instant now{};
    discovery.start(now);
    CHECK(discovery.tick(now + 4s).empty());
    auto actions = discovery.tick(now + 5s);
    CHECK(first<Discovery::CancelAttempt>(actions)->id == 1);
    CHECK(first<Discovery::Attempt>(actions)->candidate.endpoint == cached_2);
    actions = discovery.tick(now + 10s);
    REQUIRE(first<Discovery::Lookup>(actions));
    actions = discovery.tick(now + 15s);
    CHECK(first<Discovery::CancelLookup>(actions)->id == 3);
    CHECK(first<Discovery::Lookup>(actions)->source == Source::DhcpDns);
}

// Opsec: what is not allowed is not even thought of.
TEST_CASE("a source that policy disables is never asked") {
    auto cached_only = plan();
    cached_only.sources = SourceSet::only(Source::Cached);
    Discovery discovery(cached_only);
    discovery.start({});
    discovery.attempt_failed(1, refused, {});
    const auto actions = discovery.attempt_failed(2, refused, {});
    CHECK(!first<Discovery::Lookup>(actions));
    CHECK(first<Discovery::Exhausted>(actions));
}

// Three sources that name one dead gateway must not cost three deadlines.
TEST_CASE("an endpoint is tried once in a round, whoever names it") {
    Discovery discovery(plan());
    discovery.start({});
    discovery.attempt_failed(1, refused, {});
    discovery.attempt_failed(2, refused, {});
    auto actions = discovery.looked_up(3, std::vector{cached_1, looked_up}, {});
    CHECK(first<Discovery::Attempt>(actions)->candidate.endpoint == looked_up);
    discovery.attempt_failed(4, refused, {});
    actions = discovery.looked_up(5, std::vector{looked_up}, {});
    CHECK(!first<Discovery::Attempt>(actions));
    CHECK(first<Discovery::Exhausted>(actions));
}

TEST_CASE("late news of something cancelled is ignored") {
    Discovery discovery(plan());
    discovery.start({});
    discovery.tick(Instant{} + 5s);
    CHECK(discovery.attempt_failed(1, refused, {}).empty());
    CHECK(!discovery.candidate_of(1));
    CHECK(discovery.candidate_of(2));
}

// A resolver that answers with a thousand addresses must not keep a node busy until its budget ends.
TEST_CASE("an answer is cut to its bound") {
    auto dns_only = plan();
    dns_only.sources = SourceSet::only(Source::PublicDns);
    Discovery discovery(dns_only);
    discovery.start({});
    std::vector<Endpoint> addresses;
    for (std::uint8_t i = 1; i <= 60; ++i) addresses.push_back({IpAddress::v4({203, 0, 113, i}), 443});
    auto actions = discovery.looked_up(1, addresses, {});
    std::size_t attempts = 0;
    for (Discovery::Id id = 2; first<Discovery::Attempt>(actions); ++id, ++attempts)
        actions = discovery.attempt_failed(id, refused, {});
    CHECK(attempts == candidates_per_source_limit);
}
