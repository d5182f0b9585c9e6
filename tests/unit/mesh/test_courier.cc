#include "mesh/courier.h"

#include <doctest/doctest.h>

#include <deque>

#include "core/crypto.h"
#include "link_vectors.h"

using namespace fortros;
using namespace fortros::mesh;

namespace {

constexpr Instant now{1h};

// One maintainer in one of its lives.
struct Side {
    PrivateKey key;
    PublicKey own;
    SeededRandom random;
    Courier courier;

    Side(std::uint64_t identity, std::uint64_t life)
        : key(key_from(identity)),
          own(*crypto::public_key_of(key)),
          random(1000 * identity + life),
          courier(key, own, random) {}

    static PrivateKey key_from(std::uint64_t identity) {
        SeededRandom dice(identity);
        return crypto::make_private_key(dice);
    }
    Bytes say(const Side& to, std::uint64_t nonce, Instant at = now) {
        return *courier.seal(to.own, {.verb = LinkVerb::MayLeave, .nonce = nonce}, at);
    }
    // "counts 7", "not counted", or the error.
    std::string hear(const Bytes& datagram, std::vector<Bytes>* reply = nullptr) {
        auto opened = courier.open(datagram, true, now);
        if (!opened) return std::string(name_of(opened.error().code));
        if (reply) *reply = opened->reply;
        if (!opened->message) return "not counted";
        return "counts " + std::to_string(opened->message->nonce);
    }
};

// Carries all that one says and what follows, and gives the nonces that the other counted.
std::vector<std::uint64_t> carry(Side& from, Side& to, Bytes datagram) {
    std::vector<std::uint64_t> counted;
    std::deque<std::pair<Side*, Bytes>> wire{{&to, std::move(datagram)}};
    for (unsigned i = 0; !wire.empty() && i < 20; ++i) {
        auto [side, bytes] = wire.front();
        wire.pop_front();
        auto opened = side->courier.open(bytes, true, now);
        if (!opened) continue;
        if (side == &to && opened->message) counted.push_back(opened->message->nonce);
        for (auto& reply : opened->reply) wire.emplace_back(side == &to ? &from : &to, reply);
    }
    CHECK(wire.empty());
    return counted;
}

using Nonces = std::vector<std::uint64_t>;

}  // namespace

// Two versions of the agent that disagree on one byte would never be peers.
TEST_CASE("a conversation is, byte for byte, the published one") {
    // Sessions are drawn at random: here they are those of the vectors.
    struct FirstSession final : Random {
        explicit FirstSession(std::uint64_t session) : first(session) {}
        void fill(std::span<std::uint8_t> bytes) override {
            ByteWriter out;
            out.u64(first++);
            REQUIRE(bytes.size() == out.view().size());
            std::ranges::copy(out.view(), bytes.begin());
        }
        std::uint64_t first;
    };
    const Json vectors = read_vectors("link_message.json");
    const Json::Array& all = *vectors.array();
    const PrivateKey keys[] = {private_key_of(all[0], "sender_private"),
                               private_key_of(all[1], "sender_private")};
    const PublicKey own[] = {public_key_of(all[0], "sender_public"),
                             public_key_of(all[1], "sender_public")};
    FirstSession dice[] = {FirstSession(session_of(all[0], "sender_session")),
                           FirstSession(session_of(all[1], "sender_session"))};
    Courier couriers[] = {Courier(keys[0], own[0], dice[0]), Courier(keys[1], own[1], dice[1])};

    std::vector<Bytes> reply;
    for (std::size_t i = 0; i < all.size(); ++i) {
        CAPTURE(i);
        const LinkMessage message = message_of(all[i]);
        const bool is_reply = i == 1 || i == 2;  // the hello, and what is said again
        const Bytes datagram =
            is_reply ? reply.at(0) : *couriers[i % 2].seal(own[1 - i % 2], message, now);
        CHECK(to_base64(datagram) == text_of(all[i], "datagram"));
        const auto opened = couriers[1 - i % 2].open(datagram, true, now);
        REQUIRE(opened);
        CHECK(opened->from == own[i % 2]);
        if (i < 2)
            CHECK(!opened->message);
        else
            CHECK(opened->message == message);
        reply = opened->reply;
    }
}

// Nobody would be heard, or the first message after each start would be lost for seconds.
TEST_CASE("the first message counts after one hello, later ones at once") {
    Side a(1, 1);
    Side b(2, 1);
    CHECK(carry(a, b, a.say(b, 1)) == Nonces{1});
    CHECK(b.hear(a.say(b, 2)) == "counts 2");
    CHECK(a.hear(b.say(a, 3)) == "counts 3");
}

// What was said while the other was down would not be heard when it is back.
TEST_CASE("after a restart of either side what waits is said again, once") {
    Side a(1, 1);
    Side b(2, 1);
    carry(a, b, a.say(b, 1));
    SUBCASE("the receiver") {
        Side again(2, 2);
        CHECK(carry(a, again, a.say(again, 2)) == Nonces{2});
        CHECK(again.hear(a.say(b, 3)) == "counts 3");
        CHECK(a.hear(again.say(a, 4)) == "counts 4");
    }
    SUBCASE("the sender") {
        Side again(1, 2);
        CHECK(carry(again, b, again.say(b, 2)) == Nonces{2});
        CHECK(again.hear(b.say(again, 3)) == "counts 3");
    }
    SUBCASE("both") {
        Side a2(1, 2);
        Side b2(2, 2);
        const Bytes from_b = b2.say(a2, 3);
        CHECK(carry(a2, b2, a2.say(b2, 2)) == Nonces{2});
        CHECK(carry(b2, a2, from_b).size() <= 1);
        CHECK(carry(b2, a2, b2.say(a2, 4)).back() == 4);
    }
    SUBCASE("what is old is not said again") {
        const Bytes old = a.say(b, 2);
        Side again(2, 2);
        std::vector<Bytes> hello;
        CHECK(again.hear(old, &hello) == "not counted");
        const auto opened = a.courier.open(hello.at(0), true, now + courier_waiting_age + 1s);
        REQUIRE(opened);
        CHECK(opened->reply.empty());
    }
}

// A lighthouse could cut links, or make them, in the name of others.
TEST_CASE("a relay, which knows every public key and all that was said, can forge nothing") {
    Side a(1, 1);
    Side b(2, 1);
    Side relay(3, 1);
    carry(a, b, a.say(b, 1));
    // By its own key for another's name: the MAC is of the wrong pair.
    for (const Side* to : {&b, &a}) {
        Bytes forged = *relay.courier.seal(to->own, {.verb = LinkVerb::Leave}, now);
        std::ranges::copy(a.own.bytes, forged.begin() + 4);
        CHECK(b.hear(forged) == "untrusted");
    }
    // With a MAC of nothing, for whatever reason it might be taken.
    Bytes blank = a.say(b, 2);
    std::fill(blank.end() - 16, blank.end(), std::uint8_t{0});
    CHECK(b.hear(blank) == "untrusted");
    // What was said to the relay, or to a third, is not said to b.
    CHECK(b.hear(a.say(relay, 3)) == "untrusted");
    // Sent back to where it comes from, as it is and in the other's name.
    Bytes back = a.say(b, 4);
    CHECK(a.hear(back) == "untrusted");
    std::ranges::copy(b.own.bytes, back.begin() + 4);
    CHECK(a.hear(back) == "untrusted");
    // A key of low order, whose secrets everybody knows.
    Bytes low = a.say(b, 5);
    std::fill(low.begin() + 4, low.begin() + 36, std::uint8_t{0});
    CHECK(b.hear(low) == "untrusted");
    CHECK(!a.courier.seal(PublicKey{}, {}, now));
    // And none of that has harmed anybody.
    CHECK(b.hear(a.say(b, 6)) == "counts 6");
    CHECK(b.courier.peers() == 1);
}

// A relay could turn "keep" into "leave".
TEST_CASE("a datagram that differs in any byte, or is cut anywhere, does not count") {
    Side a(1, 1);
    Side b(2, 1);
    carry(a, b, a.say(b, 1));
    const Bytes said = a.say(b, 2);
    for (std::size_t i = 0; i < said.size(); ++i) {
        for (const std::uint8_t bit : {0x01, 0x80}) {
            Bytes altered = said;
            altered[i] ^= bit;
            const auto heard = b.hear(altered);
            CHECK_MESSAGE((heard == "untrusted" || heard == "invalid-data" || heard == "busy"),
                          "byte ", i, ": ", heard);
        }
        CHECK(!b.courier.open(ByteView(said).first(i), true, now));
    }
    CHECK(b.hear(said) == "counts 2");
}

// A relay that repeats an old "leave" would cut a link that was agreed again since.
TEST_CASE("a repeated datagram never counts, in its own session or in a later one") {
    Side a(1, 1);
    Side b(2, 1);
    carry(a, b, a.say(b, 1));
    const Bytes heard = a.say(b, 2);
    const Bytes held_back = a.say(b, 3);
    CHECK(b.hear(heard) == "counts 2");
    CHECK(b.hear(heard) == "conflict");
    SUBCASE("the sender restarted") {
        Side again(1, 2);
        CHECK(carry(again, b, again.say(b, 4)) == Nonces{4});
        CHECK(b.hear(heard) == "not counted");
        CHECK(b.hear(held_back) == "not counted");
        // Even with what answers it, and after all that: only the living is heard.
        CHECK(carry(again, b, heard) == Nonces{});
        CHECK(carry(again, b, again.say(b, 5)).back() == 5);
    }
    SUBCASE("the receiver restarted") {
        Side again(2, 2);
        CHECK(again.hear(heard) == "not counted");
        CHECK(again.hear(held_back) == "not counted");
        CHECK(carry(a, again, a.say(again, 4)).back() == 4);
        CHECK(again.hear(heard) == "not counted");
    }
    SUBCASE("the receiver has forgotten the sender") {
        b.courier.forget(a.own);
        CHECK(b.hear(heard) == "not counted");
        CHECK(b.hear(held_back) == "not counted");
    }
    SUBCASE("old hellos lead nowhere for long") {
        Side again(1, 2);
        std::vector<Bytes> hello;
        again.say(b, 4);
        CHECK(b.hear(again.say(b, 5), &hello) == "not counted");
        CHECK(again.hear(hello.at(0)) == "not counted");
        for (unsigned i = 0; i < 3; ++i) again.hear(hello.at(0));
        CHECK(carry(again, b, again.say(b, 6)).back() == 6);
    }
}

// On two ways at once, some datagrams overtake others; those that are late by little still count.
TEST_CASE("datagrams count in any order within the window, each once") {
    Side a(1, 1);
    Side b(2, 1);
    carry(a, b, a.say(b, 1));
    std::vector<Bytes> said;
    for (std::uint64_t i = 0; i < 100; ++i) said.push_back(a.say(b, 100 + i));
    CHECK(b.hear(said[64]) == "counts 164");
    for (std::size_t i = 64; i-- > 1;)
        CHECK(b.hear(said[i]) == "counts " + std::to_string(100 + i));
    CHECK(b.hear(said[0]) == "conflict");
    for (std::size_t i = 0; i < 65; ++i) CHECK(b.hear(said[i]) == "conflict");
    CHECK(b.hear(said[99]) == "counts 199");
    CHECK(b.hear(said[98]) == "counts 198");
}

// Two nodes would answer each other's hellos for ever.
TEST_CASE("no hello is answered with a hello") {
    Side a(1, 1);
    Side b(2, 1);
    std::vector<Bytes> hello;
    CHECK(b.hear(a.say(b, 1), &hello) == "not counted");
    REQUIRE(hello.size() == 1);
    Side other(1, 2);  // whom it is not for
    std::vector<Bytes> reply;
    CHECK(other.hear(hello[0], &reply) == "not counted");
    CHECK(reply.empty());
}

// Strangers could have a node multiply points all day, or push its peers out of memory.
TEST_CASE("strangers cost a bounded number of derivations, and no memory without the right key") {
    Side b(2, 1);
    Side a(1, 1);
    carry(a, b, a.say(b, 1));
    const Bytes forged = [&] {
        Bytes bytes = Side(3, 1).say(b, 1);
        bytes.back() ^= 1;
        return bytes;
    }();
    CHECK(b.courier.open(forged, false, now).error().code == ErrorCode::Untrusted);
    const Instant later = now + 10s;
    unsigned judged = 0;
    for (unsigned i = 0; i < 200; ++i)
        judged += b.courier.open(forged, true, later).error().code == ErrorCode::Untrusted;
    CHECK(judged == courier_derivations_per_second);
    CHECK(b.courier.peers() == 1);
    // Whom we know is heard all the same; and a second later so are others.
    CHECK(b.courier.open(a.say(b, 2), true, later)->message);
    CHECK(b.courier.open(forged, true, later + 1s).error().code == ErrorCode::Untrusted);
}

// In a large org the table of sessions would grow without end.
TEST_CASE("sessions of more peers than the limit push out those not heard of for longest") {
    Side b(2, 1);
    SeededRandom dice(7);
    PublicKey first{};
    for (std::size_t i = 0; i <= courier_peers_limit; ++i) {
        PublicKey key;
        dice.fill(key.bytes);
        key.bytes.back() &= 0x3f;
        if (i == 0) first = key;
        REQUIRE(b.courier.seal(key, {.verb = LinkVerb::Probe}, now + 1s * i));
    }
    CHECK(b.courier.peers() == courier_peers_limit);
}
