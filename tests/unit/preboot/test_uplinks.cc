// Nodes with several links, of which not every one leads anywhere; whole boots in virtual time.
#include <doctest/doctest.h>

#include <algorithm>

#include "fakes/boot_world.h"

using namespace fortros;
using namespace fortros::fakes;

static const Endpoint gateway = *Endpoint::parse("203.0.113.5:443");

static std::ptrdiff_t position(const BootWorld& world, std::string_view action) {
    return std::ranges::find(world.order, action) - world.order.begin();
}

// A node with two links of which the better one, by the routes, leads into a black hole.
struct DeadUplink : BootWorld {
    DeadUplink() {
        handshake_follows_routes = true;
        make_links();
    }
    void make_links() {
        const auto add = [this](unsigned ifindex, const char* name, const char* address,
                                Route route) {
            FakeLink link;
            link.report = {.ifindex = ifindex,
                           .name = name,
                           .mac = "52:54:00:00:00:01",
                           .addresses = {*IpNetwork::parse(address)}};
            link.is.then(Instant{} + 100ms, LinkPhase{.up = true, .v4 = route});
            links.push_back(std::move(link));
        };
        links.clear();
        add(2, "eth0", "192.0.2.10/24", Route::Blackhole);
        add(3, "eth1", "198.51.100.10/24", Route::Works);
    }
};

// A cheap router in a rack whose own line is down would keep the machine out for ever.
TEST_CASE("a node comes up by its second link when the better one's uplink is dead") {
    DeadUplink world;
    SUBCASE("found by public DNS") {}
    SUBCASE("cached") {
        world.settings.sources = SourceSet::only(Source::Cached);
        world.settings.gateways = {gateway};
    }
    SUBCASE("without a race") { world.settings.race = false; }
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(world.preferred_links == std::vector<unsigned>{3});
    // WireGuard goes by the routes, so they come first.
    CHECK(position(world, "prefer-link") < position(world, "apply-overlay"));
    CHECK(world.handed_off->handshake_answered);
    REQUIRE(world.handed_off->uplinks.size() == 2);
    CHECK(world.handed_off->uplinks[0].name == "eth1");
    CHECK(world.handed_off->uplinks[0].reached_gateway);
    CHECK(!world.handed_off->uplinks[1].reached_gateway);
    const auto read = parse_hand_off(to_json_text(*world.handed_off));
    REQUIRE(read);
    CHECK(read->uplinks[0].reached_gateway);
    if (world.settings.race) CHECK(world.took < 5s);
}

TEST_CASE("two links that work are used as the routes lead") {
    DeadUplink world;
    world.links[0].is.then(Instant{} + 100ms, LinkPhase{.up = true});
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(world.preferred_links.empty());
    CHECK(world.bound == 0);
    CHECK(world.handed_off->uplinks[0].name == "eth0");
    CHECK(world.handed_off->uplinks[0].reached_gateway);
}

// What preboot has not configured is not its to change.
TEST_CASE("with Mode=adopt no link is preferred, and the boot says why WireGuard may not answer") {
    DeadUplink world;
    world.settings.link_mode = LinkMode::Adopt;
    CHECK(world.boot() == ExitStatus::NoHandshake);
    CHECK(world.preferred_links.empty());
    CHECK(world.logged("WireGuard follows them"));
    CHECK(world.handed_off->uplinks[0].name == "eth1");
}

// What is remembered went into the dead uplink; the node must not stay cut off when another is found.
TEST_CASE(
    "fast start: an overlay by a dead uplink is mended by the link that discovery has found") {
    DeadUplink world;
    world.links[0].is = LinkPhase{.up = true};
    world.links[1].is = LinkPhase{.up = true};
    REQUIRE(world.boot() == ExitStatus::Joined);
    world.links[0].is = LinkPhase{.up = true, .v4 = Route::Blackhole};
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(world.applied_from_memory);
    CHECK(world.preferred_links == std::vector<unsigned>{3});
    CHECK(world.renewed == world.org.gateway_public);
    CHECK(!world.handed_off->remembered);
    CHECK(world.handed_off->handshake_answered);
}

// With every gateway's HTTPS dead nothing else would ever show the link that works, and a whole site
// would stay out of an overlay that is there.
TEST_CASE("fast start: where nobody answers by one link the next has its turn") {
    DeadUplink world;
    for (auto& link : world.links) link.is = LinkPhase{.up = true};
    REQUIRE(world.boot() == ExitStatus::Joined);
    world.hosts[gateway] = Host::Silent;
    const Instant begin = world.now.instant;
    SUBCASE("the first is dead") {
        world.links[0].is = LinkPhase{.up = true, .v4 = Route::Blackhole};
        REQUIRE(world.boot() == ExitStatus::Joined);
        CHECK(world.preferred_links == std::vector<unsigned>{3});
    }
    SUBCASE("both are dead, and the first comes to life") {
        world.links[0].is = LinkPhase{.up = true, .v4 = Route::Blackhole};
        world.links[0].is.then(begin + 30s, LinkPhase{.up = true});
        world.links[1].is = LinkPhase{.up = true, .v4 = Route::Blackhole};
        REQUIRE(world.boot() == ExitStatus::Joined);
        CHECK(world.preferred_links.back() == 2);
    }
    SUBCASE("both work") {
        REQUIRE(world.boot() == ExitStatus::Joined);
        CHECK(world.preferred_links.empty());
    }
    CHECK(world.handed_off->remembered);
    CHECK(world.handed_off->handshake_answered);
}

TEST_CASE("fast start: with Mode=adopt the tunnel goes as the routes lead") {
    DeadUplink world;
    for (auto& link : world.links) link.is = LinkPhase{.up = true};
    REQUIRE(world.boot() == ExitStatus::Joined);
    world.hosts[gateway] = Host::Silent;
    world.links[0].is = LinkPhase{.up = true, .v4 = Route::Blackhole};
    world.settings.link_mode = LinkMode::Adopt;
    CHECK(world.boot() == ExitStatus::NoGateway);
    CHECK(world.applied_from_memory);
    CHECK(world.preferred_links.empty());
}

// By the routes, which this boot may not change, nobody would hear that the clock was ahead.
TEST_CASE("who is asked again because of the clock is asked by the link that has led there") {
    DeadUplink world;
    world.links[0].is = LinkPhase{.up = true};
    REQUIRE(world.boot() == ExitStatus::Joined);
    world.links[0].is = LinkPhase{.up = true, .v4 = Route::Blackhole};
    world.settings.link_mode = LinkMode::Adopt;
    world.clock_ahead = 3h;
    CHECK(world.boot() == ExitStatus::NoHandshake);
    CHECK(world.logged("asked to forget its handshakes"));
    REQUIRE(world.requests.size() == 2);
    CHECK(world.requests[1].at - world.requests[0].at < 1s);
}
