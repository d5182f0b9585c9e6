#include "maintainer/serf_conversation.h"

#include <doctest/doctest.h>

#include "base/encoding.h"
#include "core/attestation.h"

using namespace fortros;

namespace {

PublicKey key_of(std::uint8_t number) {
    PublicKey key;
    key.bytes.fill(number);
    key.bytes[31] = 0;
    return key;
}

const Bytes attestation(attestation_size, 0x5a);

MessagePack::Map attested() { return {{"a", to_base64(attestation)}, {"role", "web"}}; }

MessagePack member(const PublicKey& key, const char* status, MessagePack::Map tags) {
    return MessagePack::Map{{"Addr", std::string("\xfd\x00", 2)},
                            {"Name", key.base64url()},
                            {"Port", 7946},
                            {"Status", status},
                            {"Tags", std::move(tags)}};
}

Bytes header(std::int64_t sequence, const char* error = "") {
    Bytes out;
    MessagePack(MessagePack::Map{{"Error", error}, {"Seq", sequence}}).write_to(out);
    return out;
}

Bytes body(MessagePack::Map map) {
    Bytes out;
    MessagePack(std::move(map)).write_to(out);
    return out;
}

Bytes joined(std::initializer_list<Bytes> parts) {
    Bytes out;
    for (const Bytes& part : parts) out.insert(out.end(), part.begin(), part.end());
    return out;
}

// One that has begun: 1 handshake, 2 password, 3 stream, 4 members.
SerfConversation begun() {
    SerfConversation conversation;
    (void)conversation.begin("password");
    return conversation;
}

}  // namespace

// A node that came or went while the maintainer was connecting would never be known.
TEST_CASE("serf: the members and then each event are told, in any portions") {
    auto conversation = begun();
    const auto one = member(key_of(1), "alive", attested());
    const auto silent = member(key_of(2), "failed", attested());
    const Bytes said =
        joined({header(1), header(2), header(3), header(4),
                body({{"Members", MessagePack::Array{one, silent}}}), header(3),
                body({{"Event", "member-update"}, {"Members", MessagePack::Array{one}}})});
    for (const std::size_t portion : {std::size_t{1}, std::size_t{7}, said.size()}) {
        auto talk = conversation;
        std::vector<SerfHeard> heard;
        for (std::size_t at = 0; at < said.size(); at += portion) {
            auto some = talk.hear(ByteView(said).subspan(at, std::min(portion, said.size() - at)));
            REQUIRE(some);
            for (auto& item : *some) heard.push_back(std::move(item));
        }
        REQUIRE(heard.size() == 2);
        const auto& all = std::get<SerfMembersHeard>(heard[0]);
        CHECK(all.complete);
        REQUIRE(all.members.size() == 2);
        CHECK(all.members[0] == SerfMember{key_of(1), true, attestation});
        CHECK(all.members[1].key == key_of(2));
        CHECK_FALSE(all.members[1].alive);
        CHECK_FALSE(std::get<SerfMembersHeard>(heard[1]).complete);
    }
}

// Somebody else's agent in the cluster, or one with broken tags, would hide all members.
TEST_CASE("serf: who is none of ours is left out") {
    auto conversation = begun();
    auto other = member(key_of(1), "alive", attested());
    MessagePack::Map named = *other.map();
    named[1].second = "web-1";
    const auto bare = member(key_of(2), "alive", {});
    const auto short_one = member(key_of(3), "alive", {{"a", to_base64(Bytes(7))}});
    const auto good = member(key_of(5), "alive", attested());
    const auto heard = conversation.hear(
        joined({header(1), header(2), header(3), header(4),
                body({{"Members", MessagePack::Array{MessagePack(named), bare, short_one, good,
                                                     MessagePack("no map")}}})}));
    REQUIRE(heard);
    REQUIRE(heard->size() == 1);
    const auto& members = std::get<SerfMembersHeard>(heard->front()).members;
    REQUIRE(members.size() == 1);
    CHECK(members[0].key == key_of(5));
}

// An agent of another version, or one that wants a password, would be talked to for ever.
TEST_CASE("serf: a refused handshake ends the conversation, a refused request does not") {
    auto conversation = begun();
    const auto refused = conversation.hear(header(1, "Unsupported version"));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::Unsupported);
    auto stranger = begun();
    const auto denied =
        stranger.hear(joined({header(1), header(2, "Invalid authentication token")}));
    REQUIRE_FALSE(denied);
    CHECK(denied.error().code == ErrorCode::PermissionDenied);

    auto other = begun();
    REQUIRE(other.announce(attestation));
    REQUIRE(other.join({*IpAddress::parse("fd12::1")}));
    const auto heard =
        other.hear(joined({header(1), header(2), header(3), header(5, "tags too long"),
                           header(6, "no such host"), body({{"Num", 0}})}));
    REQUIRE(heard);
    REQUIRE(heard->size() == 2);
    CHECK(std::get<SerfRefused>((*heard)[0]).command == "tags");
    CHECK(std::get<SerfRefused>((*heard)[1]).why == "no such host");
}

// A node would be taken for near that is far, or the other way round.
TEST_CASE("serf: coordinates are those of the node that was asked for, and give Serf's estimate") {
    auto conversation = begun();
    REQUIRE(conversation.ask_coordinate(key_of(7)));
    REQUIRE(conversation.ask_coordinate(key_of(8)));
    // As an agent says it: {"Coord": {Adjustment, Error, Height, Vec: 2 reals}, "Ok": true}.
    const Bytes real = *from_hex(
        "82a5436f6f726484aa41646a7573746d656e74cb3f50624dd2f1a9fca54572726f72cb3ff8000000000000"
        "a6486569676874cb3f50624dd2f1a9fca356656392cb3fb999999999999acb0000000000000000a24f6bc3");
    const Bytes none = *from_hex(
        "82a5436f6f726484aa41646a7573746d656e74cb0000000000000000a54572726f72cb0000000000000000"
        "a6486569676874cb0000000000000000a3566563c0a24f6bc2");
    const auto heard = conversation.hear(
        joined({header(1), header(2), header(3), header(6), none, header(5), real}));
    REQUIRE(heard);
    REQUIRE(heard->size() == 2);
    CHECK(std::get<SerfCoordinateHeard>((*heard)[0]).node == key_of(8));
    CHECK_FALSE(std::get<SerfCoordinateHeard>((*heard)[0]).coordinate);
    const auto& there = std::get<SerfCoordinateHeard>((*heard)[1]);
    CHECK(there.node == key_of(7));
    REQUIRE(there.coordinate);
    const SerfCoordinate here{{0, 0}, 0.001, 0};
    // 100 ms apart, heights of 1 ms each, an adjustment of 1 ms.
    REQUIRE(estimate_rtt(here, *there.coordinate));
    CHECK(milliseconds_of(*estimate_rtt(here, *there.coordinate)) == doctest::Approx(103));
    CHECK_FALSE(estimate_rtt({{0}, 0, 0}, *there.coordinate));
    CHECK_FALSE(estimate_rtt({{1e300, 0}, 0, 0}, *there.coordinate));
}

// Whoever listens on the agent's port could make the maintainer use all memory, or end it.
TEST_CASE("serf: what is no answer, or too large, is an error") {
    for (const Bytes& bytes :
         {header(9), Bytes{0xc1}, Bytes{0xdb, 0xff, 0xff, 0xff, 0xff},
          Bytes{0xdd, 0xff, 0xff, 0xff, 0xff}, Bytes{0xdf, 0x7f, 0xff, 0xff, 0xff}, Bytes{0xc0},
          Bytes{0x81, 0xa3, 'S', 'e', 'q', 0xff}, joined({Bytes(40, 0x91), Bytes{0xc0}}),
          joined({header(1), header(2), header(3), header(4), body({{"Members", 1}})})}) {
        CAPTURE(to_hex(bytes));
        auto conversation = begun();
        const auto heard = conversation.hear(bytes);
        REQUIRE_FALSE(heard);
        CHECK(heard.error().code == ErrorCode::InvalidData);
    }
}

// A stuck agent would let the maintainer's memory grow.
TEST_CASE("serf: no more questions than can be remembered") {
    auto conversation = begun();
    std::size_t asked = 4;
    while (conversation.ask_coordinate(key_of(1))) ++asked;
    CHECK(asked == serf_requests_limit);
    CHECK(conversation.announce(attestation).error().code == ErrorCode::Busy);
}
