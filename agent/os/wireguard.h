// The kernel's WireGuard: interfaces made, read and changed by difference (linux/wireguard.h,
// rtnetlink). It never replaces the peers of an interface as a whole, and keeps no copy of a key.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/key.h"
#include "core/wireguard.h"
#include "os/netlink.h"

namespace fortros {

class WireGuard {
public:
    // Unsupported when the kernel has no WireGuard, with what to do about it.
    static Result<WireGuard> create();

    // Makes an interface, down, or takes the one of this name that is there as it is. Conflict when
    // that one is not WireGuard's.
    Status ensure_interface(const std::string& name, std::uint32_t mtu);
    // An interface that is not there is removed already. With many peers this takes its time.
    Status remove_interface(const std::string& name);

    // All of an interface, however many peers. NotFound when there is none of this name,
    // Unsupported when it is not WireGuard's.
    Result<WireGuardStatus> status(const std::string& name);

    // The node's key, which after the hand-off only the kernel has. NotFound when none is set.
    Result<PrivateKey> private_key(const std::string& name);
    // Sets it, whether or not it is set already; a changed key ends every session.
    Status set_private_key(const std::string& name, const PrivateKey& key);
    // Conflict when somebody else uses the port. A changed port makes the tunnels blink.
    Status set_listen_port(const std::string& name, std::uint16_t port);

    // Applies changes in their order, in one message where they fit and several where not; an error
    // leaves the messages before it applied.
    Status apply(const std::string& name, std::span<const WireGuardChange> changes);

private:
    WireGuard(Netlink generic, Netlink route, std::uint16_t family)
        : m_generic(std::move(generic)), m_route(std::move(route)), m_family(family) {}

    Netlink m_generic;
    Netlink m_route;
    std::uint16_t m_family;
};

}  // namespace fortros
