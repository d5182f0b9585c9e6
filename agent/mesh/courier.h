// Authenticates what maintainers say to each other, end to end: a lighthouse that relays can drop a
// message, but neither make nor change nor repeat one. It decides nothing about links.
//
//   "FM1" || 0 || sender key (32) || receiver's session (8) || sender's session (8) || counter (8) ||
//   body (link_message.h) || MAC (16)
//
// Numbers are big-endian. MAC: the first 16 bytes of HMAC-SHA-256 over all before it and the receiver's
// key, under k = HKDF-SHA-256(salt empty, X25519(own private, other public), "fortros/mesh/v1" || lesser
// key || greater key). Each maintainer draws a random session when it starts. A datagram counts if the
// receiver's session is the receiver's, and its counter has not been seen in the sender's session (a
// window of 64, as WireGuard's). With any other receiver's session it is answered with Hello, which
// teaches the sender the right one; the sender then says again what it had to say. So nothing that was
// recorded counts later, and no clock is needed.
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

class Courier {
public:
    // `key` and `random` must outlive it.
    Courier(const PrivateKey& key, const PublicKey& own, Random& random);

    // A datagram to say `message`. If the other's session is not known yet the datagram is of no use
    // to it but to be answered with Hello; the message is then said again by opened().
    Result<Bytes> seal(const PublicKey& to, const LinkMessage& message, Instant now);

    struct Opened {
        PublicKey from;
        std::optional<LinkMessage> message{};  // absent: a Hello, or not to be believed (yet)
        std::vector<Bytes> reply{};  // send back by the way that this came: a Hello, or what waited
    };
    // Untrusted where the MAC is wrong; InvalidData where the form is; Conflict for a repetition; Busy
    // where too many strangers ask at once. `is_member`: whether a stranger's key is worth a derivation.
    Result<Opened> open(ByteView datagram, bool is_member, Instant now);
    // The sender that a datagram claims; what decides `is_member`.
    static std::optional<PublicKey> claimed_sender(ByteView datagram);

    void forget(const PublicKey& peer);

private:
    struct Peer;
    // (its author's)
};

}  // namespace fortros::mesh
