#include "os/wireguard_codec.h"

#include <linux/genetlink.h>
#include <linux/time_types.h>
#include <linux/wireguard.h>
#include <netinet/in.h>

#include <algorithm>

namespace fortros {

NetlinkMessage wireguard_message(std::uint16_t family, std::uint8_t command,
                                 const std::string& name, std::size_t capacity) {
    NetlinkMessage message(
        family, 0, genlmsghdr{.cmd = command, .version = WG_GENL_VERSION, .reserved = 0}, capacity);
    message.text(WGDEVICE_A_IFNAME, name);
    return message;
}

// --- writing ------------------------------------------------------------------------------------

template <typename Struct>
static ByteView bytes_of(const Struct& value) {
    return {reinterpret_cast<const std::uint8_t*>(&value), sizeof(value)};
}

static void put_endpoint(NetlinkMessage& message, const Endpoint& endpoint) {
    const ByteView address = endpoint.address.bytes();
    if (endpoint.address.is_v4()) {
        sockaddr_in v4{};
        v4.sin_family = AF_INET;
        v4.sin_port = htons(endpoint.port);
        std::memcpy(&v4.sin_addr, address.data(), address.size());
        message.bytes(WGPEER_A_ENDPOINT, bytes_of(v4));
    } else {
        sockaddr_in6 v6{};
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(endpoint.port);
        std::memcpy(&v6.sin6_addr, address.data(), address.size());
        message.bytes(WGPEER_A_ENDPOINT, bytes_of(v6));
    }
}

static void put_allowed_ip(NetlinkMessage& message, const IpNetwork& network) {
    message.nest(0, [&] {
        message.u16(WGALLOWEDIP_A_FAMILY, network.address.is_v4() ? AF_INET : AF_INET6)
            .bytes(WGALLOWEDIP_A_IPADDR, network.address.bytes())
            .u8(WGALLOWEDIP_A_CIDR_MASK, network.length);
    });
}

static std::uint32_t flags_of(const WireGuardChange& change) {
    std::uint32_t flags = change.replace_allowed_ips ? WGPEER_F_REPLACE_ALLOWEDIPS : 0;
    switch (change.kind) {
        case WireGuardChange::Kind::Add: return flags;
        case WireGuardChange::Kind::Update: return flags | WGPEER_F_UPDATE_ONLY;
        case WireGuardChange::Kind::Remove: return WGPEER_F_REMOVE_ME;
    }
    return flags;
}

namespace {

// Fills messages with peers. The unit is what must not be torn apart: a peer's head with its first
// allowed IP, or one further allowed IP. When a unit does not fit, the message goes without it.
class ChangeWriter {
public:
    ChangeWriter(std::uint16_t family, const std::string& name, std::size_t capacity,
                 const SendNetlinkMessage& send)
        : m_family(family), m_name(name), m_capacity(capacity), m_send(send), m_message(begin()) {}

    Status write(const WireGuardChange& change) {
        const auto& allowed_ips = change.peer.allowed_ips;
        const bool remove = change.kind == WireGuardChange::Kind::Remove;
        std::size_t written = 0;
        for (bool first = true; first || (!remove && written < allowed_ips.size()); first = false) {
            const auto rest =
                remove ? std::span<const IpNetwork>{} : std::span(allowed_ips).subspan(written);
            std::size_t count = put_peer(change, rest, first);
            if (m_message.overflowed()) {
                TRY(flush());
                count = put_peer(change, rest, first);
                if (m_message.overflowed())
                    return fail(ErrorCode::Exhausted, "a WireGuard peer fits into no message");
            }
            written += count;
        }
        return {};
    }

    Status flush() {
        // An overflow is of the peer that was tried last.
        m_message.truncate(m_end);
        m_message.close_nest(m_peers);
        if (m_filled) TRY(m_send(m_message));
        m_message = begin();
        return {};
    }

private:
    NetlinkMessage begin() {
        auto message = wireguard_message(m_family, WG_CMD_SET_DEVICE, m_name, m_capacity);
        m_peers = message.open_nest(WGDEVICE_A_PEERS);
        m_end = message.size();
        m_filled = false;
        return message;
    }

    // Puts the peer with as many of `allowed_ips` as fit and returns how many did. The message is
    // overflowed when not even the first did.
    std::size_t put_peer(const WireGuardChange& change, std::span<const IpNetwork> allowed_ips,
                         bool first) {
        const std::size_t peer = m_message.open_nest(0);
        m_message.bytes(WGPEER_A_PUBLIC_KEY, change.peer.key.bytes);
        if (first)
            put_head(change);
        else  // the rest of a peer that somebody else removes meanwhile must not resurrect it
            m_message.u32(WGPEER_A_FLAGS, WGPEER_F_UPDATE_ONLY);
        std::size_t count = 0;
        if (!allowed_ips.empty()) {
            const std::size_t nest = m_message.open_nest(WGPEER_A_ALLOWEDIPS);
            for (const IpNetwork& network : allowed_ips) {
                const std::size_t before = m_message.size();
                put_allowed_ip(m_message, network);
                if (m_message.overflowed()) {
                    if (count > 0) m_message.truncate(before);
                    break;
                }
                ++count;
            }
            m_message.close_nest(nest);
        }
        if (m_message.overflowed()) return 0;
        m_message.close_nest(peer);
        m_end = m_message.size();
        m_filled = true;
        return count;
    }

    void put_head(const WireGuardChange& change) {
        m_message.u32(WGPEER_A_FLAGS, flags_of(change));
        if (change.kind == WireGuardChange::Kind::Remove) return;
        if (change.set_endpoint && change.peer.endpoint)
            put_endpoint(m_message, *change.peer.endpoint);
        if (change.set_keepalive)
            m_message.u16(WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, change.peer.keepalive_seconds);
    }

    std::uint16_t m_family;
    const std::string& m_name;
    std::size_t m_capacity;
    const SendNetlinkMessage& m_send;
    std::size_t m_peers = 0;  // where the nest of peers begins
    std::size_t m_end = 0;    // after the last whole peer
    bool m_filled = false;
    NetlinkMessage m_message;
};

}  // namespace

Status write_wireguard_changes(std::uint16_t family, const std::string& name,
                               std::span<const WireGuardChange> changes, std::size_t capacity,
                               const SendNetlinkMessage& send) {
    ChangeWriter writer(family, name, capacity, send);
    for (const WireGuardChange& change : changes) TRY(writer.write(change));
    return writer.flush();
}

// --- reading ------------------------------------------------------------------------------------

static std::optional<PublicKey> read_key(const NetlinkAttribute& attribute) {
    // As it is: a key that we would refuse must still be seen, or it could not be removed.
    PublicKey key;
    if (attribute.payload().size() != key.bytes.size()) return std::nullopt;
    std::ranges::copy(attribute.payload(), key.bytes.begin());
    return key;
}

static std::optional<Endpoint> endpoint_of(ByteView address_bytes, in_port_t port) {
    const auto address = IpAddress::from_bytes(address_bytes);
    if (!address || port == 0) return std::nullopt;
    return Endpoint{*address, ntohs(port)};
}

static std::optional<Endpoint> read_endpoint(const NetlinkAttribute& attribute) {
    const auto family = attribute.as<sa_family_t>();
    if (family == AF_INET)
        if (const auto v4 = attribute.as<sockaddr_in>())
            return endpoint_of(bytes_of(v4->sin_addr), v4->sin_port);
    if (family == AF_INET6)
        if (const auto v6 = attribute.as<sockaddr_in6>())
            return endpoint_of(bytes_of(v6->sin6_addr), v6->sin6_port);
    return std::nullopt;
}

static std::optional<IpNetwork> read_allowed_ip(const NetlinkAttribute& nest) {
    std::optional<IpAddress> address;
    std::optional<std::uint8_t> length;
    for (const NetlinkAttribute attribute : NetlinkAttributes(nest)) {
        if (attribute.type() == WGALLOWEDIP_A_IPADDR)
            address = IpAddress::from_bytes(attribute.payload());
        if (attribute.type() == WGALLOWEDIP_A_CIDR_MASK) length = attribute.u8();
    }
    if (!address || !length || *length > address->bits()) return std::nullopt;
    return IpNetwork{*address, *length};
}

static std::optional<WallTime> read_handshake(const NetlinkAttribute& attribute) {
    const auto time = attribute.as<__kernel_timespec>();
    if (!time || time->tv_sec == 0) return std::nullopt;
    return WallTime{std::chrono::seconds{time->tv_sec}};
}

static Status read_peer(std::vector<WireGuardPeerStatus>& peers, const NetlinkAttribute& nest) {
    const NetlinkAttributes attributes(nest);
    const auto key_attribute = attributes.find(WGPEER_A_PUBLIC_KEY);
    const auto key = key_attribute ? read_key(*key_attribute) : std::nullopt;
    if (!key)
        return fail(ErrorCode::InvalidData, "the kernel told of a WireGuard peer without key");
    // The kernel repeats the key of a peer whose allowed IPs go on in the next message.
    if (peers.empty() || peers.back().peer.key != *key) peers.push_back({.peer = {.key = *key}});
    WireGuardPeerStatus& status = peers.back();
    for (const NetlinkAttribute attribute : attributes) {
        switch (attribute.type()) {
            case WGPEER_A_ENDPOINT: status.peer.endpoint = read_endpoint(attribute); break;
            case WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL:
                status.peer.keepalive_seconds = attribute.u16().value_or(0);
                break;
            case WGPEER_A_LAST_HANDSHAKE_TIME:
                status.last_handshake = read_handshake(attribute);
                break;
            case WGPEER_A_RX_BYTES: status.rx_bytes = attribute.u64().value_or(0); break;
            case WGPEER_A_TX_BYTES: status.tx_bytes = attribute.u64().value_or(0); break;
            case WGPEER_A_ALLOWEDIPS:
                for (const NetlinkAttribute item : NetlinkAttributes(attribute))
                    if (const auto network = read_allowed_ip(item))
                        status.peer.allowed_ips.push_back(*network);
                break;
            default: break;
        }
    }
    return {};
}

Status read_wireguard_device(WireGuardStatus& status, const nlmsghdr& message) {
    for (const NetlinkAttribute attribute : NetlinkAttributes::of<genlmsghdr>(message)) {
        switch (attribute.type()) {
            case WGDEVICE_A_IFINDEX: status.ifindex = attribute.u32().value_or(0); break;
            case WGDEVICE_A_IFNAME: status.name = attribute.text(); break;
            case WGDEVICE_A_PUBLIC_KEY: status.public_key = read_key(attribute); break;
            case WGDEVICE_A_LISTEN_PORT: status.listen_port = attribute.u16().value_or(0); break;
            case WGDEVICE_A_PEERS:
                for (const NetlinkAttribute peer : NetlinkAttributes(attribute))
                    TRY(read_peer(status.peers, peer));
                break;
            default: break;
        }
    }
    return {};
}

std::optional<PrivateKey> read_wireguard_private_key(const nlmsghdr& message) {
    const auto attribute = NetlinkAttributes::of<genlmsghdr>(message).find(WGDEVICE_A_PRIVATE_KEY);
    if (!attribute || attribute->payload().size() != key_size) return std::nullopt;
    return PrivateKey(attribute->payload().first<key_size>());
}

}  // namespace fortros
