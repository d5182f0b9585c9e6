// Carries DHCPv6 payloads over one link: UDP from port 546 of its link-local address to all servers
// (ff02::1:2). It understands none of what it carries.
#pragma once

#include <functional>
#include <memory>

#include "base/bytes.h"
#include "base/result.h"
#include "core/address.h"
#include "os/fd.h"
#include "os/loop.h"

namespace fortros {

class Dhcp6Socket {
public:
    // May not destroy the socket.
    using Received = std::function<void(ByteView payload)>;

    // `loop` must outlive the socket. `own`: a link-local address of the link that has passed
    // duplicate detection. Fails when another client has the port.
    static Result<std::unique_ptr<Dhcp6Socket>> open(Loop& loop, unsigned ifindex,
                                                     const IpAddress& own, Received received);
    Dhcp6Socket(const Dhcp6Socket&) = delete;
    Dhcp6Socket& operator=(const Dhcp6Socket&) = delete;
    ~Dhcp6Socket() = default;

    Status send(ByteView payload);

private:
    Dhcp6Socket(unsigned ifindex, Received received)
        : m_ifindex(ifindex), m_received(std::move(received)) {}

    void read();

    unsigned m_ifindex;
    Received m_received;
    Fd m_socket;
    Loop::Watch m_watch;  // goes before the socket
};

}  // namespace fortros
