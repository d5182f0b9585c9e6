#include "mesh/beacon.h"

#include <doctest/doctest.h>

using namespace fortros;
using namespace fortros::mesh;

static const OrgPrefix org = *OrgPrefix::parse("fd12:3456:789a::/48");
static const OrgPrefix other_org = *OrgPrefix::parse("fd12:3456:789b::/48");

static Beacon sample_beacon() {
    Beacon beacon{.port = 51820};
    for (std::size_t i = 0; i < key_size; ++i)
        beacon.sender.bytes[i] = static_cast<std::uint8_t>(i);
    return beacon;
}

// Neighbours on one switch would talk through a lighthouse at the other end of the country.
TEST_CASE("a beacon names its sender and port to members of the same org alone") {
    const Bytes bytes = encode(sample_beacon(), org);
    CHECK(bytes.size() <= beacon_size_limit);
    const auto parsed = parse_beacon(bytes, org);
    REQUIRE(parsed);
    CHECK(*parsed == sample_beacon());
    const auto foreign = parse_beacon(bytes, other_org);
    REQUIRE(foreign);
    CHECK(!*foreign);
}

// Whoever is on the link can send anything.
TEST_CASE("what is no beacon is none") {
    const Bytes bytes = encode(sample_beacon(), org);
    for (std::size_t size = 0; size < bytes.size(); ++size)
        CHECK(!parse_beacon(ByteView(bytes).first(size), org));
    Bytes longer = bytes;
    longer.push_back(0);
    CHECK(!parse_beacon(longer, org));
    Bytes portless = bytes;
    portless[beacon_size - 1] = portless[beacon_size - 2] = 0;
    CHECK(!parse_beacon(portless, org));
    Bytes keyless = bytes;
    keyless[4 + 8 + 31] = 0x80;
    CHECK(!parse_beacon(keyless, org));
    Bytes later = bytes;
    later[2] = '2';
    CHECK(!parse_beacon(later, org));
}

// Groups that routers forward would tell the whole site; unknown ones collide with others' protocols.
TEST_CASE("beacons go to groups of the link's scope") {
    CHECK(beacon_group(Family::IPv6).text() == "[ff12::5180]:5180");
    CHECK(beacon_group(Family::IPv4).text() == "239.255.51.80:5180");
}

static unsigned sent_in(BeaconSchedule& schedule, Instant from, Duration time, Random& random) {
    unsigned sent = 0;
    for (Instant now = from; now < from + time; now += 100ms) sent += schedule.step(now, random);
    return sent;
}

// A quiet LAN would be told nothing for hours, or a large one be flooded.
TEST_CASE("a beacon is sent at the start, after a change, and every five minutes or so") {
    SeededRandom random(1);
    BeaconSchedule schedule(Instant{});
    CHECK(schedule.step(Instant{}, random));
    CHECK(sent_in(schedule, Instant{}, 10s, random) == beacon_burst - 1);
    const unsigned in_a_day = sent_in(schedule, Instant{10s}, 24h, random);
    CHECK(in_a_day >= 24 * 60 / 5 * 9 / 10);
    CHECK(in_a_day <= 24 * 60 / 5 * 11 / 10);
    schedule.changed(Instant{25h});
    CHECK(schedule.next_step() == Instant{25h});
    CHECK(sent_in(schedule, Instant{25h}, 10s, random) == beacon_burst);
}

// A thousand machines that come up after a power cut would answer each other's beacons a million times.
TEST_CASE("an unknown neighbour is answered soon, and many are answered once") {
    SeededRandom random(1);
    BeaconSchedule schedule(Instant{});
    sent_in(schedule, Instant{}, 20s, random);
    const Instant now{30s};
    for (unsigned i = 0; i < 1000; ++i) schedule.heard_unknown(now + 1ms * i, random);
    CHECK(sent_in(schedule, now, 2s, random) == 1);
    for (unsigned i = 0; i < 1000; ++i) schedule.heard_unknown(now + 5s, random);
    CHECK(sent_in(schedule, now + 5s, 2s, random) == 0);
    schedule.heard_unknown(now + beacon_answer_interval, random);
    CHECK(sent_in(schedule, now + beacon_answer_interval, 2s, random) == 1);
}
