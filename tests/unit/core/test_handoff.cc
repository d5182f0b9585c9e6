#include "core/handoff.h"

#include <doctest/doctest.h>

#include "base/encoding.h"
#include "fakes/boot_world.h"

using namespace fortros;

// The maintainer that can't read the hand-off tears nothing down, but also keeps nothing up.
TEST_CASE("a hand-off survives the way through its file") {
    fakes::BootWorld world;
    REQUIRE(world.boot() == ExitStatus::Joined);
    const HandOff& written = *world.handed_off;
    const auto read = parse_hand_off(to_json_text(written));
    REQUIRE_MESSAGE(read, (read ? "" : read.error().text()));
    CHECK(read->boot_id == "0123456789abcdef0123456789abcdef");
    CHECK(read->node == written.node);
    CHECK(read->overlay_address == written.overlay_address);
    CHECK(read->attestation == written.attestation);
    CHECK(read->prefix == written.prefix);
    CHECK(read->gateway == written.gateway);
    CHECK(read->gateway_key == written.gateway_key);
    CHECK(read->source == written.source);
    CHECK(read->gateways == written.gateways);
    CHECK(read->state_store == written.state_store);
    CHECK(read->sources == written.sources);
    CHECK(!read->remembered);
    CHECK(read->floor.serial == 1);
    CHECK(read->floor == written.floor);
    CHECK(read->peers == written.peers);
    REQUIRE(read->interfaces.size() == written.interfaces.size());
    for (std::size_t i = 0; i < read->interfaces.size(); ++i)
        CHECK(read->interfaces[i].plan == written.interfaces[i].plan);
    REQUIRE(read->uplinks.size() == 1);
    CHECK(read->uplinks[0].mac == written.uplinks[0].mac);
    CHECK(read->timeline.size() == 8);  // its own writing can't be in it
}

// After an update of the maintainer alone a node would not come up.
TEST_CASE("a hand-off of an older preboot is read all the same") {
    fakes::BootWorld world;
    REQUIRE(world.boot() == ExitStatus::Joined);
    HandOff written = *world.handed_off;
    written.gateways.clear();
    std::string text = to_json_text(written);
    const auto forget = [&text](std::string_view member) {
        const auto line = text.find("\n" + std::string(member));
        REQUIRE(line != std::string::npos);
        text.erase(line, text.find('\n', line + 1) - line);
    };
    forget("  \"boot_id\"");
    forget("  \"state_store\"");
    forget("    \"document_serial\"");
    text.replace(text.find(",\n    \"signers_since\": 0"), 24, "");
    const auto read = parse_hand_off(text);
    REQUIRE_MESSAGE(read, (read ? "" : read.error().text()));
    CHECK(read->state_store.kind == StoreKind::Ephemeral);
    CHECK(read->boot_id.empty());
    CHECK(read->floor == OrgFloor{});
}

// With every gateway down a node is in the overlay all the same, and must be kept there.
TEST_CASE("a hand-off that no gateway has answered is read back") {
    fakes::BootWorld world;
    REQUIRE(world.boot() == ExitStatus::Joined);
    HandOff written = *world.handed_off;
    written.remembered = true;
    for (auto& peer : written.peers) peer.attestation.clear();
    const std::string text = to_json_text(written);
    CHECK(text.contains("\"source\": \"remembered\""));
    CHECK(!text.contains(written.gateway.text()));
    const auto read = parse_hand_off(text);
    REQUIRE_MESSAGE(read, (read ? "" : read.error().text()));
    CHECK(read->remembered);
    CHECK(read->handshake_answered == written.handshake_answered);
    CHECK(read->peers == written.peers);
    CHECK(read->node == written.node);
}

// The real root's client could neither renew nor release what the node has; or it would ask as
// another client, and the tunnel would lose its underlay.
TEST_CASE("a hand-off carries leases whole") {
    fakes::BootWorld world;
    REQUIRE(world.boot() == ExitStatus::Joined);
    HandOff hand_off = *world.handed_off;
    REQUIRE(!hand_off.uplinks.empty());
    UplinkHandOff& uplink = hand_off.uplinks[0];
    const auto address = [](std::string_view text) { return *IpAddress::parse(text); };
    uplink.vlan = VlanSetting{.name = uplink.name, .parent = "eth0", .id = 7};
    DhcpLease lease{
        .address = *IpNetwork::parse("192.0.2.77/24"),
        .broadcast = address("192.0.2.255"),
        .routes = {{*IpNetwork::parse("0.0.0.0/0"), address("192.0.2.1")},
                   {*IpNetwork::parse("198.51.100.0/24"), IpAddress{}}},
        .resolvers = {address("192.0.2.53")},
        .ntp_servers = {address("192.0.2.123")},
        .mtu = 1400,
        .server = address("192.0.2.1"),
        .lifetime = endless_lease,
        .renew_after = std::chrono::seconds{300},
        .rebind_after = std::chrono::seconds{525},
        .client_id = {1, 2, 3, 4, 5, 6, 7},
        .acquired = Instant{} + 12345ms,
    };
    Dhcp6Lease lease6{
        .address = address("2001:db8::77"),
        .preferred = std::chrono::seconds{400},
        .lifetime = std::chrono::seconds{600},
        .renew_after = std::chrono::seconds{200},
        .rebind_after = std::chrono::seconds{320},
        .resolvers = {address("2001:db8::53")},
        .ntp_servers = {address("2001:db8::123")},
        .refresh_after = std::chrono::seconds{86400},
        .server_id = {0, 3, 0, 1, 9},
        .client_id = {0, 3, 0, 1, 8},
        .iaid = 0xfffffffe,
        .acquired = Instant{} + 54321ms,
    };
    uplink.dhcp = lease;
    uplink.dhcp6 = lease6;
    const auto read = parse_hand_off(to_json_text(hand_off));
    REQUIRE_MESSAGE(read, (read ? "" : read.error().text()));
    CHECK(read->uplinks == hand_off.uplinks);

    lease.broadcast.reset();
    lease.mtu.reset();
    lease6.address.reset();
    uplink.dhcp = lease;
    uplink.dhcp6 = lease6;
    const auto less = parse_hand_off(to_json_text(hand_off));
    REQUIRE(less);
    CHECK(less->uplinks == hand_off.uplinks);
}

// A key in /run outlives its secrecy (nixpkgs 257525).
TEST_CASE("a hand-off holds no secret") {
    fakes::BootWorld world;
    REQUIRE(world.boot() == ExitStatus::Joined);
    const std::string text = to_json_text(*world.handed_off);
    CHECK(!text.contains(to_base64(world.stored_key->view())));
    CHECK(!text.contains(world.invite));
}

TEST_CASE("a hand-off that is damaged or of another version is refused") {
    fakes::BootWorld world;
    REQUIRE(world.boot() == ExitStatus::Joined);
    const std::string good = to_json_text(*world.handed_off);
    CHECK(!parse_hand_off(""));
    CHECK(!parse_hand_off("{}"));
    CHECK(!parse_hand_off(good.substr(0, good.size() / 2)));
    std::string newer = good;
    newer.replace(newer.find("\"version\": 1"), 12, "\"version\": 2");
    CHECK(!parse_hand_off(newer));
    std::string other = good;
    other.replace(other.find("\"boot_id\": \"0"), 12, "\"boot_id\": \"X");
    CHECK(!parse_hand_off(other));
}
