#include "os/wireguard.h"

#include <linux/rtnetlink.h>
#include <linux/wireguard.h>

#include <cerrno>

#include "os/wireguard_codec.h"

namespace fortros {

// A message of changes: some two hundred peers.
static constexpr std::size_t changes_capacity = std::size_t{32} * 1024;

static std::string quoted(std::string_view operation, const std::string& name) {
    return std::string(operation) + " '" + name + "'";
}

static std::unexpected<Error> no_wireguard() {
    return fail(ErrorCode::Unsupported,
                "the kernel has no WireGuard: put wireguard.ko into the image");
}

Result<WireGuard> WireGuard::create() {
    Netlink route = TRY(Netlink::create(NETLINK_ROUTE));
    Netlink generic = TRY(Netlink::create(NETLINK_GENERIC));
    auto family = generic_netlink_family(generic, WG_GENL_NAME);
    if (!family && family.error().code == ErrorCode::NotFound) return no_wireguard();
    const std::uint16_t number = TRY(std::move(family));
    return WireGuard(std::move(generic), std::move(route), number);
}

Status WireGuard::ensure_interface(const std::string& name, std::uint32_t mtu) {
    NetlinkMessage request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
    request.text(IFLA_IFNAME, name).u32(IFLA_MTU, mtu).nest(IFLA_LINKINFO, [&] {
        request.text(IFLA_INFO_KIND, WG_GENL_NAME);
    });
    auto created = m_route.talk(request, quoted("cannot create interface", name));
    if (created) return {};
    if (created.error().system == EOPNOTSUPP) return no_wireguard();
    if (created.error().system != EEXIST) return created;
    auto existing = status(name);
    if (existing) return {};
    if (existing.error().code == ErrorCode::Unsupported)
        return fail(ErrorCode::Conflict,
                    "there is an interface '" + name + "' already, and it is not WireGuard's");
    return std::unexpected(std::move(existing).error());
}

Status WireGuard::remove_interface(const std::string& name) {
    NetlinkMessage request(RTM_DELLINK, 0, ifinfomsg{});
    request.text(IFLA_IFNAME, name);
    auto removed = m_route.talk(request, quoted("cannot remove interface", name));
    if (!removed && removed.error().code == ErrorCode::NotFound) return {};
    return removed;
}

Result<WireGuardStatus> WireGuard::status(const std::string& name) {
    NetlinkMessage request = wireguard_message(m_family, WG_CMD_GET_DEVICE, name);
    return m_generic.dump<WireGuardStatus>(request, quoted("cannot read WireGuard interface", name),
                                           read_wireguard_device);
}

Result<PrivateKey> WireGuard::private_key(const std::string& name) {
    struct Found {
        PrivateKey key{};
        bool is_set = false;
    };
    const std::string what = quoted("cannot read the private key of", name);
    NetlinkMessage request = wireguard_message(m_family, WG_CMD_GET_DEVICE, name);
    auto found = TRY(
        m_generic.dump<Found>(request, what, [](Found& found, const nlmsghdr& message) -> Status {
            if (auto key = read_wireguard_private_key(message)) {
                found.key = std::move(*key);
                found.is_set = true;
            }
            return {};
        }));
    if (!found.is_set) return fail(ErrorCode::NotFound, what, "none is set");
    return std::move(found.key);
}

Status WireGuard::set_private_key(const std::string& name, const PrivateKey& key) {
    NetlinkMessage request = wireguard_message(m_family, WG_CMD_SET_DEVICE, name);
    request.bytes(WGDEVICE_A_PRIVATE_KEY, key.view());
    return m_generic.talk(request, quoted("cannot set the private key of", name));
}

Status WireGuard::set_listen_port(const std::string& name, std::uint16_t port) {
    NetlinkMessage request = wireguard_message(m_family, WG_CMD_SET_DEVICE, name);
    request.u16(WGDEVICE_A_LISTEN_PORT, port);
    return m_generic.talk(request,
                          quoted("cannot set listen port " + std::to_string(port) + " of", name));
}

Status WireGuard::apply(const std::string& name, std::span<const WireGuardChange> changes) {
    const std::string what = quoted("cannot change the peers of", name);
    return write_wireguard_changes(
        m_family, name, changes, changes_capacity,
        [&](NetlinkMessage& message) { return m_generic.talk(message, what); });
}

}  // namespace fortros
