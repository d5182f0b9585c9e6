// The overlay from what is remembered, in whole boots in virtual time.
#include <doctest/doctest.h>

#include <algorithm>

#include "fakes/boot_world.h"

using namespace fortros;
using namespace fortros::fakes;

static const Endpoint gateway = *Endpoint::parse("203.0.113.5:443");

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
    // An older document, without the revocations since, must not be news to the maintainer.
    CHECK(world.handed_off->floor.serial == 1);
    CHECK(world.handed_off->floor.signers_since == world.stored_state->signers_since);
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

// An organisation with a long signer's certificate would wonder why its nodes start slowly.
TEST_CASE("fast start: a signer's certificate for which there is no room is told of, once a boot") {
    BootWorld world(1, FakeSigner({}, WallTime::max(), bootstrap_signer_limit));
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(world.stored_state->bootstrap_set.empty());
    const auto is_told = [](const std::string& line) {
        return line.contains("the certificate of the set's signer has");
    };
    CHECK(std::ranges::count_if(world.log, is_told) == 1);
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

// --- where the tunnel leads ------------------------------------------------------------------------

// A node with two families, and a gateway whose WireGuard answers by one of them.
struct TwoFamilies : Provisioned {
    TwoFamilies() {
        org.more_wireguard = {*Endpoint::parse("[2001:db8::5]:51820")};
        stored_state->bootstrap_set.clear();
        REQUIRE(boot() == ExitStatus::Joined);
        hosts[gateway] = Host::Silent;
        for (const auto& endpoint : {org.wireguard, org.more_wireguard.front()})
            wireguards[endpoint] = {org.gateway_public, true};
        FakeLink only{links.front().report, LinkPhase{}};
        only.report.addresses = {*IpNetwork::parse("192.0.2.10/24"),
                                 *IpNetwork::parse("2001:db8:2::10/64")};
        links = {only};
    }
    LinkPhase phase(Route v4, Route v6) const {
        return {.up = true, .v4 = v4, .v6 = v6, .resolvers = {}};
    }
};

// A site whose IPv4 is broken, and whose cards have addresses of both: the node would be out for as
// long as no gateway serves HTTPS.
TEST_CASE("fast start: where nobody answers by one family the other has its turn") {
    TwoFamilies world;
    SUBCASE("IPv4 leads nowhere") {
        world.links[0].is.then(world.now.instant + 100ms,
                               world.phase(Route::Blackhole, Route::Works));
    }
    SUBCASE("IPv6 leads nowhere") {
        std::ranges::reverse(world.links[0].report.addresses);
        world.links[0].is.then(world.now.instant + 100ms,
                               world.phase(Route::Works, Route::Blackhole));
    }
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(world.handed_off->remembered);
}

// The router's advertisement often comes after the DHCP lease: nobody waits for a round to end.
TEST_CASE("fast start: an address of the other family is tried as soon as it comes") {
    TwoFamilies world;
    const Instant begin = world.now.instant;
    world.hosts[gateway] = Host::StallingRogue;  // the round goes on for AttemptTimeout=
    world.links[0].is.then(begin + 100ms, world.phase(Route::Blackhole, Route::None));
    world.links[0].is.then(begin + 1s, world.phase(Route::Blackhole, Route::Works));
    Instant answered{};
    world.witness = [&](const std::string& line) {
        if (line.contains("the tunnel works")) answered = world.now.instant;
    };
    REQUIRE(world.boot() == ExitStatus::Joined);
    REQUIRE(answered > begin);
    CHECK(answered - begin < 2s);
}

// Turning a tunnel that works to where nothing works would cut it.
TEST_CASE("fast start: who has answered is left where it is") {
    TwoFamilies world;
    world.links[0].is.then(world.now.instant + 100ms, world.phase(Route::Works, Route::Works));
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(world.handed_off->remembered);
    CHECK(std::ranges::count(world.order, "apply-overlay") == 1);
}

// Of a session that only the other side of the node's own kernel knows the gateway must not be told.
TEST_CASE("fast start: a gateway is told of a session only if this boot has one with it") {
    Provisioned world;
    SUBCASE("nobody has answered") { world.gateway_answers_handshake = false; }
    SUBCASE("too late") { world.handshake_takes = 500ms; }
    world.boot();
    CHECK(world.org.joins == 1);
    CHECK(world.org.false_sessions == 0);
    CHECK(world.renewed == world.org.gateway_public);
}

// Without a fast start there is no session that could have to be begun anew.
TEST_CASE("fast start: nothing is renewed where nothing was remembered") {
    Provisioned world;
    world.settings.fast_start = false;
    REQUIRE(world.boot() == ExitStatus::Joined);
    CHECK(!world.renewed);
}
