// Carries what maintainers say to each other: sealed and opened by the courier, by the way that is asked
// for, told with the way that it came. It decides nothing about links.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "base/log.h"
#include "base/random.h"
#include "core/overlay.h"
#include "maintainer/messenger_ways.h"
#include "mesh/courier.h"
#include "mesh/mesh.h"
#include "os/datagram_socket.h"

namespace fortros {

class Messenger {
public:
    // An authentic message: of who has that key, be it a member's or not.
    using Received =
        std::function<void(const PublicKey& from, mesh::Via via, const mesh::LinkMessage& message)>;

    // `loop`, `key` and `random` must outlive it. Conflict if the port is taken.
    static Result<std::unique_ptr<Messenger>> create(Loop& loop, const OrgPrefix& prefix,
                                                     const PrivateKey& key, const PublicKey& own,
                                                     Random& random, Received received);
    Messenger(const Messenger&) = delete;
    Messenger& operator=(const Messenger&) = delete;
    ~Messenger() = default;

    void set_ways(MessengerWays ways);
    // What can't be sent is lost, as datagrams are.
    void send(const mesh::Outgoing& message);
    void forget(const PublicKey& peer) { m_courier.forget(peer); }

    struct Counters {
        std::uint64_t sent = 0, received = 0;
        std::uint64_t refused = 0;  // not authentic, not a member's, or malformed
        std::uint64_t failed = 0;   // to be sent
    };
    const Counters& counters() const { return m_counters; }

private:
    Messenger(const OrgPrefix& prefix, const PrivateKey& key, const PublicKey& own, Random& random,
              Received received);
    void receive(const Datagram& datagram);
    std::optional<unsigned> way_of(const mesh::Outgoing& message) const;
    unsigned interface_of(const PublicKey& lighthouse) const;
    void put(ByteView payload, const IpAddress& to, unsigned ifindex);

    OrgPrefix m_prefix;
    mesh::Courier m_courier;
    Received m_received;
    MessengerWays m_ways;
    std::unique_ptr<DatagramSocket> m_socket;
    Counters m_counters;
};

}  // namespace fortros
