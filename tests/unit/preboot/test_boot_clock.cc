// Whole boots of a node whose clock is wrong, in virtual time.
#include <doctest/doctest.h>

#include <algorithm>

#include "fakes/boot_world.h"

using namespace fortros;
using namespace fortros::fakes;

static std::ptrdiff_t position(const BootWorld& world, std::string_view action) {
    return std::ranges::find(world.order, action) - world.order.begin();
}

static auto count(const BootWorld& world, std::string_view action) {
    return std::ranges::count(world.order, action);
}

static constexpr std::chrono::seconds ten_years = std::chrono::days{3653};

// One WireGuard packet from a clock far ahead poisons the peer; the join's time comes first.
TEST_CASE(
    "clock: whatever it said, it is right after the join and before WireGuard is configured") {
    BootWorld world;
    SUBCASE("1970") {
        world.clock_trusted = false;
        world.clock_ahead = WallTime{} - world.wall;
    }
    SUBCASE("ten years ahead") {
        world.clock_trusted = false;
        world.clock_ahead = ten_years;
    }
    SUBCASE("three hours behind") { world.clock_ahead = -3h; }
    SUBCASE("three hours ahead") { world.clock_ahead = 3h; }
    // So far that every attestation would have ended, and trusted all the same.
    SUBCASE("twenty days ahead") { world.clock_ahead = 20 * one_day; }
    SUBCASE("sixty days ahead") { world.clock_ahead = 60 * one_day; }
    REQUIRE(world.boot() == ExitStatus::Joined);
    REQUIRE(world.clock_set);
    CHECK(std::chrono::abs(world.clock_ahead) <= 1s);
    CHECK(position(world, "set-clock") < position(world, "apply-overlay"));
    CHECK(count(world, "set-clock") == 1);
    CHECK(world.logged("is set to"));
    CHECK(world.handed_off->handshake_answered);
    CHECK(world.requests.size() == 1);
}

// A clock that jumps at every boot by what an answer takes would be wrong after each.
TEST_CASE("clock: one that is right, or nearly, is left alone") {
    BootWorld world;
    SUBCASE("and trusted") {}
    SUBCASE("and not trusted") { world.clock_trusted = false; }
    SUBCASE("but for a little") { world.clock_ahead = clock_tolerance; }
    SUBCASE("and the gateway takes its time") { world.round_trip = 2s; }
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(!world.clock_set);
}

namespace {

// A node that has been in the overlay, so that it has a fast start.
struct Member : BootWorld {
    Member() { REQUIRE(boot() == ExitStatus::Joined); }
};

}  // namespace

// The gateway would drop every handshake of the node for three hours, without a word.
TEST_CASE("clock: a fast start from the future is forgotten before the overlay comes up again") {
    Member world;
    world.clock_ahead = 3h;
    SUBCASE("and the gateway had answered") {}
    SUBCASE("and the gateway had not answered yet") { world.handshake_takes = 500ms; }
    REQUIRE(world.boot() == ExitStatus::Joined);
    REQUIRE(world.applied_from_memory);
    CHECK(world.logged("asked to forget"));
    CHECK(world.requests.size() == 2);
    CHECK(world.requests[0].endpoint == world.requests[1].endpoint);
    CHECK(world.handed_off->handshake_answered);
    CHECK(!world.handed_off->remembered);
    CHECK(std::chrono::abs(world.clock_ahead) <= 1s);
    CHECK(std::chrono::abs(*world.newest_handshake - world.now.wall) <= 1s);
    // Silent from the step back until the gateway has forgotten.
    CHECK(count(world, "take-down") == 1);
    const auto second_send =
        std::find(world.order.begin() + position(world, "send") + 1, world.order.end(), "send");
    CHECK(position(world, "take-down") < second_send - world.order.begin());
    CHECK(std::find(second_send, world.order.end(), "apply-overlay") != world.order.end());
}

// What nobody was told of can be healed by nobody: another gateway must hear of it, too.
TEST_CASE("clock: when the gateway is gone before it was told, the next one is") {
    Member world;
    world.clock_ahead = 3h;
    const auto second = *Endpoint::parse("203.0.113.6:443");
    world.settings.gateways = {second};
    world.hosts[second] = Host::Gateway;
    const auto first = world.stored_state->gateways.front();
    // It answers the first request, and takes no second connection.
    world.org.tamper = [&](MembershipAnswer&) {
        if (world.requests.size() == 1) world.hosts[first] = Host::Refusing;
    };
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(world.requests.size() == 2);
    CHECK(world.requests.back().endpoint == second);
    CHECK(world.handed_off->gateway == second);
    CHECK(world.handed_off->handshake_answered);
}

// Later handshakes are newer than what was seen: there is nothing to heal, and a session to lose.
TEST_CASE("clock: a fast start from the past goes on after the step forward") {
    Member world;
    world.newest_handshake.reset();
    world.clock_ahead = -3h;
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(world.applied_from_memory);
    CHECK(world.clock_set);
    CHECK(world.requests.size() == 1);
    CHECK(count(world, "take-down") == 0);
    CHECK(world.handed_off->handshake_answered);
}

// The overlay was spoken in from ten years ahead, by whatever ran before.
TEST_CASE("clock: the handshake is answered in the boot after one from the future") {
    Member world;
    world.newest_handshake = world.now.wall + ten_years;
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(world.handed_off->handshake_answered);
}

// An org would lose its nodes to one bad write: a floor that was garbage must not come back.
TEST_CASE("clock: what is remembered of it comes from authenticated chains alone") {
    Member world;
    const WallTime chain = world.stored_state->clock_floor;
    CHECK(chain == world.wall - one_day);
    world.stored_state->clock_floor = world.now.wall + ten_years;
    world.clock_ahead = 3h;
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(world.stored_state->clock_floor - chain < one_day);
}

// Every node that asks a gateway whose clock is wrong would have that clock.
TEST_CASE("clock: a time that the gateway's chain does not allow is refused, with the reason") {
    BootWorld world;
    std::chrono::seconds away{};
    SUBCASE("before it begins") { away = -2 * one_day; }
    SUBCASE("after its end") { away = 91 * one_day; }
    SUBCASE("and the clock is not trusted") {
        away = 91 * one_day;
        world.clock_trusted = false;
    }
    world.org.tamper = [away](MembershipAnswer& answer) { answer.time += away; };
    CHECK(world.boot() == ExitStatus::GatewayUntrusted);
    CHECK(world.logged("the gateway says that it is"));
    CHECK(!world.clock_set);
    CHECK(!world.applied);
}
