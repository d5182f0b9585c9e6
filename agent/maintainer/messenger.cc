#include "maintainer/messenger.h"

namespace fortros {

using mesh::Via;

Messenger::Messenger(const OrgPrefix& prefix, const PrivateKey& key, const PublicKey& own,
                     Random& random, Received received)
    : m_prefix(prefix), m_courier(key, own, random), m_received(std::move(received)) {}

Result<std::unique_ptr<Messenger>> Messenger::create(Loop& loop, const OrgPrefix& prefix,
                                                     const PrivateKey& key, const PublicKey& own,
                                                     Random& random, Received received) {
    std::unique_ptr<Messenger> messenger(
        new Messenger(prefix, key, own, random, std::move(received)));
    messenger->m_socket = TRY(DatagramSocket::open(
        loop, overlay_address(prefix, own), mesh::mesh_port,
        [raw = messenger.get()](const Datagram& datagram) { raw->receive(datagram); }));
    return messenger;
}

// The numbers of interfaces that are gone are given to others.
void Messenger::set_ways(MessengerWays ways) {
    if (ways == m_ways) return;
    if (ways.direct != m_ways.direct) m_socket->forget(m_ways.direct);
    for (const auto& [ifindex, key] : m_ways.lighthouses)
        if (!ways.lighthouses.contains(ifindex)) m_socket->forget(ifindex);
    m_ways = std::move(ways);
}

// --- out ----------------------------------------------------------------------------------------

unsigned Messenger::interface_of(const PublicKey& lighthouse) const {
    for (const auto& [ifindex, key] : m_ways.lighthouses)
        if (key == lighthouse) return ifindex;
    return 0;
}

// Absent: there is no such way now.
std::optional<unsigned> Messenger::way_of(const mesh::Outgoing& message) const {
    const auto existing = [](unsigned ifindex) {
        return ifindex == 0 ? std::nullopt : std::optional(ifindex);
    };
    switch (message.via) {
        case Via::Overlay: return 0;
        case Via::Direct: return existing(m_ways.direct);
        case Via::Lighthouse: return existing(interface_of(message.to));
        case Via::Relay:
            for (const PublicKey& lighthouse : m_ways.preferred)
                if (lighthouse != message.to)
                    if (const unsigned ifindex = interface_of(lighthouse); ifindex != 0)
                        return ifindex;
            return std::nullopt;
    }
    return std::nullopt;
}

void Messenger::put(ByteView payload, const IpAddress& to, unsigned ifindex) {
    if (m_socket->send(payload, {to, mesh::mesh_port}, ifindex))
        ++m_counters.sent;
    else
        ++m_counters.failed;
}

void Messenger::send(const mesh::Outgoing& message) {
    const auto way = way_of(message);
    const auto datagram = way ? m_courier.seal(message.to, message.message, monotonic_now())
                              : fail(ErrorCode::Unreachable, "no such way");
    if (!datagram) {
        ++m_counters.failed;
        return;
    }
    put(*datagram, overlay_address(m_prefix, message.to), *way);
}

// --- in -----------------------------------------------------------------------------------------

void Messenger::receive(const Datagram& datagram) {
    const auto sender = mesh::Courier::claimed_sender(datagram.payload);
    const auto lighthouse = m_ways.lighthouses.find(datagram.ifindex);
    const bool is_direct = datagram.ifindex == m_ways.direct;
    // By another way nothing of ours comes; and nobody speaks from another's address.
    if (!sender || (!is_direct && lighthouse == m_ways.lighthouses.end()) ||
        datagram.source.address != overlay_address(m_prefix, *sender)) {
        ++m_counters.refused;
        return;
    }
    // It came out of a tunnel, so somebody whom we peer with has let it through: that is worth a
    // derivation, of which there are not many a second.
    auto opened = m_courier.open(datagram.payload, true, monotonic_now());
    if (!opened) {
        ++m_counters.refused;
        return;
    }
    ++m_counters.received;
    for (const Bytes& reply : opened->reply) put(reply, datagram.source.address, datagram.ifindex);
    if (!opened->message) return;
    const Via via = is_direct                            ? Via::Direct
                    : lighthouse->second == opened->from ? Via::Lighthouse
                                                         : Via::Relay;
    m_received(opened->from, via, *opened->message);
}

}  // namespace fortros
