// The gateway's own end of every node's tunnel: for each key that it serves one WireGuard peer a member,
// allowed its overlay address and nothing else. It says what is; who is a member is the registry's business.
//
// What is done for one node costs the same however many there are, but for last_handshake(). An
// address is never taken from one peer for another by ensure() or reset(): that is Conflict, as far as
// is known from the last reading and what was done since. Only reconcile() gives addresses back to the
// members whose they are. Endpoints are the kernel's business, which learns them: none is ever set.
#pragma once

#include <optional>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "core/address.h"
#include "core/key.h"
#include "gateway/registry.h"

namespace fortros::gateway {

class Tunnels {
public:
    Tunnels() = default;
    Tunnels(const Tunnels&) = delete;
    Tunnels& operator=(const Tunnels&) = delete;
    virtual ~Tunnels() = default;

    // When the node has last shaken hands. Nothing: never, or it is no peer. WireGuard tells of all
    // peers or of none, so they are read at most once a second and in at most a fiftieth of the
    // time: the answer may be as old as a second or fifty times what a reading takes.
    virtual Result<std::optional<WallTime>> last_handshake(const PublicKey& node) = 0;

    // Where the kernel sends what is for the node, as old as the answer above. Nothing: nowhere yet.
    virtual Result<std::optional<Endpoint>> endpoint(const PublicKey& node) = 0;

    // Whether the node is a peer, as far as is known from the last reading and what was done since.
    virtual bool contains(const PublicKey& node) const = 0;

    // How many peers there are, as far as is known.
    virtual std::size_t count() const = 0;

    // Makes the node a peer; one that is there stays as it is, and so does its session.
    virtual Status ensure(const NodeRecord& node) = 0;

    // Makes the node a peer that remembers nothing: an existing one is removed first, and with it
    // its session and the newest handshake timestamp that it may not go below.
    virtual Status reset(const NodeRecord& node) = 0;

    // Idempotent. What the node sends from now on is dropped.
    virtual Status remove(const PublicKey& node) = 0;

    // Brings the peers in line with all records, by difference: what is right is not touched.
    virtual Status reconcile(const std::vector<NodeRecord>& nodes) = 0;
};

}  // namespace fortros::gateway
