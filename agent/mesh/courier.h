// Authenticates what maintainers say to each other, end to end: a lighthouse that relays can drop a
// message, but neither make nor change nor repeat one. It decides nothing about links, and sends nothing.
//
//   "FM1" || 0 || sender key (32) || receiver's session (8) || sender's session (8) || counter (8) ||
//   body (link_message.h) || MAC (16)
//
// Numbers are big-endian. MAC: the first 16 bytes of HMAC-SHA-256 over all before it and the receiver's
// key, under k = HKDF-SHA-256(salt empty, X25519(own private, other public), "fortros/mesh/v1" || lesser
// key || greater key).
//
// A session is one node's random number for one peer. Each side holds the pair of sessions that both
// use, and draws the number of its next session in advance. A datagram counts if it bears
//   - the pair in use, and a counter that was not seen in it (a window of 64, as WireGuard's), or
//   - as the receiver's session that next number: the sender can have it only from this receiver, and
//     lately. The two are the pair in use from now on, and another next number is drawn.
// With anything else it is answered with Hello, which bears the next number; the sender then says again
// what it had to say:
//
//   A restarts, knows nothing       (0, a) want ──▶ B      not counted: 0 is no session of B's
//   A: b is B's session     ◀── hello (a, b)               b is B's next number
//                                   (b, a) want ──▶ B      counts; the pair is in use at both ends
//
// So nothing counts that was recorded in another session of either, and no clock is needed.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "core/key.h"
#include "mesh/link_message.h"

namespace fortros::mesh {

// Peers whose sessions are remembered, the one not heard of for longest forgotten first.
inline constexpr std::size_t courier_peers_limit = 4096;
// Derivations for senders not yet known, each an X25519; further datagrams of strangers are dropped.
inline constexpr unsigned courier_derivations_per_second = 50;
// What was said last is said again to whom a Hello comes from: so much, and not what is older.
inline constexpr std::size_t courier_waiting_limit = 4;
inline constexpr Duration courier_waiting_age = 5s;

class Courier {
public:
    // `key` and `random` must outlive it. `random` must be good for secrets.
    Courier(const PrivateKey& key, const PublicKey& own, Random& random);

    // A datagram to say `message`. If the other's session is not known yet the datagram is of no use
    // to it but to be answered with Hello; the message is then said again by open(). Untrusted for a
    // key of low order.
    Result<Bytes> seal(const PublicKey& to, const LinkMessage& message, Instant now);

    struct Opened {
        PublicKey from;
        std::optional<LinkMessage> message{};  // absent: a Hello, or not to be believed (yet)
        std::vector<Bytes> reply{};  // send back by the way that this came: a Hello, or what waited
    };
    // Untrusted where the MAC is wrong or the sender no member; InvalidData where the form is; Conflict
    // for a repetition; Busy where too many strangers ask at once.
    Result<Opened> open(ByteView datagram, bool is_member, Instant now);
    // The sender that a datagram claims; what decides `is_member`.
    static std::optional<PublicKey> claimed_sender(ByteView datagram);

    void forget(const PublicKey& peer);
    std::size_t peers() const { return m_peers.size(); }

private:
    struct Pair {
        std::uint64_t receiver = 0;
        std::uint64_t sender = 0;
        bool operator==(const Pair&) const = default;
    };
    // Of counters, in one pair of sessions.
    class Window {
    public:
        // True once for each counter that is not too old.
        bool take(std::uint64_t counter);

    private:
        std::uint64_t m_newest = 0;
        std::uint64_t m_seen = 0;  // bit i: m_newest - i
    };
    struct Waiting {
        LinkMessage message;
        Instant said{};
    };
    struct Peer {
        Secret<32> key{};
        std::optional<Pair> in_use{};  // as datagrams from the other bear it
        std::uint64_t next = 0;
        std::optional<std::uint64_t>
            offered{};              // the other's next number, heard of in the pair in use
        std::uint64_t counter = 0;  // of the last datagram to the other
        Window window{};
        std::vector<Waiting> waiting{};
        Instant heard{};
    };
    struct Header {
        PublicKey sender;
        Pair sessions;
        std::uint64_t counter = 0;
        ByteView body{};
        ByteView authenticated{};  // all but the MAC
        ByteView mac{};
    };

    static Result<Header> parse(ByteView datagram);
    Result<Secret<32>> derive(const PublicKey& peer) const;
    Result<Peer> make_peer(const PublicKey& key, Instant now);
    Peer& remember(const PublicKey& key, Peer peer);
    Result<Opened> opened(const Header& header, Peer& peer, Instant now);
    Bytes write(const PublicKey& to, Peer& peer, Pair sessions, const LinkMessage& message) const;
    Pair sessions_to(const Peer& peer) const;
    std::vector<Bytes> say_again(const PublicKey& to, Peer& peer, Instant now) const;
    bool may_derive(Instant now);
    std::uint64_t draw();

    const PrivateKey& m_key;
    const PublicKey m_own;
    Random& m_random;
    std::map<PublicKey, Peer> m_peers{};
    Instant m_second{};  // in which m_derived were derived
    unsigned m_derived = 0;
};

}  // namespace fortros::mesh
