// When a boot asks again, when it waits, and when a refusal ends it; in virtual time.
#include <doctest/doctest.h>

#include <algorithm>

#include "fakes/boot_world.h"

using namespace fortros;
using namespace fortros::fakes;

static const Endpoint gateway = *Endpoint::parse("203.0.113.5:443");
static const IpAddress public_resolver = *IpAddress::parse("9.9.9.9");
static const IpAddress dhcp_resolver = *IpAddress::parse("192.0.2.53");

// A spent invite needs a human; hammering the gateway until the budget ends helps nobody.
TEST_CASE("a refused invite ends at once with its status") {
    BootWorld world;
    world.org.invites.clear();
    CHECK(world.boot() == ExitStatus::Refused);
    CHECK(world.org.requests == 1);
    CHECK(world.logged("invite-invalid"));
}

// One gateway that was restored from an old backup must not keep a node out.
TEST_CASE("a refusal by one gateway does not keep the next from being asked") {
    BootWorld world;
    world.org.invites.clear();
    world.resolvers[public_resolver] = {gateway.address, *IpAddress::parse("203.0.113.6")};
    world.hosts[{*IpAddress::parse("203.0.113.6"), 443}] = Host::Gateway;
    CHECK(world.boot() == ExitStatus::Refused);
    CHECK(world.org.requests == 2);
}

// One gateway with an old backup must not end a boot that another has promised to let in.
TEST_CASE("a refusal does not end the boot while another gateway asks for patience") {
    BootWorld world;
    const Endpoint old_backup = *Endpoint::parse("203.0.113.6:443");
    world.resolvers[public_resolver] = {gateway.address, old_backup.address};
    world.hosts[old_backup] = Host::Refuses;
    world.hosts[gateway].retry_after = 5;
    SUBCASE("busy") { world.hosts[gateway].is = Host::Busy; }
    SUBCASE("pending") { world.hosts[gateway].is = Host::Pending; }
    world.hosts[gateway].is.then(Instant{} + 20s, Host::Gateway);
    CHECK(world.boot() == ExitStatus::Joined);
}

// After an outage the gateway spreads the load; a registry that was lost must not undo that.
TEST_CASE("who is unknown to one gateway does not hurry another that has asked for patience") {
    BootWorld world;
    REQUIRE(world.boot() == ExitStatus::Joined);
    const Endpoint old_backup = *Endpoint::parse("203.0.113.6:443");
    world.stored_state->gateways = {gateway, old_backup};
    world.hosts[old_backup] = Host::Refuses;
    world.hosts[gateway] = Host::Busy;
    world.hosts[gateway].retry_after = 30;
    world.settings.sources = SourceSet::only(Source::Cached);
    world.boot();
    REQUIRE(world.told_to_wait.size() >= 2);
    for (std::size_t i = 1; i < world.told_to_wait.size(); ++i)
        CHECK(world.told_to_wait[i].at - world.told_to_wait[i - 1].at >= 30s);
}

// After an outage the gateway spreads the load; nodes must not undo that.
TEST_CASE("a busy gateway is asked again no sooner than it says") {
    BootWorld world;
    world.org.refuse_all = RefusalCode::Busy;
    world.org.retry_after = 30;
    world.settings.total_timeout = 100s;
    CHECK(world.boot() == ExitStatus::GatewayBusy);
    CHECK(world.org.requests <= 4);
    CHECK(world.org.requests >= 2);
}

// One gateway in maintenance must not hold up a node beside another that comes a moment later.
TEST_CASE("a gateway's Retry-After pauses that gateway and no other") {
    BootWorld world;
    const Endpoint good = *Endpoint::parse("203.0.113.6:443");
    world.resolvers[public_resolver] = {gateway.address, good.address};
    world.hosts[gateway] = Host::Busy;
    world.hosts[gateway].retry_after = 60;
    world.hosts[good].is.then(Instant{} + 5s, Host::Gateway);
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(world.handed_off->gateway == good);
    CHECK(world.took < 25s);
    CHECK(world.told_to_wait.size() == 1);
}

// A cable that flaps must not make a node hammer a gateway that has asked for patience.
TEST_CASE("Retry-After is obeyed across link events, and not much longer than it says") {
    BootWorld world;
    world.hosts[gateway].is = Timeline<Host>(Host::Busy).then(Instant{} + 10s, Host::Gateway);
    world.hosts[gateway].retry_after = 40;
    FakeLink link{*world.link, LinkPhase{.up = true, .resolvers = {dhcp_resolver}}};
    for (int second = 3; second < 30; second += 3) {
        link.is.then(Instant{} + second * 1s, LinkPhase{});
        link.is.then(Instant{} + second * 1s + 500ms,
                     LinkPhase{.up = true, .resolvers = {dhcp_resolver}});
    }
    for (int second = 31; second < 38; ++second)
        link.is.then(Instant{} + second * 1s,
                     LinkPhase{.up = true,
                               .resolvers = {
                                   dhcp_resolver,
                                   IpAddress::v4({192, 0, 2, static_cast<std::uint8_t>(second)})}});
    world.links = {link};
    REQUIRE(world.boot() == ExitStatus::Joined);
    REQUIRE(world.requests.size() == 2);
    const Duration waited = world.requests[1].at - world.told_to_wait[0].at;
    CHECK(waited >= 44s);  // with the least of the jitter
    CHECK(waited <= 40s + 8s + 2s);
}

// An administrator may be asleep; a network that is slow is not worth half an hour.
TEST_CASE("waiting for an approval has a budget of its own") {
    BootWorld world;
    world.org.refuse_all = RefusalCode::ApprovalPending;
    world.org.retry_after = 20;
    world.settings.approval_timeout = 10min;
    CHECK(world.boot() == ExitStatus::ApprovalPending);
    CHECK(world.took >= 10min);
    CHECK(world.took <= 11min);
    const auto address =
        overlay_address(world.org.prefix, *crypto::public_key_of(*world.stored_key)).text();
    CHECK(world.logged("waiting for an administrator to approve " + address));
}

// An admin would approve a stranger whose address the node was made to show.
TEST_CASE("an address that does not follow from the node's key is not shown") {
    BootWorld world;
    world.org.refuse_all = RefusalCode::ApprovalPending;
    world.org.retry_after = 20;
    world.settings.approval_timeout = 1min;
    world.org.shown_address = overlay_address(world.org.prefix, PublicKey{});
    CHECK(world.boot() == ExitStatus::ApprovalPending);
    CHECK(!world.logged(world.org.shown_address->text()));
    CHECK(world.logged("waiting for an administrator to approve "));
}

static UplinkHandOff other_address(const BootWorld& world) {
    UplinkHandOff link = *world.link;
    link.addresses = {*IpNetwork::parse("192.0.2.11/24")};
    return link;
}

// A cable that flaps would undo what the gateway does to spread the load.
TEST_CASE("a link that changes ends no gateway's patience") {
    BootWorld world;
    world.hosts[gateway] = Host::Busy;
    world.hosts[gateway].retry_after = 30;
    FakeLink link{*world.link, LinkPhase{}};
    const LinkPhase works{.up = true, .resolvers = {dhcp_resolver}};
    link.is.then(Instant{} + 100ms, works);
    for (const Duration at : {5s, 10s, 15s, 40s})
        link.is.then(Instant{} + at, LinkPhase{}).then(Instant{} + at + 100ms, works);
    world.links = {link};
    world.boot();
    REQUIRE(world.told_to_wait.size() >= 2);
    for (std::size_t i = 1; i < world.told_to_wait.size(); ++i)
        CHECK(world.told_to_wait[i].at - world.told_to_wait[i - 1].at >= 30s);
}

// The same while nobody answers: a router that changes its mind must not make the node hammer.
TEST_CASE("a link that changes all the time begins no round sooner than RetryMin=") {
    BootWorld world;
    world.hosts[gateway] = Host::Refusing;
    world.settings.sources = SourceSet::only(Source::Cached);
    world.settings.gateways = {gateway};
    world.settings.total_timeout = 10s;
    FakeLink link{*world.link, LinkPhase{}};
    for (Duration at = 100ms; at < 10s; at += 100ms) {
        link.is.then(Instant{} + at, LinkPhase{.up = true, .resolvers = {dhcp_resolver}});
        link.is.then(Instant{} + at + 50ms, LinkPhase{.up = true, .resolvers = {public_resolver}});
    }
    world.links = {link};
    CHECK(world.boot() == ExitStatus::NoGateway);
    CHECK(world.connected.size() >= 5);
    CHECK(std::ssize(world.connected) <= 10s / world.settings.retry_min + 1);
}

// A cable that is plugged in at last would be waited for until the longest pause is over.
TEST_CASE("a link that comes during a pause begins a round at once") {
    BootWorld world;
    world.settings.retry_min = 1s;
    world.settings.retry_max = 60s;
    FakeLink dead{*world.link, LinkPhase{}};
    dead.is.then(Instant{} + 100ms, LinkPhase{.up = true, .v4 = Route::None});
    FakeLink works{other_address(world), LinkPhase{}};
    works.report.ifindex = 3;
    works.is.then(Instant{} + 50s, LinkPhase{.up = true, .resolvers = {dhcp_resolver}});
    world.links = {dead, works};
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(world.took < 51s);
}

// The silent one may be the one that knows the node, and be back in a minute.
TEST_CASE("one refusal among silent gateways does not end the boot") {
    BootWorld world;
    const Endpoint old_backup = *Endpoint::parse("203.0.113.6:443");
    world.resolvers[public_resolver] = {gateway.address, old_backup.address};
    world.resolvers[dhcp_resolver] = {gateway.address, old_backup.address};
    world.hosts[old_backup] = Host::Refuses;
    SUBCASE("silent") { world.hosts[gateway].is = Host::Silent; }
    SUBCASE("refusing connections") { world.hosts[gateway].is = Host::Refusing; }
    world.hosts[gateway].is.then(Instant{} + 40s, Host::Gateway);
    CHECK(world.boot() == ExitStatus::Joined);
}
