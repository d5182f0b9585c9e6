#include "core/dhcp6_lease.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "core/dhcp_lease.h"

namespace fortros {

static constexpr std::size_t address_size = 16;
static constexpr std::size_t complaint_limit = 100;
static constexpr std::uint16_t ntp_suboption_address = 1;  // RFC 5908 section 4.1

// IRT_DEFAULT, IRT_MINIMUM (RFC 8415 section 7.6).
static constexpr std::chrono::seconds assumed_refresh{86400};
static constexpr std::chrono::seconds shortest_refresh{600};

// RFC 8415 section 21.13.
static constexpr std::uint16_t status_success = 0;
static constexpr std::uint16_t status_no_addresses = 2;
static constexpr std::uint16_t status_no_binding = 3;
static constexpr std::uint16_t status_not_on_link = 4;

static bool is_host(const IpAddress& address) {
    return !address.is_unspecified() && !address.is_loopback() && !address.is_multicast();
}

static void add_hosts(std::vector<IpAddress>& hosts, ByteView value) {
    ByteReader in(value);
    while (in.left() >= address_size && hosts.size() < dhcp_addresses_limit) {
        const IpAddress address = IpAddress::v6(in.array<address_size>());
        if (is_host(address) && std::ranges::find(hosts, address) == hosts.end())
            hosts.push_back(address);
    }
}

static std::vector<IpAddress> ntp_servers_of(const Dhcp6Options& options) {
    std::vector<IpAddress> servers;
    for (const auto& [code, value] : options) {
        if (code != dhcp6_option::ntp_server) continue;
        const auto parts = read_dhcp6_options(value);
        if (!parts) continue;
        for (const auto& [kind, part] : *parts)
            if (kind == ntp_suboption_address) add_hosts(servers, part);
    }
    return servers;
}

// What a status code says; success when there is none.
static Status status_of(const Dhcp6Options& options) {
    const Bytes* value = find_option(options, dhcp6_option::status_code);
    if (!value) return {};
    ByteReader in(*value);
    const std::uint16_t status = in.u16();
    if (!in.ok() || status == status_success) return {};
    std::string what;
    ErrorCode code = ErrorCode::NotFound;
    switch (status) {
        case status_no_addresses: what = "it has no address to give"; break;
        case status_no_binding: what = "it does not know the address"; break;
        case status_not_on_link:
            what = "the address does not belong to this link";
            code = ErrorCode::Refused;
            break;
        default: return fail(ErrorCode::InvalidData, "it failed: " + std::to_string(status));
    }
    const std::string words = printable(as_text(in.take(in.left())), complaint_limit);
    return fail(code, words.empty() ? what : what + " (" + words + ")");
}

Result<Dhcp6Lease> information_of(const Dhcp6Message& message) {
    const Bytes* server = message.option(dhcp6_option::server_id);
    if (!server || server->empty() || server->size() > duid_limit)
        return fail(ErrorCode::InvalidData, "it does not say which server it is");
    Dhcp6Lease lease{.refresh_after = assumed_refresh, .server_id = *server};
    if (const Bytes* resolvers = message.option(dhcp6_option::resolvers))
        add_hosts(lease.resolvers, *resolvers);
    lease.ntp_servers = ntp_servers_of(message.options);
    if (const Bytes* refresh = message.option(dhcp6_option::refresh_time);
        refresh && refresh->size() == 4)
        lease.refresh_after =
            std::max(std::chrono::seconds{ByteReader(*refresh).u32()}, shortest_refresh);
    // A server without addresses may well tell its resolvers all the same.
    if (lease.resolvers.empty()) TRY(status_of(message.options));
    return lease;
}

// Reads T1 and T2; by RFC 8415 section 21.4's advice when they make no sense or are left to us.
static void read_times(std::chrono::seconds renew_after, std::chrono::seconds rebind_after,
                       Dhcp6Lease& lease) {
    lease.renew_after = renew_after;
    lease.rebind_after = rebind_after;
    if (renew_after > 0s && renew_after < rebind_after && rebind_after < lease.lifetime) return;
    // The shorter, lest the address be deprecated before anybody asked; the longer where the server
    // gives it deprecated.
    const auto base = lease.preferred >= shortest_lease ? lease.preferred : lease.lifetime;
    lease.renew_after = base / 2;
    lease.rebind_after = base * 4 / 5;
}

// Whether the option gives an address that can be lived with.
static Status read_address(ByteView value, Dhcp6Lease& lease) {
    ByteReader in(value);
    const IpAddress address = IpAddress::v6(in.array<address_size>());
    lease.preferred = std::chrono::seconds{in.u32()};
    lease.lifetime = std::chrono::seconds{in.u32()};
    const auto options = TRY(read_dhcp6_options(in.take(in.left())));
    TRY(status_of(options));
    if (!in.ok() || !is_host(address) || address.is_link_local())
        return fail(ErrorCode::InvalidData, "it gives no usable address");
    if (lease.lifetime == 0s) return fail(ErrorCode::Refused, "it takes the address back");
    if (lease.lifetime < shortest_lease || lease.preferred > lease.lifetime)
        return fail(ErrorCode::InvalidData, "the lease is too short to be used");
    lease.address = address;
    return {};
}

static Status read_association(ByteView value, Dhcp6Lease& lease) {
    ByteReader in(value);
    in.u32();  // IAID
    const std::chrono::seconds renew_after{in.u32()};
    const std::chrono::seconds rebind_after{in.u32()};
    const auto options = TRY(read_dhcp6_options(in.take(in.left())));
    TRY(status_of(options));
    // A server that renumbers gives the old, deprecated or with a lifetime of nothing, beside the new.
    Status problem = fail(ErrorCode::InvalidData, "it gives no address");
    std::optional<Dhcp6Lease> best;
    for (const auto& [code, part] : options) {
        if (code != dhcp6_option::ia_address) continue;
        Dhcp6Lease given = lease;
        Status done = read_address(part, given);
        if (!done)
            problem = std::move(done);
        else if (!best || std::pair{given.preferred, given.lifetime} >
                              std::pair{best->preferred, best->lifetime})
            best = std::move(given);
    }
    if (!best) return problem;
    lease = *std::move(best);
    read_times(renew_after, rebind_after, lease);
    return {};
}

Result<Dhcp6Lease> lease_of(const Dhcp6Message& message, std::uint32_t iaid) {
    Dhcp6Lease lease = TRY(information_of(message));
    TRY(status_of(message.options));
    for (const auto& [code, value] : message.options) {
        if (code != dhcp6_option::ia_na || value.size() < 12 || ByteReader(value).u32() != iaid)
            continue;
        TRY(read_association(value, lease));
        lease.iaid = iaid;
        return lease;
    }
    return fail(ErrorCode::InvalidData, "it gives no address");
}

}  // namespace fortros
