// The gateway's own end of every node's tunnel: one WireGuard peer a member, allowed its overlay
// address and nothing else. It says what is; who is a member is the registry's business.
#pragma once

#include <optional>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "core/address.h"
#include "core/key.h"
#include "gateway/registry.h"

namespace fortros::gateway {

struct TunnelStatus {
    std::optional<WallTime> last_handshake{};  // absent: never
};

class Tunnels {
public:
    Tunnels() = default;
    Tunnels(const Tunnels&) = delete;
    Tunnels& operator=(const Tunnels&) = delete;
    virtual ~Tunnels() = default;

    // Nothing if the node is no peer. May be as old as a second.
    virtual Result<std::optional<TunnelStatus>> find(const PublicKey& node) = 0;

    // Makes the node a peer that remembers nothing: an existing one is removed first, and with it
    // its session and the newest handshake timestamp that it may not go below.
    virtual Status reset(const NodeRecord& node) = 0;

    // Idempotent. What the node sends from now on is dropped.
    virtual Status remove(const PublicKey& node) = 0;

    // Brings the peers in line with all records, by difference: what is right is not touched.
    virtual Status reconcile(const std::vector<NodeRecord>& nodes) = 0;
};

}  // namespace fortros::gateway
