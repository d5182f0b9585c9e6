// WireGuard configuration as values: what an interface should have, what the kernel has, and the
// difference between the two. Pure; os/wireguard.h speaks netlink.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "core/address.h"
#include "core/key.h"

namespace fortros {

// A peer that is wanted.
struct WireGuardPeer {
    PublicKey key;
    std::optional<Endpoint> endpoint{};  // absent: leave to the kernel what it has learnt
    std::vector<IpNetwork> allowed_ips{};
    std::uint16_t keepalive_seconds = 0;  // 0: off

    bool operator==(const WireGuardPeer&) const = default;
};

// A peer as the kernel reports it.
struct WireGuardPeerStatus {
    WireGuardPeer peer;
    std::optional<WallTime> last_handshake{};  // absent: never
    std::uint64_t rx_bytes = 0;
    std::uint64_t tx_bytes = 0;
};

// An interface as the kernel reports it.
struct WireGuardStatus {
    unsigned ifindex = 0;
    std::string name;
    std::optional<PublicKey> public_key{};  // absent: no private key is set
    std::uint16_t listen_port = 0;
    std::vector<WireGuardPeerStatus> peers{};
};

// One change to one peer. Updates never replace an interface's peers as a whole: that would make
// every tunnel blink.
struct WireGuardChange {
    enum class Kind { Add, Update, Remove };
    Kind kind = Kind::Add;
    WireGuardPeer peer;                // for Remove only the key counts
    bool replace_allowed_ips = false;  // true: they are the whole set; false: they are added
    bool set_endpoint = false;         // for Add and Update
    bool set_keepalive = false;
};

// The changes that turn `have` into `want`: removals first, so that an allowed IP that moves is
// free. Peers in `have` that are not wanted are removed. Endpoint differences are changes only
// where `want` names an endpoint and the peer is new or has never answered: a roamed endpoint is
// the kernel's to keep. Where `want` names a key or an allowed IP twice, the last one counts.
std::vector<WireGuardChange> difference(const std::vector<WireGuardPeer>& want,
                                        const std::vector<WireGuardPeerStatus>& have);

}  // namespace fortros
