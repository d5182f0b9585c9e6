// Datagrams of anybody's against a courier with a peer in session. An even first byte: as they are;
// none of them may count. An odd one: sessions, counter and body of the peer's own making, with the
// right MAC; none may count twice.
#include "core/crypto.h"
#include "mesh/courier.h"

using namespace fortros;
using namespace fortros::mesh;

namespace {

constexpr Instant now{1h};

PrivateKey key_from(std::uint64_t seed) {
    SeededRandom dice(seed);
    return crypto::make_private_key(dice);
}

struct Side {
    explicit Side(std::uint64_t seed)
        : key(key_from(seed)),
          own(*crypto::public_key_of(key)),
          random(seed),
          courier(key, own, random) {}
    PrivateKey key;
    PublicKey own;
    SeededRandom random;
    Courier courier;
};

Bytes with_mac(const Side& from, const Side& to, ByteView sessions_and_body) {
    static const auto key = [&] {
        const auto shared = crypto::x25519(from.key, to.own);
        const auto& [lesser, greater] = std::minmax(from.own, to.own);
        return crypto::hkdf_sha256({}, shared->view(),
                                   {as_bytes("fortros/mesh/v1"), lesser.bytes, greater.bytes});
    }();
    ByteWriter out;
    out.text({"FM1\0", 4}).bytes(from.own.bytes).bytes(sessions_and_body);
    const auto mac = crypto::hmac_sha256(key.view(), {out.view(), to.own.bytes});
    return out.bytes(ByteView(mac).first(16)).take();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const bool ready = crypto::initialise().has_value();
    ASSERT(ready);
    static Side peer(1);
    static Side own(2);
    static const bool in_session = [] {
        const auto first = peer.courier.seal(own.own, {.verb = LinkVerb::Probe}, now);
        const auto hello = own.courier.open(*first, true, now);
        const auto again = peer.courier.open(hello->reply.at(0), true, now);
        return own.courier.open(again->reply.at(0), true, now)->message.has_value();
    }();
    ASSERT(in_session);
    if (size == 0) return 0;
    const ByteView rest(data + 1, size - 1);
    if (data[0] % 2 == 0) {
        const auto opened = own.courier.open(rest, true, now);
        ASSERT(!opened || !opened->message);
        return 0;
    }
    const Bytes datagram = with_mac(peer, own, rest);
    const auto opened = own.courier.open(datagram, true, now);
    if (opened && opened->message) {
        const auto again = own.courier.open(datagram, true, now);
        ASSERT(!again && again.error().code == ErrorCode::Conflict);
    }
    if (opened)
        for (const auto& reply : opened->reply) peer.courier.open(reply, true, now);
    ASSERT(own.courier.peers() <= 1);
    return 0;
}
