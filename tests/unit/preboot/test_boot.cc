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

// One WireGuard packet from a clock far ahead poisons the peer; the join's time comes first.
TEST_CASE("an untrusted clock is set from the join before WireGuard is configured") {
    BootWorld world;
    world.clock_trusted = false;
    REQUIRE(world.boot() == ExitStatus::Joined);
    REQUIRE(world.clock_set);
    CHECK(position(world, "set-clock") < position(world, "apply-overlay"));
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

// --- operational at once ---------------------------------------------------------------------------

// A world whose node has booted once.
struct Provisioned : BootWorld {
    Provisioned() {
        REQUIRE(boot() == ExitStatus::Joined);
        REQUIRE(!applied_from_memory);
        REQUIRE(!stored_state->bootstrap_set.empty());
    }
};

// A power cut in the whole site must not make a thousand nodes wait for one gateway's HTTPS.
TEST_CASE("fast start: the overlay is up before any gateway is asked") {
    Provisioned world;
    REQUIRE(world.boot() == ExitStatus::Joined);
    REQUIRE(world.applied_from_memory);
    CHECK(world.order.front() == "apply-overlay");
    CHECK(world.applied_from_memory->address == world.handed_off->overlay_address);
    CHECK(!world.handed_off->remembered);
    CHECK(world.handed_off->handshake_answered);
}

// The gateway leaves a session alone that it was told of; a second handshake would only cost time.
TEST_CASE("fast start: a session that works is not begun anew") {
    Provisioned world;
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(!world.renewed);
    CHECK(std::ranges::count(world.order, "await-handshake") == 1);
}

// What the gateway was not told of it has forgotten: the node would wait 15 s for its packets.
TEST_CASE("fast start: a session that came too late for the join is begun anew") {
    Provisioned world;
    world.handshake_takes = 500ms;
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(world.renewed == world.org.gateway_public);
    CHECK(std::ranges::count(world.order, "await-handshake") == 2);
    CHECK(world.handed_off->handshake_answered);
}

TEST_CASE("fast start: with every gateway's HTTPS dead the node is in the overlay and says so") {
    Provisioned world;
    world.hosts[gateway] = Host::Silent;
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(world.took >= world.settings.total_timeout);
    REQUIRE(world.handed_off);
    CHECK(world.handed_off->remembered);
    CHECK(world.handed_off->handshake_answered);
    CHECK(parse_hand_off(to_json_text(*world.handed_off)));
    CHECK(world.logged("no gateway has confirmed"));
    CHECK(!world.taken_down);
}

// An overlay in which nobody answers is none, and must not look like one.
TEST_CASE("fast start: with everything dead the boot fails as it would without it") {
    Provisioned world;
    world.hosts[gateway] = Host::Silent;
    world.gateway_answers_handshake = false;
    CHECK(world.boot() == ExitStatus::NoGateway);
    CHECK(world.applied_from_memory);
    CHECK(!world.handed_off);
    CHECK(world.taken_down);
}

// Flash wears out, and some machines are started ten times a day.
TEST_CASE("fast start: a set that says nothing new is not written again") {
    Provisioned world;
    const Bytes before = world.stored_state->bootstrap_set;
    world.wall += one_day * 6;
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(world.stored_state->bootstrap_set == before);
    world.wall += one_day * 2;
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(world.stored_state->bootstrap_set != before);
}

// The gateway signs the same words anew for every answer, and every signature is another one.
TEST_CASE("fast start: an attestation that says nothing new is not written again") {
    BootWorld world;
    WallTime not_after = world.wall + one_day * 30;
    world.org.tamper = [&](MembershipAnswer& answer) {
        answer.attestation =
            world.org.signer.attest(answer.prefix, answer.node, Role::Node, not_after);
    };
    REQUIRE(world.boot() == ExitStatus::Joined);
    const NodeState before = *world.stored_state;
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(*world.stored_state == before);
    not_after += one_day;
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(world.stored_state->attestation != before.attestation);
}

// Whoever can write to flash, or has kept what was there, must gain nothing.
TEST_CASE(
    "fast start: a set that may not be believed is not used, and the node joins all the same") {
    Provisioned world;
    const char* why = "";
    SUBCASE("altered") {
        world.stored_state->bootstrap_set[90] ^= 1;
        why = "signature";
    }
    SUBCASE("somebody else's") {
        BootWorld other(2);
        REQUIRE(other.boot() == ExitStatus::Joined);
        world.stored_state->bootstrap_set = other.stored_state->bootstrap_set;
        why = "bootstrap set";
    }
    SUBCASE("expired") {
        world.wall += one_day * 15;
        why = "expired";
    }
    SUBCASE("older than the newest seen") {
        ++world.stored_state->bootstrap_serial;
        why = "newer one";
    }
    SUBCASE("of an older policy") {
        world.stored_state->document_serial = ++world.org.document_serial;
        why = "policy has changed";
    }
    SUBCASE("the clock is not trusted") {
        world.clock_trusted = false;
        why = "clock is not trusted";
    }
    SUBCASE("signed by a stranger") {
        world.stored_state->bootstrap_signer[5] ^= 1;
        why = "not the organisation's";
    }
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(!world.applied_from_memory);
    CHECK(world.logged("the remembered bootstrap set is not used"));
    CHECK(world.logged(why));
}

// A thief of a signer's key has signed it, perhaps; the org has another signer since.
TEST_CASE("fast start: a set of a disowned signer is not used, nor its answers") {
    Provisioned world;
    world.stored_state->signers_since = world.org.signer.signer().not_before + one_day;
    CHECK(world.boot() == ExitStatus::GatewayUntrusted);
    CHECK(!world.applied_from_memory);
    CHECK(world.logged("the organisation has disowned its signer"));
}

TEST_CASE("fast start: policy can switch it off") {
    Provisioned world;
    SUBCASE("FastStart=no") { world.settings.fast_start = false; }
    SUBCASE("cached addresses are not allowed") {
        world.settings.sources = SourceSet::only(Source::PublicDns);
    }
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(!world.applied_from_memory);
}

// One gateway that errs must not be able to end a fleet.
TEST_CASE("fast start: a revocation takes the overlay down and deletes nothing") {
    Provisioned world;
    world.org.refuse_all = RefusalCode::Revoked;
    CHECK(world.boot() == ExitStatus::Revoked);
    CHECK(world.applied_from_memory);
    CHECK(world.taken_down);
    CHECK(!world.handed_off);
    CHECK(world.stored_key);
    CHECK(world.stored_state->revoked);
    CHECK(!world.stored_state->bootstrap_set.empty());
    // It asks again before it is in the overlay.
    world.boot();
    CHECK(!world.applied_from_memory);
}

// Interfaces without a hand-off would be nobody's.
TEST_CASE("fast start: a boot that is refused leaves no overlay behind") {
    Provisioned world;
    world.org.refuse_all = RefusalCode::UnknownNode;
    CHECK(world.boot() == ExitStatus::Refused);
    CHECK(world.taken_down);
    CHECK(!world.handed_off);
}
