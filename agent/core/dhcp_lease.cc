#include "core/dhcp_lease.h"

#include <algorithm>
#include <bit>

#include "base/time.h"

namespace fortros {

// What busybox's client and others assume of a server that forgot to say.
static constexpr std::chrono::seconds assumed_lifetime{3600};

// Fit to be an interface's address or a server's: one host's, and not our own.
static bool is_host(const IpAddress& address) {
    return !address.is_unspecified() && !address.is_loopback() && !address.is_multicast() &&
           address.bytes()[0] != 0 && address.bytes()[0] < 240;
}

static IpAddress read_address(ByteReader& in) { return IpAddress::v4(in.array<4>()); }

// Those of a list of addresses that can be talked to; none when the option is absent or not whole.
static std::vector<IpAddress> hosts_of(const Bytes* value) {
    std::vector<IpAddress> hosts;
    if (!value || value->size() % 4 != 0) return hosts;
    ByteReader in(*value);
    while (in.left() > 0 && hosts.size() < dhcp_addresses_limit) {
        const IpAddress address = read_address(in);
        if (is_host(address) && std::ranges::find(hosts, address) == hosts.end())
            hosts.push_back(address);
    }
    return hosts;
}

static std::optional<std::uint32_t> number_of(const Bytes* value) {
    if (!value || value->size() != 4) return std::nullopt;
    return ByteReader(*value).u32();
}

// RFC 3442: width of the mask, as many bytes of the destination as it needs, the router.
// Nothing when one of the routes does not parse: half a routing table is worse than none.
static std::optional<std::vector<DhcpRoute>> classless_routes(const Bytes* value) {
    if (!value) return std::nullopt;
    std::vector<DhcpRoute> routes;
    ByteReader in(*value);
    while (in.left() > 0) {
        const std::uint8_t width = in.u8();
        if (width > 32) return std::nullopt;
        const ByteView given = in.take((width + 7U) / 8);
        ByteArray<4> destination{};
        std::ranges::copy(given, destination.begin());
        const IpAddress gateway = read_address(in);
        if (!in.ok()) return std::nullopt;
        if (!gateway.is_unspecified() && !is_host(gateway)) continue;
        if (routes.size() < dhcp_routes_limit)
            routes.push_back({IpNetwork{IpAddress::v4(destination), width}.network(), gateway});
    }
    return routes;
}

static std::vector<DhcpRoute> routes_of(const DhcpMessage& message) {
    if (auto routes = classless_routes(message.option(dhcp_option::classless_routes)))
        return *std::move(routes);
    // Routers are listed in order of preference; the first is the default.
    const auto routers = hosts_of(message.option(dhcp_option::routers));
    if (routers.empty()) return {};
    return {DhcpRoute{.destination = IpNetwork{IpAddress{}, 0}, .gateway = routers.front()}};
}

// The prefix length; what the address's old class implies when there is no mask (RFC 950).
static Result<std::uint8_t> prefix_length(const DhcpMessage& message) {
    const Bytes* mask = message.option(dhcp_option::subnet_mask);
    if (!mask) {
        const std::uint8_t first = message.yours.bytes()[0];
        return static_cast<std::uint8_t>(first < 128 ? 8 : first < 192 ? 16 : 24);
    }
    const std::uint32_t bits = number_of(mask).value_or(0);
    const int length = std::countl_one(bits);
    if (length == 0 || length + std::countr_zero(bits) < 32)
        return fail(ErrorCode::InvalidData, "the subnet mask is not one");
    return static_cast<std::uint8_t>(length);
}

// Lifetime, T1 and T2; the latter two by RFC 2131 section 4.4.5 when they make no sense.
static Status read_times(const DhcpMessage& message, DhcpLease& lease) {
    const auto seconds_of = [&](std::uint8_t code, std::chrono::seconds otherwise) {
        const auto number = number_of(message.option(code));
        return number ? std::chrono::seconds{*number} : otherwise;
    };
    lease.lifetime = seconds_of(dhcp_option::lease_time, assumed_lifetime);
    if (lease.lifetime < shortest_lease)
        return fail(ErrorCode::InvalidData, "the lease is too short to be used");
    const std::chrono::seconds renew_after = lease.lifetime / 2;
    const std::chrono::seconds rebind_after = lease.lifetime * 7 / 8;
    lease.renew_after = seconds_of(dhcp_option::renewal_time, renew_after);
    lease.rebind_after = seconds_of(dhcp_option::rebinding_time, rebind_after);
    if (lease.renew_after == 0s || lease.renew_after >= lease.rebind_after ||
        lease.rebind_after >= lease.lifetime) {
        lease.renew_after = renew_after;
        lease.rebind_after = rebind_after;
    }
    return {};
}

// Only one of the network's own: a foreign address must not become unreachable by being a broadcast.
static std::optional<IpAddress> broadcast_of(const DhcpMessage& message, const IpNetwork& network) {
    const Bytes* value = message.option(dhcp_option::broadcast_address);
    if (!value || value->size() != 4) return std::nullopt;
    const auto broadcast = IpAddress::from_bytes(*value);
    if (!broadcast || !network.contains(*broadcast) || *broadcast == network.address)
        return std::nullopt;
    return broadcast;
}

static std::optional<std::uint16_t> mtu_of(const Bytes* value) {
    if (!value || value->size() != 2) return std::nullopt;
    const std::uint16_t mtu = ByteReader(*value).u16();
    return mtu >= smallest_mtu ? std::optional{mtu} : std::nullopt;
}

Result<DhcpLease> lease_of(const DhcpMessage& message) {
    DhcpLease lease;
    if (!is_host(message.yours)) return fail(ErrorCode::InvalidData, "it gives no usable address");
    const auto server = hosts_of(message.option(dhcp_option::server_id));
    if (server.size() != 1)
        return fail(ErrorCode::InvalidData, "it does not say which server it is");
    lease.address = {message.yours, TRY(prefix_length(message))};
    lease.server = server.front();
    TRY(read_times(message, lease));
    lease.broadcast = broadcast_of(message, lease.address);
    lease.routes = routes_of(message);
    lease.resolvers = hosts_of(message.option(dhcp_option::resolvers));
    lease.ntp_servers = hosts_of(message.option(dhcp_option::ntp_servers));
    lease.mtu = mtu_of(message.option(dhcp_option::interface_mtu));
    return lease;
}

}  // namespace fortros
