// UDP over IPv6 from one address and port of this host: what comes in is told with the interface that it
// came by, what goes out goes as the routes lead or by one interface alone. It understands no payload.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "base/bytes.h"
#include "base/result.h"
#include "core/address.h"
#include "os/fd.h"
#include "os/loop.h"

namespace fortros {

// Longer ones are dropped.
inline constexpr std::size_t datagram_size_limit = 1280;

struct Datagram {
    ByteView payload;  // borrowed
    Endpoint source;
    unsigned ifindex = 0;  // that it came by
};

class DatagramSocket {
public:
    // May not destroy the socket.
    using Received = std::function<void(const Datagram& datagram)>;

    // `address` need not be there yet. `loop` must outlive the socket. Conflict if the port is taken.
    static Result<std::unique_ptr<DatagramSocket>> open(Loop& loop, const IpAddress& address,
                                                        std::uint16_t port, Received received);
    DatagramSocket(const DatagramSocket&) = delete;
    DatagramSocket& operator=(const DatagramSocket&) = delete;
    ~DatagramSocket() = default;

    // By `ifindex` alone, whatever the routes say; 0: as they lead. From this socket's address, and,
    // by an interface, from any port.
    Status send(ByteView payload, const Endpoint& to, unsigned ifindex = 0);
    // Of an interface that is gone, or whose number somebody else may get.
    void forget(unsigned ifindex) { m_bound.erase(ifindex); }

private:
    DatagramSocket(const IpAddress& address, Fd socket, Received received)
        : m_address(address), m_socket(std::move(socket)), m_received(std::move(received)) {}
    void read();
    Result<int> socket_of(unsigned ifindex);

    IpAddress m_address;
    Fd m_socket;
    Received m_received;
    Loop::Watch m_watch;  // goes before the socket
    // Packet info would not pin the route (sendmsg(2) with IPV6_PKTINFO prefers the longer prefix of
    // another interface), so there is a socket for each interface.
    std::map<unsigned, Fd> m_bound;
};

}  // namespace fortros
