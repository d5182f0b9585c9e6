#include "os/source_routes.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <optional>

#include "os/netlink.h"

namespace fortros {

static constexpr std::uint32_t rule_priority = 5180;  // before the main table, at 32766
static constexpr std::uint32_t first_table = 5'180'000;
static constexpr std::uint32_t tables_limit = 1'000'000;
static constexpr std::uint8_t host_length = 128;

static std::uint32_t table_of(unsigned ifindex) { return first_table + ifindex; }

namespace {

struct Rule {
    IpAddress source;
    std::uint32_t table = 0;
    bool operator==(const Rule&) const = default;
};

struct TableRoute {
    IpNetwork destination;
    unsigned ifindex = 0;
    std::uint32_t table = 0;
    bool operator==(const TableRoute&) const = default;
};

}  // namespace

// --- what there is ------------------------------------------------------------------------------

static std::optional<IpAddress> address_in(const std::optional<NetlinkAttribute>& attribute) {
    return attribute ? IpAddress::from_bytes(attribute->payload()) : std::nullopt;
}

static Status gather_rule(std::vector<Rule>& rules, const nlmsghdr& message) {
    const auto* header = family_header<fib_rule_hdr>(message);
    if (!header || message.nlmsg_type != RTM_NEWRULE || header->src_len != host_length) return {};
    const auto attributes = NetlinkAttributes::of<fib_rule_hdr>(message);
    const auto priority = attributes.find(FRA_PRIORITY);
    const auto table = attributes.find(FRA_TABLE);
    const auto source = address_in(attributes.find(FRA_SRC));
    if (priority && priority->u32() == rule_priority && table && source)
        rules.push_back({*source, table->u32().value_or(0)});
    return {};
}

static Status gather_route(std::vector<TableRoute>& routes, const nlmsghdr& message) {
    const auto* header = family_header<rtmsg>(message);
    if (!header || message.nlmsg_type != RTM_NEWROUTE) return {};
    const auto attributes = NetlinkAttributes::of<rtmsg>(message);
    const auto table = attributes.find(RTA_TABLE);
    const auto destination = address_in(attributes.find(RTA_DST));
    const auto interface = attributes.find(RTA_OIF);
    if (!table || !destination || !interface) return {};
    const std::uint32_t number = table->u32().value_or(0);
    if (number >= first_table && number - first_table < tables_limit)
        routes.push_back(
            {{*destination, header->rtm_dst_len}, interface->u32().value_or(0), number});
    return {};
}

// --- changes ------------------------------------------------------------------------------------

static Status change(Netlink& netlink, const TableRoute& route, std::uint16_t type) {
    const bool add = type == RTM_NEWROUTE;
    NetlinkMessage request(
        type, add ? NLM_F_CREATE | NLM_F_REPLACE : 0,
        rtmsg{.rtm_family = AF_INET6,
              .rtm_dst_len = route.destination.length,
              .rtm_protocol = static_cast<std::uint8_t>(add ? RTPROT_STATIC : RTPROT_UNSPEC),
              .rtm_scope = RT_SCOPE_UNIVERSE,
              .rtm_type = RTN_UNICAST});
    request.bytes(RTA_DST, route.destination.address.bytes())
        .u32(RTA_OIF, route.ifindex)
        .u32(RTA_TABLE, route.table);
    return netlink.talk(request, std::string(add ? "cannot add" : "cannot remove") + " route " +
                                     route.destination.text() + " of table " +
                                     std::to_string(route.table));
}

static Status change(Netlink& netlink, const Rule& rule, std::uint16_t type) {
    const bool add = type == RTM_NEWRULE;
    NetlinkMessage request(
        type, add ? NLM_F_CREATE | NLM_F_EXCL : 0,
        fib_rule_hdr{.family = AF_INET6, .src_len = host_length, .action = FR_ACT_TO_TBL});
    request.bytes(FRA_SRC, rule.source.bytes())
        .u32(FRA_PRIORITY, rule_priority)
        .u32(FRA_TABLE, rule.table);
    return netlink.talk(request, std::string(add ? "cannot add" : "cannot remove") + " rule from " +
                                     rule.source.text() + " lookup " + std::to_string(rule.table));
}

// Adds what is missing.
template <typename Entry>
static Status add(Netlink& netlink, const std::vector<Entry>& want, const std::vector<Entry>& have,
                  std::uint16_t type) {
    for (const Entry& entry : want)
        if (!std::ranges::contains(have, entry)) TRY(change(netlink, entry, type));
    return {};
}

Status set_source_routes(const std::vector<SourceRoute>& routes) {
    std::vector<Rule> rules;
    std::vector<TableRoute> table_routes;
    for (const SourceRoute& route : routes) {
        rules.push_back({route.source, table_of(route.ifindex)});
        table_routes.push_back({route.destination, route.ifindex, table_of(route.ifindex)});
    }

    auto netlink = TRY(Netlink::create(NETLINK_ROUTE));
    NetlinkMessage wanted_rules(RTM_GETRULE, 0, fib_rule_hdr{.family = AF_INET6});
    const auto have = netlink.dump<std::vector<Rule>>(
        wanted_rules, "cannot list the rules of routing", gather_rule);
    if (!have && have.error().code == ErrorCode::Unsupported && routes.empty()) return {};
    if (!have) return std::unexpected(have.error());
    NetlinkMessage wanted_routes(RTM_GETROUTE, 0, rtmsg{.rtm_family = AF_INET6});
    const auto have_routes = TRY(
        netlink.dump<std::vector<TableRoute>>(wanted_routes, "cannot list routes", gather_route));

    // A rule never leads into a table without its route.
    TRY(add(netlink, table_routes, have_routes, RTM_NEWROUTE));
    TRY(add(netlink, rules, *have, RTM_NEWRULE));
    TRY(add(netlink, *have, rules, RTM_DELRULE));
    return add(netlink, have_routes, table_routes, RTM_DELROUTE);
}

}  // namespace fortros
