// UDP to and from a multicast group on one link, and on that link alone (IPv6 link scope, or IPv4 with a
// TTL of 1). It understands no payload.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/bytes.h"
#include "base/result.h"
#include "core/address.h"
#include "os/fd.h"
#include "os/loop.h"

namespace fortros {

class MulticastSocket {
public:
    // With the sender's address and port. Longer payloads than `limit` are dropped. May not destroy the
    // socket.
    using Received = std::function<void(ByteView payload, const Endpoint& source)>;

    // `own`: an address of the link, of the group's family, that what is sent comes from. `loop` must
    // outlive the socket.
    static Result<std::unique_ptr<MulticastSocket>> open(Loop& loop, const Endpoint& group,
                                                         unsigned ifindex, const IpAddress& own,
                                                         std::size_t limit, Received received);
    MulticastSocket(const MulticastSocket&) = delete;
    MulticastSocket& operator=(const MulticastSocket&) = delete;
    ~MulticastSocket() = default;

    // Our own come back to nobody.
    Status send(ByteView payload);

private:
    MulticastSocket(const Endpoint& group, unsigned ifindex, const IpAddress& own,
                    std::size_t limit, Received received)
        : m_group(group),
          m_ifindex(ifindex),
          m_own(own),
          m_limit(limit),
          m_received(std::move(received)) {}
    Status open_v4();
    Status open_v6();
    void read();

    Endpoint m_group;
    unsigned m_ifindex;
    IpAddress m_own;
    std::size_t m_limit;
    Received m_received;
    Fd m_listening;       // bound to the group, so that nothing else comes in
    Fd m_sending;         // bound to our own address
    Loop::Watch m_watch;  // goes before the sockets
};

}  // namespace fortros
