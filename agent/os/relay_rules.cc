#include "os/relay_rules.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "os/netlink.h"

namespace fortros {

static constexpr std::uint32_t lookup_priority = 5181;  // before the main table, at 32766
static constexpr std::uint32_t close_priority = 5182;
// The prefix of the overlay, and whatever is shorter: only longer ones count.
static constexpr std::uint32_t suppressed_length = 48;

namespace {

struct Relays {
    std::set<std::string> looked_up;
    std::set<std::string> closed;
};

}  // namespace

static Status gather(Relays& relays, const nlmsghdr& message) {
    const auto* header = family_header<fib_rule_hdr>(message);
    if (!header || message.nlmsg_type != RTM_NEWRULE) return {};
    const auto attributes = NetlinkAttributes::of<fib_rule_hdr>(message);
    const auto priority = attributes.find(FRA_PRIORITY);
    const auto interface = attributes.find(FRA_IIFNAME);
    if (!priority || !interface) return {};
    if (priority->u32() == lookup_priority) relays.looked_up.emplace(interface->text());
    if (priority->u32() == close_priority) relays.closed.emplace(interface->text());
    return {};
}

static Status change(Netlink& netlink, std::uint16_t type, std::uint32_t priority,
                     const std::string& interface) {
    const bool add = type == RTM_NEWRULE;
    const bool is_lookup = priority == lookup_priority;
    NetlinkMessage request(
        type, add ? NLM_F_CREATE | NLM_F_EXCL : 0,
        fib_rule_hdr{
            .family = AF_INET6,
            .table = static_cast<std::uint8_t>(is_lookup ? RT_TABLE_MAIN : RT_TABLE_UNSPEC),
            .action = static_cast<std::uint8_t>(is_lookup ? FR_ACT_TO_TBL : FR_ACT_UNREACHABLE)});
    request.u32(FRA_PRIORITY, priority).text(FRA_IIFNAME, interface);
    if (is_lookup) request.u32(FRA_SUPPRESS_PREFIXLEN, suppressed_length);
    return netlink.talk(request, std::string(add ? "cannot add" : "cannot remove") +
                                     " the rule for what comes from '" + interface + "'");
}

static Status add(Netlink& netlink, std::uint32_t priority, const std::set<std::string>& want,
                  const std::set<std::string>& have, std::uint16_t type) {
    for (const std::string& interface : want)
        if (!have.contains(interface)) TRY(change(netlink, type, priority, interface));
    return {};
}

Status set_relay_rules(const std::set<std::string>& interfaces) {
    auto netlink = TRY(Netlink::create(NETLINK_ROUTE));
    NetlinkMessage request(RTM_GETRULE, 0, fib_rule_hdr{.family = AF_INET6});
    const auto have = netlink.dump<Relays>(request, "cannot list the rules of routing", gather);
    if (!have && have.error().code == ErrorCode::Unsupported && interfaces.empty()) return {};
    if (!have) return std::unexpected(have.error());
    TRY(add(netlink, close_priority, interfaces, have->closed, RTM_NEWRULE));
    TRY(add(netlink, lookup_priority, interfaces, have->looked_up, RTM_NEWRULE));
    TRY(add(netlink, lookup_priority, have->looked_up, interfaces, RTM_DELRULE));
    return add(netlink, close_priority, have->closed, interfaces, RTM_DELRULE);
}

}  // namespace fortros
