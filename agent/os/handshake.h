// Waits for a WireGuard peer to answer its first handshake. The kernel tells nobody when that
// happens, so its status is asked again, quickly at first. It sends a datagram into the tunnel now and
// then, which is what makes the kernel begin; it never gives up by itself: its owner has the deadline.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "core/address.h"
#include "core/key.h"
#include "os/loop.h"
#include "os/wireguard.h"

namespace fortros {

class HandshakeWatch {
public:
    using Answered = std::function<void()>;

    // `loop` and `wireguard` must outlive the watch. `answered` is called once, from the loop.
    // Destroying the watch ends it.
    static std::unique_ptr<HandshakeWatch> start(Loop& loop, WireGuard& wireguard,
                                                 const std::string& interface,
                                                 const PublicKey& peer,
                                                 const IpAddress& overlay_address,
                                                 Answered answered);

private:
    HandshakeWatch(Loop& loop, WireGuard& wireguard, std::string interface, const PublicKey& peer,
                   const IpAddress& address, Answered answered)
        : m_loop(loop),
          m_wireguard(wireguard),
          m_interface(std::move(interface)),
          m_peer(peer),
          m_address(address),
          m_answered(std::move(answered)) {}
    void look();

    Loop& m_loop;
    WireGuard& m_wireguard;
    std::string m_interface;
    PublicKey m_peer;
    IpAddress m_address;  // the peer's, in the overlay
    Answered m_answered;
    Instant m_next_packet{};
    Duration m_pause{};
    Loop::Timer m_timer;
};

}  // namespace fortros
