// Carries DHCPv4 payloads over one Ethernet link: broadcast through a packet socket, which works
// before the host has an address, and unicast through UDP. It hands over whatever comes from a
// server's port to the client's with good checksums, and understands none of it.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "core/address.h"
#include "os/fd.h"
#include "os/loop.h"

namespace fortros {

class DhcpSocket {
public:
    // May not destroy the socket.
    using Received = std::function<void(ByteView payload)>;

    // `loop` must outlive the socket. PermissionDenied without CAP_NET_RAW.
    static Result<std::unique_ptr<DhcpSocket>> open(Loop& loop, unsigned ifindex,
                                                    Received received);
    DhcpSocket(const DhcpSocket&) = delete;
    DhcpSocket& operator=(const DhcpSocket&) = delete;
    ~DhcpSocket() = default;

    Status broadcast(ByteView payload, const IpAddress& source);
    // `source` is an address of this host: the packet goes the way that the host's routes say.
    Status unicast(ByteView payload, const IpAddress& source, const IpAddress& destination);

private:
    DhcpSocket(Loop& loop, unsigned ifindex, Received received)
        : m_loop(loop), m_ifindex(ifindex), m_received(std::move(received)) {}

    Status open_packet_socket();
    Status open_udp_socket(const IpAddress& source);
    void read();

    Loop& m_loop;
    unsigned m_ifindex;
    Received m_received;
    Fd m_packet;
    Loop::Watch m_watch;  // goes before the socket
    Fd m_udp;
    std::optional<IpAddress> m_udp_source;
};

}  // namespace fortros
