// Answers the probes of nodes, as every maintainer does: so that a node knows that its tunnel to this
// gateway works, how long the way is, and as whom the gateway sees it. It agrees to nothing and asks
// nothing.
#pragma once

#include <memory>

#include "base/random.h"
#include "base/secret.h"
#include "core/overlay.h"
#include "gateway/tunnels.h"
#include "mesh/courier.h"
#include "os/datagram_socket.h"
#include "os/loop.h"

namespace fortros::gateway {

class EchoResponder {
public:
    struct Parts {
        Loop& loop;
        Random& random;
        Tunnels& tunnels;
    };

    // For one of the keys that the gateway serves. All is borrowed. Conflict if the port is taken.
    static Result<std::unique_ptr<EchoResponder>> create(Parts parts, const OrgPrefix& prefix,
                                                         const PrivateKey& key,
                                                         const PublicKey& public_key);

private:
    EchoResponder(Parts parts, const OrgPrefix& prefix, const PrivateKey& key,
                  const PublicKey& public_key)
        : m_parts(parts), m_prefix(prefix), m_courier(key, public_key, parts.random) {}
    void receive(const Datagram& datagram);
    void answer(const PublicKey& node, std::uint64_t nonce, const Endpoint& to);

    Parts m_parts;
    OrgPrefix m_prefix;
    mesh::Courier m_courier;
    std::unique_ptr<DatagramSocket> m_socket;
};

}  // namespace fortros::gateway
