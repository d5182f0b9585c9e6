// Whole boots in virtual time, against an org, resolvers and a kernel in memory.
#include <doctest/doctest.h>

#include <algorithm>

#include "fakes/boot_world.h"

using namespace fortros;
using namespace fortros::fakes;

static const Endpoint gateway = *Endpoint::parse("203.0.113.5:443");
static const IpAddress public_resolver = *IpAddress::parse("9.9.9.9");
static const IpAddress dhcp_resolver = *IpAddress::parse("192.0.2.53");

static std::ptrdiff_t position(const BootWorld& world, std::string_view action) {
    return std::ranges::find(world.order, action) - world.order.begin();
}

// Without this nobody gets in: the main job from an empty machine to the hand-off.
TEST_CASE("a first boot enrols with its invite and hands the overlay off") {
    BootWorld world;
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(world.sources_asked == std::vector{Source::PublicDns});
    CHECK(world.org.enrolments == 1);
    REQUIRE(world.stored_key);
    REQUIRE(world.stored_state);
    CHECK(world.stored_state->enrolled);
    CHECK(world.stored_state->gateways == std::vector{gateway});
    REQUIRE(world.handed_off);
    CHECK(world.handed_off->handshake_answered);
    CHECK(world.handed_off->source == Source::PublicDns);
    CHECK(world.handed_off->overlay_address ==
          overlay_address(world.org.prefix, *crypto::public_key_of(*world.stored_key)));
    for (int stage = 1; stage <= 9; ++stage)
        CHECK(world.logged("[" + std::to_string(stage) + "/9]"));
}

// A site whose DNS is down must not lose its machines at the next power cut.
TEST_CASE("a second boot uses the cached address and asks no resolver") {
    BootWorld world;
    REQUIRE(world.boot() == ExitStatus::Joined);
    const auto address = world.handed_off->overlay_address;
    world.resolvers.clear();
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(world.sources_asked.empty());
    CHECK(world.handed_off->source == Source::Cached);
    CHECK(world.handed_off->overlay_address == address);
    CHECK(world.org.enrolments == 1);
    CHECK(world.org.joins == 1);
}

// A power cut between storing and sending would lock the node out with a spent invite.
TEST_CASE("the key is stored before the invite is sent, and the promise before the key") {
    BootWorld world;
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(position(world, "save-state") < position(world, "store-key"));
    CHECK(position(world, "store-key") < position(world, "send"));
}

// A node whose enrolment was cut off by a power failure must come up at the next boot.
TEST_CASE("an interrupted enrolment goes on with the same key and wide sources") {
    BootWorld world;
    world.hosts[gateway] = Host::NeverAnswers;
    world.settings.total_timeout = 8s;
    CHECK(world.boot() == ExitStatus::NoGateway);
    REQUIRE(world.stored_key);
    const auto key = *crypto::public_key_of(*world.stored_key);
    world.hosts[gateway] = Host::Gateway;
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(world.handed_off->node == key);
    CHECK(world.org.enrolments == 1);
}

// An attacker who can delete a variable must not be able to make an opsec node ask a resolver.
TEST_CASE("a key without its state may use cached addresses only") {
    BootWorld world;
    REQUIRE(world.boot() == ExitStatus::Joined);
    world.stored_state.reset();
    CHECK(world.boot() == ExitStatus::PolicyLost);
    CHECK(world.sources_asked.empty());
    CHECK(world.connected.empty());
    SUBCASE("a baked-in address still works") {
        world.settings.gateways = {gateway};
        CHECK(world.boot() == ExitStatus::Joined);
        CHECK(world.sources_asked.empty());
    }
}

// Government deployments: after provisioning not one DNS packet may leave the node.
TEST_CASE("cached only never asks a resolver, even when the gateway is down") {
    BootWorld world;
    world.settings.sources = SourceSet::only(Source::Cached);
    world.settings.gateways = {gateway};
    REQUIRE(world.boot() == ExitStatus::Joined);
    world.hosts.clear();
    world.gateway_answers_handshake = false;
    CHECK(world.boot() == ExitStatus::NoGateway);
    CHECK(world.sources_asked.empty());
}

// The government's case: provisioned where DNS is allowed, deployed where it gives the node away.
TEST_CASE("after its enrolment a node uses what AfterEnrollment= leaves, and nothing else") {
    BootWorld world;
    world.settings.sources_enrolled = SourceSet::only(Source::Cached);
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(world.sources_asked == std::vector{Source::PublicDns});
    CHECK(world.stored_state->policy == SourceSet::only(Source::Cached));

    world.hosts[gateway] = Host::Silent;
    world.gateway_answers_handshake = false;
    CHECK(world.boot() == ExitStatus::NoGateway);
    CHECK(world.sources_asked.empty());
}

// An image that has forgotten the restriction, or somebody who changed it, must not lift it.
TEST_CASE("a policy that is remembered stays though the image does not say it any more") {
    BootWorld world;
    world.settings.sources_enrolled = SourceSet::only(Source::Cached);
    REQUIRE(world.boot() == ExitStatus::Joined);
    world.settings.sources_enrolled = {};
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(world.stored_state->policy == SourceSet::only(Source::Cached));
    world.hosts[gateway] = Host::Silent;
    world.boot();
    CHECK(world.sources_asked.empty());
}

// A node that was enrolled by an image without the restriction gets one with it.
TEST_CASE("AfterEnrollment= holds for a node that is enrolled already") {
    BootWorld world;
    REQUIRE(world.boot() == ExitStatus::Joined);
    world.settings.sources_enrolled = SourceSet::only(Source::Cached);
    world.hosts[gateway] = Host::Silent;
    world.gateway_answers_handshake = false;
    CHECK(world.boot() == ExitStatus::NoGateway);
    CHECK(world.sources_asked.empty());
}

// A laptop on a network that blocks public resolvers finds the gateway by the local one.
TEST_CASE("when public DNS is silent the resolver from DHCP is asked") {
    BootWorld world;
    world.resolvers.erase(public_resolver);
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(world.sources_asked == std::vector{Source::PublicDns, Source::DhcpDns});
    CHECK(world.handed_off->source == Source::DhcpDns);
}

// DNS is discovery, not trust: a lie costs time, never the boot.
TEST_CASE("a rogue gateway named by one resolver does not keep the honest one away") {
    BootWorld world;
    const auto rogue = *IpAddress::parse("198.51.100.66");
    world.resolvers[public_resolver] = {rogue};
    world.hosts[{rogue, 443}] = Host::Rogue;
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(world.handed_off->source == Source::DhcpDns);
    CHECK(world.logged("198.51.100.66:443: not signed by the pinned CA"));
}

// An operator must see that somebody impersonates the gateway, not "no gateway".
TEST_CASE("only rogue gateways end in untrusted, within the budget, with nothing sent") {
    BootWorld world;
    world.hosts[gateway] = Host::Rogue;
    world.settings.total_timeout = 20s;
    CHECK(world.boot() == ExitStatus::GatewayUntrusted);
    CHECK(world.org.requests == 0);
    CHECK(world.took == world.settings.total_timeout);
    CHECK(position(world, "send") == std::ssize(world.order));
    CHECK(!world.stored_key);
}

// A machine in a rack with a dead switch must say so in time and end.
TEST_CASE("no link ends after the link time-out with the reason") {
    BootWorld world;
    world.link.reset();
    CHECK(world.boot() == ExitStatus::NoLink);
    CHECK(world.took == world.settings.link_timeout);
    CHECK(world.logged("eth0: no carrier"));
}

// Whoever embeds the agent without an invite should learn it at once, not after a time-out.
TEST_CASE("no key and no invite ends before any packet") {
    BootWorld world;
    world.invite.clear();
    CHECK(world.boot() == ExitStatus::InviteMissing);
    CHECK(world.took == Duration{});
}

// A store that fails would make the next boot a stranger with a spent invite.
TEST_CASE("if the key or the state cannot be stored the invite is not sent") {
    BootWorld world;
    SUBCASE("key") { world.key_store_error = Error{ErrorCode::Exhausted, "NVRAM is full"}; }
    SUBCASE("state") { world.state_store_error = Error{ErrorCode::Unsupported, "no UEFI"}; }
    CHECK(world.boot() == ExitStatus::KeyStoreFailed);
    CHECK(world.org.requests == 0);
    CHECK(world.org.invites.begin()->second.uses_left == 1);
}

// Firmware that refuses a write must not keep an enrolled node out.
TEST_CASE("an enrolled node boots though its state cannot be written") {
    BootWorld world;
    REQUIRE(world.boot() == ExitStatus::Joined);
    world.state_store_error = Error{ErrorCode::PermissionDenied, "read-only"};
    CHECK(world.boot() == ExitStatus::Joined);
    CHECK(world.logged("could not be remembered: read-only"));
}

// Two keys on one address would steal each other's traffic.
TEST_CASE("a taken overlay address makes a new key, three times at most") {
    BootWorld world;
    world.org.addresses_taken = 2;
    CHECK(world.boot() == ExitStatus::Joined);
    BootWorld unlucky;
    unlucky.org.addresses_taken = 100;
    CHECK(unlucky.boot() == ExitStatus::Refused);
    CHECK(unlucky.org.requests == 3);
}

// An updated image comes without an invite; what one boot could not remember must not matter.
TEST_CASE("a key without an invite joins, whatever the state says") {
    BootWorld world;
    REQUIRE(world.boot() == ExitStatus::Joined);
    world.stored_state->enrolled = false;
    world.invite.clear();
    CHECK(world.boot() == ExitStatus::Joined);
    CHECK(world.org.joins == 1);
}

// One broken gateway must not be able to destroy the identity of a node that is in the org.
TEST_CASE("a node that was enrolled never replaces its key") {
    BootWorld world;
    REQUIRE(world.boot() == ExitStatus::Joined);
    const auto key = world.handed_off->node;
    world.org.nodes.clear();
    world.org.addresses_taken = 100;
    CHECK(world.boot() == ExitStatus::Refused);
    REQUIRE(world.stored_key);
    CHECK(*crypto::public_key_of(*world.stored_key) == key);
    CHECK(world.stored_state->enrolled);
}

// A power cut while a second key was being made leaves the first beside the promise of the second.
TEST_CASE("the promise of another key does not lock a node out that was never enrolled") {
    BootWorld world;
    world.stored_key = crypto::make_private_key(world.random);
    world.stored_state = NodeState{};
    world.stored_state->node.bytes[3] = 7;
    CHECK(world.boot() == ExitStatus::Joined);
    CHECK(world.sources_asked == std::vector{Source::PublicDns});
}

// A long wait for a busy gateway must not end in a hand-off that nobody can read.
TEST_CASE("many attempts leave a hand-off of bounded size") {
    BootWorld world;
    world.settings.total_timeout = 30min;
    world.org.refuse_all = RefusalCode::Busy;
    world.org.forgive_after = 60;
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(world.handed_off->timeline.size() == 8);
    CHECK(parse_hand_off(to_json_text(*world.handed_off)));
}

// A node without IPv6 must not be told to reach the gateway's WireGuard by IPv6.
TEST_CASE("the endpoint of the gateway's WireGuard is of the family that has worked") {
    BootWorld world;
    world.org.more_wireguard = {*Endpoint::parse("[2001:db8::5]:51820")};
    REQUIRE(world.boot() == ExitStatus::Joined);
    const auto& interfaces = world.applied->interfaces;
    CHECK(interfaces.back().peers.front().endpoint == world.org.wireguard);
}

// Revocation takes the node out and destroys nothing.
TEST_CASE("a revoked node takes its overlay down and keeps key and state") {
    BootWorld world;
    REQUIRE(world.boot() == ExitStatus::Joined);
    world.org.nodes.begin()->second = true;
    CHECK(world.boot() == ExitStatus::Revoked);
    CHECK(world.taken_down);
    CHECK(world.stored_key);
    REQUIRE(world.stored_state);
    CHECK(world.stored_state->revoked);
    SUBCASE("and comes back when the revocation was a mistake") {
        world.org.nodes.begin()->second = false;
        CHECK(world.boot() == ExitStatus::Joined);
        CHECK(!world.stored_state->revoked);
    }
}

// A stolen TLS key alone must not be able to configure a node.
TEST_CASE("an answer without the WireGuard key's proof is not believed") {
    BootWorld world;
    world.org.forget_proof = true;
    world.settings.total_timeout = 10s;
    CHECK(world.boot() == ExitStatus::GatewayUntrusted);
    CHECK(!world.applied);
}

// A registry that was lost must not need a walk to every machine.
TEST_CASE("an enrolled node that the gateway does not know uses its invite again") {
    BootWorld world;
    REQUIRE(world.boot() == ExitStatus::Joined);
    const auto key = world.handed_off->node;
    world.org.nodes.clear();
    world.org.invites.begin()->second.uses_left = 1;
    CHECK(world.boot() == ExitStatus::Joined);
    CHECK(world.handed_off->node == key);
    CHECK(world.org.enrolments == 2);
}

// Success has to mean a tunnel that works; everything else must say what is wrong.
TEST_CASE("without a handshake everything is handed off, with a status of its own") {
    BootWorld world;
    world.gateway_answers_handshake = false;
    CHECK(world.boot() == ExitStatus::NoHandshake);
    REQUIRE(world.handed_off);
    CHECK(!world.handed_off->handshake_answered);
    CHECK(world.stored_state->enrolled);
    SUBCASE("unless nobody wants to wait for it") {
        world.settings.handshake_timeout = Duration{};
        CHECK(world.boot() == ExitStatus::Joined);
    }
}

TEST_CASE("what the kernel or the disk refuses has its own exit status") {
    BootWorld world;
    ExitStatus expected = ExitStatus::Joined;
    SUBCASE("overlay") {
        world.overlay_error = Error{ErrorCode::Unsupported, "the kernel has no WireGuard"};
        expected = ExitStatus::OverlayFailed;
    }
    SUBCASE("hand-off") {
        world.handoff_error = Error{ErrorCode::Exhausted, "disk full"};
        expected = ExitStatus::HandOffFailed;
    }
    CHECK(world.boot() == expected);
}

// A node whose place was given up would say that its invite is bad, and keep its interface.
TEST_CASE("a retired node leaves the overlay and keeps its key") {
    BootWorld world;
    REQUIRE(world.boot() == ExitStatus::Joined);
    world.org.refuse_all = RefusalCode::Retired;
    CHECK(world.boot() == ExitStatus::Revoked);
    CHECK(world.taken_down);
    CHECK(world.stored_key);
    CHECK(world.stored_state->revoked);
}
