#include "core/discovery.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace fortros;

static const auto cached_1 = *Endpoint::parse("203.0.113.1:443");
static const auto cached_2 = *Endpoint::parse("203.0.113.2:443");
static const auto named = *Endpoint::parse("203.0.113.9:443");
static const auto named_v6 = *Endpoint::parse("[2001:db8::9]:443");
static const Error refused{ErrorCode::Unreachable, "connection refused"};

static ResolverSet resolver(const char* address) { return {{*IpAddress::parse(address)}}; }

static DiscoveryPlan plan() {
    return {.sources = SourceSet::all(),
            .cached = {cached_1, cached_2},
            .public_resolvers = {resolver("9.9.9.9"), resolver("1.1.1.1")},
            .dhcp_resolvers = {resolver("192.0.2.53")},
            .gateway_name = "gateway.example.org",
            .service = "_fortros-gateway._tcp.example.org"};
}

static DiscoveryPlan plan_of(SourceSet sources) {
    auto some = plan();
    some.sources = sources;
    return some;
}

static DiscoveryPlan one_after_the_other() {
    auto ordered = plan();
    ordered.race = false;
    return ordered;
}

// What a machine has said in one call, by kind.
struct Said {
    std::vector<Discovery::Lookup> lookups{};
    std::vector<Discovery::Attempt> attempts{};
    std::vector<Discovery::GaveUp> given_up{};
    std::vector<Discovery::Id> cancelled{};
    bool exhausted = false;
    std::size_t size = 0;

    Said(const std::vector<Discovery::Action>& actions) : size(actions.size()) {
        for (const auto& action : actions) {
            if (const auto* lookup = std::get_if<Discovery::Lookup>(&action))
                lookups.push_back(*lookup);
            if (const auto* attempt = std::get_if<Discovery::Attempt>(&action))
                attempts.push_back(*attempt);
            if (const auto* gave_up = std::get_if<Discovery::GaveUp>(&action))
                given_up.push_back(*gave_up);
            if (const auto* cancel = std::get_if<Discovery::CancelLookup>(&action))
                cancelled.push_back(cancel->id);
            if (const auto* cancel = std::get_if<Discovery::CancelAttempt>(&action))
                cancelled.push_back(cancel->id);
            exhausted = exhausted || std::holds_alternative<Discovery::Exhausted>(action);
        }
    }
    // The only one of its kind.
    const Discovery::Lookup& lookup() const {
        REQUIRE(lookups.size() == 1);
        return lookups[0];
    }
    const Discovery::Attempt& attempt() const {
        REQUIRE(attempts.size() == 1);
        return attempts[0];
    }
};

// A machine with a clock that jumps from deadline to deadline.
struct Race {
    Discovery discovery;
    Instant now{};

    explicit Race(DiscoveryPlan plan) : discovery(std::move(plan)) {}

    Said start() { return discovery.start(now); }
    Said fail(Discovery::Id id) { return discovery.attempt_failed(id, refused, now); }
    Said answer(Discovery::Id id, std::vector<Endpoint> endpoints) {
        return discovery.looked_up(id, std::move(endpoints), now);
    }
    Said no_answer(Discovery::Id id) {
        return discovery.looked_up(id, fortros::fail(ErrorCode::NameNotResolved, "no such name"),
                                   now);
    }
    std::vector<Discovery::Action> learn(std::vector<ResolverSet> dhcp_resolvers, Instant at) {
        DiscoveryPlan news;
        news.dhcp_resolvers = std::move(dhcp_resolvers);
        return discovery.learn(news, at);
    }
    Said next() {
        REQUIRE(discovery.deadline());
        now = *discovery.deadline();
        return discovery.tick(now);
    }
    // Until a call says something.
    Said next_news() {
        Said said = next();
        while (said.size == 0) said = next();
        return said;
    }
    Duration passed() const { return now - Instant{}; }
};

TEST_SUITE_BEGIN("discovery");

// --- one after the other ---------------------------------------------------------------------------

// The order is the policy: what is nearest and quietest first.
TEST_CASE("without a race each is begun when all before it have failed") {
    Race race(one_after_the_other());
    CHECK(race.start().attempt().candidate.endpoint == cached_1);
    auto said = race.fail(1);
    CHECK(said.given_up.at(0).endpoint == cached_1);
    CHECK(said.attempt().candidate.endpoint == cached_2);
    said = race.fail(2);
    CHECK(said.lookup().source == Source::PublicDns);
    CHECK(said.lookup().resolvers == resolver("9.9.9.9"));
    said = race.answer(3, {named, named_v6});
    CHECK(said.attempt().candidate == Candidate{named, Source::PublicDns});
    CHECK(race.fail(4).attempt().candidate.endpoint == named_v6);
    CHECK(race.fail(5).lookup().resolvers == resolver("1.1.1.1"));
    CHECK(race.no_answer(6).lookup().source == Source::DhcpDns);
    CHECK(race.no_answer(7).exhausted);
}

TEST_CASE("without a race only a deadline ends what is silent") {
    Race race(one_after_the_other());
    race.start();
    auto said = race.next();
    CHECK(race.passed() == 5s);
    CHECK(said.cancelled == std::vector<Discovery::Id>{1});
    CHECK(said.attempt().candidate.endpoint == cached_2);
    race.next();
    said = race.next();
    CHECK(race.passed() == 15s);
    CHECK(said.cancelled == std::vector<Discovery::Id>{3});
    CHECK(said.given_up.at(0).error.code == ErrorCode::Timeout);
}

// --- the race: sources -----------------------------------------------------------------------------

TEST_CASE("the next source begins when the head start of the one before is over") {
    auto silent = plan();
    silent.cached = {cached_1};
    Race race(silent);
    CHECK(race.start().lookups.empty());
    CHECK(race.next().lookup().source == Source::PublicDns);
    CHECK(race.passed() == silent.head_start);
    while (race.passed() < 2 * silent.head_start) {
        const auto said = race.next();
        for (const auto& lookup : said.lookups)
            CHECK((lookup.source == Source::DhcpDns) == (race.passed() == 2 * silent.head_start));
    }
}

TEST_CASE("the next source begins at once when the one before has nothing left") {
    Race race(plan());
    race.start();
    race.fail(1);
    const auto said = race.fail(2);
    CHECK(said.lookup().source == Source::PublicDns);
    CHECK(race.passed() == 0s);
}

TEST_CASE("a source that knows nobody to ask is passed over and named") {
    auto nobody = plan();
    nobody.cached = {};
    nobody.public_resolvers = {};
    Race race(nobody);
    const auto said = race.start();
    REQUIRE(said.given_up.size() == 2);
    CHECK(said.given_up[0].source == Source::Cached);
    CHECK(said.given_up[1].source == Source::PublicDns);
    CHECK(said.lookup().source == Source::DhcpDns);
}

// A gateway that is slow but there must not make the node ask the world.
TEST_CASE("a connection that was taken earns its source another head start") {
    auto slow = plan();
    slow.cached = {cached_1};
    Race race(slow);
    race.start();
    race.now += 400ms;
    CHECK(race.discovery.attempt_connected(1, race.now).empty());
    CHECK(race.next().lookup().source == Source::PublicDns);
    CHECK(race.passed() == 400ms + slow.head_start);
}

// Opsec: what is not allowed is not even thought of.
TEST_CASE("a source that policy disables is never asked") {
    for (bool racing : {true, false}) {
        auto cached_only = plan_of(SourceSet::only(Source::Cached));
        cached_only.race = racing;
        Race race(cached_only);
        bool exhausted = false;
        for (auto said = race.start(); !exhausted; said = race.next()) {
            CHECK(said.lookups.empty());
            exhausted = said.exhausted;
            if (exhausted) break;
        }
        CHECK(race.passed() <= 10s);
    }
}

// --- the race: resolvers ---------------------------------------------------------------------------

TEST_CASE("the next resolver is asked after a moment, and both may answer") {
    Race race(plan_of(SourceSet::only(Source::PublicDns)));
    CHECK(race.start().lookup().resolvers == resolver("9.9.9.9"));
    CHECK(race.next().lookup().resolvers == resolver("1.1.1.1"));
    CHECK(race.passed() == lookup_stagger);
    CHECK(race.answer(2, {named}).attempt().candidate.endpoint == named);
    CHECK(race.answer(1, {named_v6}).size == 0);  // staggered
    CHECK(race.next().attempt().candidate.endpoint == named_v6);
}

TEST_CASE("a resolver that says no hands over at once") {
    Race race(plan_of(SourceSet::only(Source::PublicDns)));
    race.start();
    const auto said = race.no_answer(1);
    CHECK(said.given_up.at(0).id == 1);
    CHECK(said.lookup().resolvers == resolver("1.1.1.1"));
    CHECK(race.passed() == 0s);
}

// The first may lie; as long as its answer is tried the second has nothing to add.
TEST_CASE("a resolver in reserve is asked when the candidates of another have all failed") {
    Race race(plan_of(SourceSet::only(Source::PublicDns)));
    race.start();
    race.answer(1, {named});
    CHECK(race.fail(2).lookup().resolvers == resolver("1.1.1.1"));
    CHECK(race.answer(3, {named_v6}).attempt().candidate.endpoint == named_v6);
}

// A lie that names an address which never answers must not buy a whole time-out.
TEST_CASE("a resolver in reserve is asked when the candidates of another have had a head start") {
    const auto stalled = plan_of(SourceSet::only(Source::PublicDns));
    Race race(stalled);
    race.start();
    race.answer(1, {named});
    CHECK(race.next_news().lookup().resolvers == resolver("1.1.1.1"));
    CHECK(race.passed() == stalled.head_start);
}

TEST_CASE("a look-up asks for the service beside the name") {
    Race race(plan_of(SourceSet::only(Source::DhcpDns)));
    const auto said = race.start();
    CHECK(said.lookup().name == "gateway.example.org");
    CHECK(said.lookup().service == "_fortros-gateway._tcp.example.org");
    CHECK(said.lookup().port == 443);
}

TEST_CASE("a look-up that is silent is ended by its deadline") {
    Race race(plan_of(SourceSet::only(Source::DhcpDns)));
    race.start();
    const auto said = race.next();
    CHECK(race.passed() == 5s);
    CHECK(said.cancelled == std::vector<Discovery::Id>{1});
    CHECK(said.exhausted);
}

// --- the race: attempts ----------------------------------------------------------------------------

TEST_CASE("attempts begin staggered and run beside each other") {
    Race race(plan_of(SourceSet::only(Source::Cached)));
    CHECK(race.start().attempt().candidate.endpoint == cached_1);
    const auto said = race.next();
    CHECK(race.passed() == attempt_stagger);
    CHECK(said.attempt().candidate.endpoint == cached_2);
    CHECK(said.cancelled.empty());
    CHECK(race.discovery.candidate_of(1));
}

TEST_CASE("the next attempt begins at once when one fails") {
    Race race(plan_of(SourceSet::only(Source::Cached)));
    race.start();
    CHECK(race.fail(1).attempt().candidate.endpoint == cached_2);
}

// RFC 8305: a family that leads nowhere must not be tried to its end first.
TEST_CASE("families take turns") {
    auto both = plan_of(SourceSet::only(Source::Cached));
    both.cached = {*Endpoint::parse("[2001:db8::1]:443"), *Endpoint::parse("[2001:db8::2]:443"),
                   cached_1, cached_2};
    Race race(both);
    std::vector<Endpoint> order{race.start().attempt().candidate.endpoint};
    while (order.size() < 4) order.push_back(race.next_news().attempt().candidate.endpoint);
    CHECK(order == std::vector{both.cached[0], both.cached[2], both.cached[1], both.cached[3]});
}

// A resolver that lies with a list of dead addresses must not keep an honest one waiting.
TEST_CASE("sources take turns") {
    auto two = plan();
    two.cached.clear();
    two.public_resolvers.resize(1);
    Race race(two);
    race.start();
    std::vector<Endpoint> dead;
    for (std::uint8_t i = 1; i <= 9; ++i) dead.push_back({IpAddress::v4({198, 51, 100, i}), 443});
    race.answer(1, dead);
    Discovery::Id dhcp = 0;
    while (dhcp == 0)
        for (const auto& lookup : race.next_news().lookups) dhcp = lookup.id;
    race.answer(dhcp, {named});
    CHECK(race.next_news().attempt().candidate == Candidate{named, Source::DhcpDns});
}

TEST_CASE("no more than a few attempts run at once") {
    auto many = plan_of(SourceSet::only(Source::Cached));
    many.cached.clear();
    for (std::uint8_t i = 1; i <= 12; ++i)
        many.cached.push_back({IpAddress::v4({198, 51, 100, i}), 443});
    Race race(many);
    std::size_t begun = race.start().attempts.size();
    while (*race.discovery.deadline() < Instant{} + many.attempt_timeout)
        begun += race.next().attempts.size();
    CHECK(begun == attempts_at_once);
    CHECK(race.next().attempts.size() == 1);  // as many as were ended
}

// Three sources that name one dead gateway must not cost three deadlines.
TEST_CASE("an endpoint is tried once in a round, whoever names it") {
    Race race(plan());
    race.start();
    race.fail(1);
    race.fail(2);
    auto said = race.answer(3, {cached_1, named});
    CHECK(said.attempt().candidate.endpoint == named);
    race.fail(4);
    race.no_answer(5);
    said = race.answer(6, {named});
    CHECK(said.attempts.empty());
    CHECK(said.exhausted);
}

// A resolver that answers with a thousand addresses must not keep a node busy until its budget ends.
TEST_CASE("an answer is cut to its bound") {
    Race race(plan_of(SourceSet::only(Source::DhcpDns)));
    race.start();
    std::vector<Endpoint> endpoints;
    for (std::uint8_t i = 1; i <= 60; ++i)
        endpoints.push_back({IpAddress::v4({203, 0, 113, i}), 443});
    auto said = race.answer(1, endpoints);
    std::size_t attempts = 0;
    for (Discovery::Id id = 2; !said.exhausted; ++id, ++attempts) said = race.fail(id);
    CHECK(attempts == candidates_per_source_limit);
}

// An IPv6 that is only promised must not cost more than 400 ms: resolver and gateway are found by IPv4.
TEST_CASE("a family that leads nowhere costs two staggers and no time-out") {
    auto both = plan_of(SourceSet::only(Source::PublicDns));
    both.public_resolvers = {resolver("2620:fe::fe"), resolver("9.9.9.9")};
    Race race(both);
    race.start();
    const auto honest = race.next().lookup();
    CHECK(honest.resolvers == resolver("9.9.9.9"));
    CHECK(race.answer(honest.id, {named_v6, named}).attempt().candidate.endpoint == named_v6);
    CHECK(race.next().attempt().candidate.endpoint == named);
    CHECK(race.passed() == lookup_stagger + attempt_stagger);
    CHECK(race.passed() < 400ms);
}

TEST_CASE("resolvers that a link brings later are asked like the others") {
    auto none = plan_of(SourceSet::only(Source::DhcpDns));
    Race race(none);
    race.start();
    CHECK(race.learn({resolver("192.0.2.53")}, race.now).empty());  // known
    const Said said = race.learn({resolver("192.0.2.54")}, race.now + lookup_stagger);
    CHECK(said.lookup().resolvers == resolver("192.0.2.54"));
}

// IPv6 comes by itself, IPv4 by DHCP a second later: what needed it must not be lost for the round.
TEST_CASE("what could not be reached gets another chance when a link brings something") {
    Race race(plan_of(SourceSet::only(Source::PublicDns)));
    race.start();
    const fortros::Error no_route{ErrorCode::Unreachable, "no route"};
    Said said = race.discovery.looked_up(1, std::unexpected(no_route), race.now);
    race.answer(said.lookup().id, {named});
    said = race.discovery.attempt_failed(3, no_route, race.now);
    CHECK(said.exhausted);
    Race again(plan_of(SourceSet::only(Source::PublicDns)));
    again.start();
    said = again.discovery.looked_up(1, std::unexpected(no_route), again.now);
    CHECK(said.lookup().resolvers == resolver("1.1.1.1"));
    said = again.learn({}, again.now + lookup_stagger);
    CHECK(said.lookup().resolvers == resolver("9.9.9.9"));
    again.answer(2, {named});
    again.discovery.attempt_failed(4, no_route, again.now);
    said = again.learn({}, again.now + 1s);
    CHECK(said.attempt().candidate.endpoint == named);
}

TEST_CASE("resolvers that a link brings are not asked where policy forbids it") {
    Race race(plan_of(SourceSet::only(Source::Cached)));
    race.start();
    CHECK(race.learn({resolver("192.0.2.54")}, race.now).empty());
}

// --- several links ---------------------------------------------------------------------------------

static Uplink link_to(unsigned ifindex, const char* router) {
    return {.ifindex = ifindex, .routers = {*IpAddress::parse(router)}};
}
static const auto eth0 = link_to(2, "192.0.2.1");
static const auto eth1 = link_to(3, "198.51.100.1");
static const auto eth1_v6 = link_to(3, "fe80::1");

static DiscoveryPlan two_links(SourceSet sources = SourceSet::only(Source::Cached)) {
    auto some = plan_of(sources);
    some.cached = {cached_1};
    some.links = {eth0, eth1};
    return some;
}

// The router answers, the uplink behind it is dead: nothing but another link leads out.
TEST_CASE("what the routes do not reach within a head start is tried by the other link") {
    Race race(two_links());
    CHECK(race.start().attempt().candidate.ifindex == 0);
    race.discovery.left_by(1, eth0.ifindex);
    const Said said = race.next_news();
    CHECK(race.passed() == 500ms);
    CHECK(said.attempt().candidate == Candidate{cached_1, Source::Cached, eth1.ifindex});
    race.discovery.attempt_authenticated(2);
    CHECK(race.discovery.link_of(2) == eth1.ifindex);
}

// A router that says no must not cost the head start.
TEST_CASE("a failure by the routes starts the detour at once") {
    Race race(two_links());
    race.start();
    race.discovery.left_by(1, eth0.ifindex);
    CHECK(race.fail(1).attempt().candidate.ifindex == eth1.ifindex);
    CHECK(race.fail(2).exhausted);
}

// A slow way that works is not left for another: the routes are the operator's word.
TEST_CASE("a connection by the routes earns them another head start") {
    Race race(two_links());
    race.start();
    race.discovery.left_by(1, eth0.ifindex);
    race.now += 400ms;
    race.discovery.attempt_connected(1, race.now);
    const Said said = race.next_news();
    CHECK(race.passed() == 900ms);
    CHECK(said.attempt().candidate.ifindex == eth1.ifindex);
}

// With one network card nothing may be different from what it always was.
TEST_CASE("where one link leads to a candidate there is no detour") {
    auto one = two_links();
    SUBCASE("one link") { one.links = {eth0}; }
    SUBCASE("one that has a route of the family") { one.links = {eth0, eth1_v6}; }
    SUBCASE("none known") { one.links = {}; }
    Race race(one);
    race.start();
    const Said said = race.next();
    CHECK(race.passed() == 5s);
    CHECK(said.attempts.empty());
    CHECK(said.exhausted);
}

// Neither a list of dead addresses nor a machine with eight cards may fill all six places.
TEST_CASE("candidates and detours take turns") {
    auto many = two_links();
    many.cached = {cached_1, cached_2, named, *Endpoint::parse("203.0.113.3:443"),
                   *Endpoint::parse("203.0.113.4:443")};
    Race race(many);
    Said said = race.start();
    std::vector<unsigned> links;
    while (links.size() < attempts_at_once) {
        for (const auto& attempt : said.attempts) {
            links.push_back(attempt.candidate.ifindex);
            if (attempt.candidate.ifindex == 0) race.discovery.left_by(attempt.id, eth0.ifindex);
        }
        if (links.size() < attempts_at_once) said = race.next();
    }
    CHECK(links == std::vector<unsigned>{0, 0, 0, 3, 0, 3});
}

TEST_CASE("without a race a detour waits until everything was tried as the routes lead") {
    auto ordered = two_links();
    ordered.cached = {cached_1, cached_2};
    ordered.race = false;
    Race race(ordered);
    race.start();
    race.discovery.left_by(1, eth0.ifindex);
    CHECK(race.fail(1).attempt().candidate.endpoint == cached_2);
    race.discovery.left_by(2, eth0.ifindex);
    CHECK(race.fail(2).attempt().candidate == Candidate{cached_1, Source::Cached, eth1.ifindex});
    CHECK(race.fail(3).attempt().candidate == Candidate{cached_2, Source::Cached, eth1.ifindex});
    CHECK(race.fail(4).exhausted);
}

// The second card's cable is plugged in later than the first one's.
TEST_CASE("a link that comes is tried for what is under way and for what has failed") {
    auto one = two_links();
    one.links = {eth0};
    one.cached = {cached_1, cached_2};
    Race race(one);
    race.start();
    race.discovery.left_by(1, eth0.ifindex);
    race.discovery.attempt_failed(1, {ErrorCode::Timeout, "silent"}, race.now);
    race.discovery.left_by(2, eth0.ifindex);
    race.now += 100ms;
    auto more = two_links();
    race.discovery.learn(more, race.now);
    Said said = race.next_news();
    CHECK(said.attempt().candidate == Candidate{cached_1, Source::Cached, eth1.ifindex});
    said = race.next_news();
    CHECK(said.attempt().candidate == Candidate{cached_2, Source::Cached, eth1.ifindex});
    CHECK(race.discovery.learn(more, race.now).empty());  // nothing new
}

// Or a gateway under load would get every request as often as the node has cards.
TEST_CASE("a gateway that has said no is not asked again by another link") {
    Race race(two_links());
    race.start();
    race.discovery.left_by(1, eth0.ifindex);
    race.discovery.attempt_authenticated(1);
    const Said said =
        race.discovery.attempt_failed(1, {ErrorCode::Busy, "come back later"}, race.now);
    CHECK(said.attempts.empty());
    CHECK(said.exhausted);
}

// A uplink that dies under a conversation is one more reason to take the other.
TEST_CASE("a gateway that goes silent after it has authenticated is tried by the other link") {
    Race race(two_links());
    race.start();
    race.discovery.left_by(1, eth0.ifindex);
    race.discovery.attempt_authenticated(1);
    const Said said = race.discovery.attempt_failed(1, {ErrorCode::Timeout, "silent"}, race.now);
    CHECK(said.attempt().candidate.ifindex == eth1.ifindex);
}

TEST_CASE("a resolver by the link that the routes take is not asked twice") {
    auto some = plan_of(SourceSet::only(Source::PublicDns));
    const ResolverSet by_routes = resolver("9.9.9.9");
    const ResolverSet by_eth0{by_routes.servers, 2}, by_eth1{by_routes.servers, 3};
    some.public_resolvers = {by_routes, by_eth0, by_eth1};
    Race race(some);
    CHECK(race.start().lookup().resolvers == by_routes);
    race.discovery.left_by(1, eth0.ifindex);
    CHECK(race.next_news().lookup().resolvers == by_eth1);
}

TEST_CASE("what is left out is not tried, whoever names it") {
    auto some = plan();
    some.cached = {cached_1};
    some.left_out = {cached_1, named};
    Race race(some);
    const Said said = race.start();
    CHECK(said.attempts.empty());
    CHECK(said.lookup().source == Source::PublicDns);
    CHECK(race.answer(1, {named, named_v6}).attempt().candidate.endpoint == named_v6);
}

// --- the end ---------------------------------------------------------------------------------------

TEST_CASE("the first to authenticate ends all the others") {
    Race race(plan());
    race.start();
    race.next();
    const auto resolver_asked = race.next_news();
    REQUIRE(resolver_asked.lookups.size() == 1);
    const Said said = race.discovery.attempt_authenticated(2);
    auto cancelled = said.cancelled;
    std::ranges::sort(cancelled);
    CHECK(cancelled == std::vector<Discovery::Id>{1, resolver_asked.lookup().id});
    CHECK(race.discovery.candidate_of(2)->endpoint == cached_2);
    CHECK(!race.discovery.deadline());
}

// A gateway that authenticates and then has no answer is one more that failed.
TEST_CASE("a winner that comes to nothing lets the race go on where it was") {
    Race race(plan());
    race.start();
    race.next();
    race.discovery.attempt_authenticated(2);
    auto said = race.fail(2);
    CHECK(said.attempt().candidate.endpoint == cached_1);  // was cancelled, has not failed
    said = race.fail(said.attempt().id);
    CHECK(said.lookup().source == Source::PublicDns);
}

TEST_CASE("an attempt that is set aside is not given up, and the race goes on") {
    Race race(plan_of(SourceSet::only(Source::Cached)));
    race.start();
    auto said = Said(race.discovery.set_aside(1, race.now));
    CHECK(said.given_up.empty());
    CHECK(said.attempt().candidate.endpoint == cached_2);
    said = Said(race.discovery.set_aside(2, race.now));
    CHECK(said.exhausted);
}

TEST_CASE("late news of something cancelled is ignored") {
    Race race(plan());
    race.start();
    race.next();
    race.discovery.attempt_authenticated(2);
    CHECK(race.fail(1).size == 0);
    CHECK(race.no_answer(3).size == 0);
    CHECK(race.discovery.attempt_authenticated(1).empty());
    CHECK(!race.discovery.candidate_of(1));
}

// Whatever happens, a round ends: the boot's own budget is the last resort, not the rule.
TEST_CASE("a round in which nobody answers ends by itself") {
    for (bool racing : {true, false}) {
        auto silent = plan();
        silent.race = racing;
        Race race(silent);
        bool exhausted = race.start().exhausted;
        while (!exhausted) exhausted = race.next().exhausted;
        CHECK(race.passed() <= 26s);
        CHECK(!race.discovery.deadline());
    }
}

TEST_SUITE_END();
