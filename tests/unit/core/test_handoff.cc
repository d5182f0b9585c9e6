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
    CHECK(read->node == written.node);
    CHECK(read->overlay_address == written.overlay_address);
    CHECK(read->attestation == written.attestation);
    CHECK(read->prefix == written.prefix);
    CHECK(read->gateway == written.gateway);
    CHECK(read->gateway_key == written.gateway_key);
    CHECK(read->source == written.source);
    CHECK(!read->remembered);
    CHECK(read->peers == written.peers);
    REQUIRE(read->interfaces.size() == written.interfaces.size());
    for (std::size_t i = 0; i < read->interfaces.size(); ++i)
        CHECK(read->interfaces[i].plan == written.interfaces[i].plan);
    REQUIRE(read->uplinks.size() == 1);
    CHECK(read->uplinks[0].mac == written.uplinks[0].mac);
    CHECK(read->timeline.size() == 8);  // its own writing can't be in it
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
}
