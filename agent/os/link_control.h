// The kernel's links, observed as values and changed by single steps (rtnetlink: linux/if_link.h,
// if_addr.h, rtnetlink.h). It decides nothing, and takes away only what its caller says it has put.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/link_configuration.h"
#include "core/link_state.h"
#include "os/netlink.h"

namespace fortros {

class LinkControl {
public:
    static Result<LinkControl> create();

    // Every link of the host but loopback, with its addresses and default routes. Busy when they
    // change faster than they can be read; an event will follow.
    Result<std::vector<LinkState>> observe();

    Status bring_up(unsigned ifindex);
    // An 802.1Q link, not yet up. Fails when the name or the tag is taken, or the kernel has none.
    Status add_vlan(const VlanSetting& vlan, unsigned parent);
    Status set_mtu(unsigned ifindex, std::uint32_t mtu);
    // The kernel shall pass over the routes of this link while it has no carrier, though they stay.
    static Status pass_over_without_carrier(const std::string& name);

    // By which link the routes lead to an address now. Unreachable: by none.
    Result<unsigned> link_towards(const IpAddress& address);
    // The kernel makes default routes of router advertisements, on every link with the same metric.
    // Puts better ones beside those of this link, as long-lived as theirs are now, and takes away
    // those whose router has taken its word back. How long it all lasts so; absent: for ever.
    Result<std::optional<std::chrono::seconds>> prefer_routers(unsigned ifindex);
    // Takes those away again.
    Status stop_preferring_routers(unsigned ifindex);

    // Puts `want` on a link, and takes away what is only in `have`, which was applied before. What
    // is right already is not touched but for an address's lifetime, so nothing blinks. The MTU is
    // not part of it. What the kernel refuses is skipped: all else is done, then the first error
    // returned.
    Status apply(unsigned ifindex, const LinkConfiguration& want, const LinkConfiguration& have);

private:
    explicit LinkControl(Netlink route) : m_route(std::move(route)) {}

    Status set_address(unsigned ifindex, const AddressSetting& address, std::uint32_t metric);
    Status remove_address(unsigned ifindex, const IpNetwork& network);
    enum class RouteChange : std::uint8_t { Set, Remove };
    Status change_route(RouteChange change, unsigned ifindex, const RouteSetting& route,
                        const LinkConfiguration& configuration);
    Status change_router(RouteChange change, unsigned ifindex, const IpAddress& router,
                         std::uint32_t metric, std::uint32_t seconds);

    Netlink m_route;
};

}  // namespace fortros
