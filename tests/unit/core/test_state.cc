#include "core/state.h"

#include <doctest/doctest.h>

#include "core/bootstrap_set.h"
#include "core/crypto.h"
#include "vectors.h"

using namespace fortros;

static NodeState full_state() {
    NodeState state;
    state.node = *PublicKey::from_bytes(Bytes(32, 7));
    state.enrolled = true;
    state.prefix = *OrgPrefix::parse("fd12:3456:789a::/48");
    state.gateways = {*Endpoint::parse("192.0.2.1:443"), *Endpoint::parse("[2001:db8::1]:8443")};
    state.clock_floor = *from_rfc3339("2026-11-22T10:00:00Z");
    state.policy = SourceSet::only(Source::Cached).add(Source::DhcpDns);
    state.document_serial = 3;
    state.attestation_serial = UINT64_MAX;
    state.revoked = true;
    return state;
}

// Hexadecimal that may have blanks between its fields.
static Bytes from_fields(std::string_view text) {
    std::string digits(text);
    std::erase(digits, ' ');
    return *from_hex(digits);
}

// A whole state around `fields`, given in hexadecimal, with the right length and checksum.
static Bytes framed(std::string_view fields_in_hex, std::uint8_t version = 1) {
    const Bytes fields = from_fields(fields_in_hex);
    ByteWriter writer;
    writer.text("FORTROS").u8(version).u16(static_cast<std::uint16_t>(fields.size())).bytes(fields);
    const auto digest = crypto::sha256({writer.view()});
    writer.bytes(ByteView(digest).first(8));
    return writer.take();
}

static NodeState with_bootstrap(NodeState state) {
    state.attestation = Bytes(attestation_size, 0xa1);
    state.bootstrap_set = {1, 2, 3};
    state.bootstrap_signer = {4, 5};
    state.bootstrap_serial = 6;
    return state;
}

static std::string error_of(ByteView bytes) {
    const auto state = decode_state(bytes);
    if (state) return "none";
    CHECK(state.error().code == ErrorCode::InvalidData);
    constexpr std::string_view prefix = "the remembered state ";
    CHECK(state.error().text().starts_with(prefix));
    return state.error().text().substr(prefix.size());
}

static const std::string node_field =
    "010020 0707070707070707070707070707070707070707070707070707070707070707";

// The second boot knows the gateway from these bytes alone: no resolver may be needed.
TEST_CASE("a state survives its bytes") {
    CHECK(*decode_state(encode(full_state())) == full_state());
    NodeState least;
    least.node = full_state().node;
    CHECK(*decode_state(encode(least)) == least);
    CHECK(*decode_state(encode(with_bootstrap(full_state()))) == with_bootstrap(full_state()));
    CHECK(*decode_state(encode(with_bootstrap(least))) == with_bootstrap(least));
    least.signers_since = WallTime{std::chrono::seconds{1'700'000'000}};
    CHECK(*decode_state(encode(least)) == least);
}

// A released agent has written these bytes: an update that reads them otherwise forgets the org.
TEST_CASE("the format stays what it was") {
    CHECK(encode(full_state()) ==
          from_fields("464f5254524f5301 0072" + node_field +
                      " 020006 fd123456789a"
                      " 03001a 04 c0000201 01bb 06 20010db8000000000000000000000001 20fb"
                      " 040008 000000006b02bd20"
                      " 050001 05"
                      " 060008 0000000000000003"
                      " 070008 ffffffffffffffff"
                      " 080001 03"
                      " 1ed2d9c37e23e6cb"));
    NodeState newer = with_bootstrap({.node = full_state().node});
    std::string attestation = " 090095";
    for (std::size_t i = 0; i < attestation_size; ++i) attestation += "a1";
    CHECK(encode(newer) == framed(node_field + " 080001 00" + attestation +
                                  " 0c0008 0000000000000006 0a0003 010203 0b0002 0405"));
}

// Firmware may give back half a variable, or another system's: neither may become a policy.
TEST_CASE("any damage reads as absent, with the reason") {
    const Bytes good = encode(full_state());
    for (std::size_t size = 0; size < good.size(); ++size) {
        CAPTURE(size);
        CHECK(error_of(ByteView(good).first(size)) == (size == 0 ? "is empty" : "is cut off"));
    }
    for (std::size_t i = 0; i < good.size() * 8; ++i) {
        Bytes flipped = good;
        flipped[i / 8] = static_cast<std::uint8_t>(flipped[i / 8] ^ 1U << i % 8);
        CAPTURE(i);
        CHECK(error_of(flipped) != "none");
    }
    Bytes longer = good;
    longer.push_back(0);
    CHECK(error_of(longer) == "has bytes after its end");
    CHECK(error_of(Bytes(64, 0xff)) == "is garbage");
    CHECK(error_of(Bytes(state_size_limit + 1, 0)) == "is too large");
    Bytes wrong = good;
    wrong.back() ^= 1;
    CHECK(error_of(wrong) == "has a wrong checksum");
    CHECK(error_of(framed(node_field, 2)) == "has version 2, which is not known here");
}

// A sum that is right does not make a value right: a bug of yesterday wrote it, or an attacker.
TEST_CASE("a field that is no sound value is refused") {
    CHECK(error_of(framed(node_field)) == "none");
    CHECK(error_of(framed("")) == "names no node key");
    CHECK(error_of(framed(node_field + node_field)) == "has a field twice");
    CHECK(error_of(framed(node_field + "01")) == "has a field that is cut off");
    CHECK(error_of(framed(node_field + "090004 0000")) == "has a field that is cut off");
    const std::string no_key = "010020" + std::string(64, 'f');
    CHECK(error_of(framed(no_key)) == "names a node key that is none");
    CHECK(error_of(framed("01001f" + node_field.substr(9))) == "names a node key that is none");
    const auto with = [](std::string_view field) {
        return error_of(framed(std::string(node_field).append(field)));
    };
    CHECK(with("020006 fe123456789a") == "has a field that is no value");
    CHECK(with("020005 fd12345678") == "has a field that is no value");
    CHECK(with("030007 05 c0000201 01bb") == "names a gateway of no family");
    CHECK(with("030007 04 c0000201 0000") == "names a gateway at no address");
    CHECK(with("030007 04 00000000 01bb") == "names a gateway at no address");
    CHECK(with("030007 04 e0000001 01bb") == "names a gateway at no address");
    CHECK(with("030006 04 c0000201 01") == "names a gateway at no address");
    CHECK(with("030013 06 00000000000000000000ffffc0000201 01bb") ==
          "names a gateway at no address");
    CHECK(with("040007 00000000000000") == "has a number of the wrong size");
    CHECK(with("040008 0000003afff44180") == "has a time after the year 9999");
    CHECK(with("040008 8000000000000000") == "has a time after the year 9999");
    CHECK(with("050001 00") == "has a policy that is none");
    CHECK(with("050001 08") == "has a policy that is none");
    CHECK(with("050002 0101") == "has a byte of the wrong size");
    CHECK(with("060004 00000001") == "has a number of the wrong size");
    CHECK(with("070000") == "has a number of the wrong size");
    CHECK(with("080000") == "has a byte of the wrong size");
    CHECK(with("090001 00") == "has bytes of the wrong size");
    CHECK(with("0a0000") == "has bytes of the wrong size");
    CHECK(with("0a0401" + std::string(1025 * 2, '0')) == "has bytes of the wrong size");
    CHECK(with("0b0281" + std::string(641 * 2, '0')) == "has bytes of the wrong size");
    CHECK(with("0c0004 00000001") == "has a number of the wrong size");
    CHECK(with("0c0008 0000000000000001 0c0008 0000000000000001") == "has a field twice");
    CHECK(with("0a0001 00") == "has half of a bootstrap set");
    CHECK(with("0b0001 00") == "has half of a bootstrap set");
}

// An older agent after a roll-back must keep what it understands, or it would ask DNS again.
TEST_CASE("a field of a newer agent is skipped") {
    const auto state = decode_state(framed("ff0003 abcdef" + node_field + "ff0000 000000"));
    REQUIRE(state);
    CHECK(state->node == full_state().node);
}

// NVRAM is small, and a full one bricks machines.
TEST_CASE("only the newest gateways are kept, and the whole stays small") {
    NodeState state = full_state();
    state.gateways.clear();
    for (std::uint16_t port = 1; port <= 20; ++port)
        state.gateways.push_back({*IpAddress::parse("2001:db8::1"), port});
    const Bytes bytes = encode(state);
    CHECK(bytes.size() < 300);
    const auto again = decode_state(bytes);
    REQUIRE(again);
    REQUIRE(again->gateways.size() == state_gateways_limit);
    CHECK(again->gateways.front().port == 1);
    CHECK(again->gateways.back().port == state_gateways_limit);

    std::string nine = node_field + "03003f";
    for (int i = 0; i < 9; ++i) nine += "04c000020101bb";
    CHECK(error_of(framed(nine)) == "names too many gateways");
}

// As above with everything that may be in a state as large as it may be: were there no room, every
// boot of a large org would be a slow one.
TEST_CASE("the largest state with the largest bootstrap set fits") {
    NodeState state = with_bootstrap(full_state());
    state.gateways.assign(state_gateways_limit, *Endpoint::parse("[2001:db8::1]:8443"));
    state.bootstrap_set = bytes_of(read_vectors("bootstrap_set.json").array()->back(), "set");
    state.bootstrap_signer = Bytes(bootstrap_signer_limit, 1);
    state.bootstrap_serial = UINT64_MAX;
    const Bytes bytes = encode(state);
    CHECK(bytes.size() <= state_size_limit);
    CHECK(*decode_state(bytes) == state);
}

// The gateways and the policy keep an opsec node quiet: a set that is too large may not cost them.
TEST_CASE("a bootstrap set that does not fit is left out, and nothing else") {
    const auto kept = [](std::size_t set, std::size_t signer) {
        NodeState state = with_bootstrap(full_state());
        state.gateways.assign(state_gateways_limit, *Endpoint::parse("[2001:db8::1]:8443"));
        state.bootstrap_set = Bytes(set, 1);
        state.bootstrap_signer = Bytes(signer, 1);
        const auto again = decode_state(encode(state));
        REQUIRE(again);
        const bool has_set = !again->bootstrap_set.empty();
        if (!has_set) {
            state.bootstrap_set.clear();
            state.bootstrap_signer.clear();
        }
        CHECK(*again == state);
        return has_set;
    };
    CHECK(kept(908, bootstrap_signer_limit));
    CHECK(!kept(bootstrap_set_limit, bootstrap_signer_limit));
    CHECK(kept(bootstrap_set_limit, 500));
    CHECK(!kept(bootstrap_set_limit + 1, 100));
    CHECK(!kept(100, bootstrap_signer_limit + 1));
    CHECK(!kept(100, 0));
    CHECK(!kept(0, 100));
    NodeState state = full_state();
    state.attestation = {1};
    CHECK(decode_state(encode(state))->attestation.empty());
}

// A certificate may be dated before 1970: the state that remembers it must still be readable.
TEST_CASE("a clock floor that is no evidence is left out") {
    const auto floor_after = [](std::int64_t seconds) {
        NodeState state = full_state();
        state.clock_floor = WallTime{std::chrono::seconds{seconds}};
        const auto again = decode_state(encode(state));
        REQUIRE(again);
        return again->clock_floor.time_since_epoch().count();
    };
    CHECK(floor_after(-1) == 0);
    CHECK(floor_after(253402300800) == 0);
    CHECK(floor_after(253402300799) == 253402300799);
}
