#include "os/path_filters.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "base/text.h"
#include "os/nf_tables.h"

namespace fortros {

static constexpr std::size_t filters_limit = 16;
static constexpr std::string_view overlay_interfaces = "fortros";

namespace {

struct Filters {
    std::set<std::string> exempt;  // chains in which the overlay's interfaces were named so far
    std::vector<std::string> strict;
};

struct RuleFacts {
    bool names_overlay = false;
    bool is_strict = false;
};

}  // namespace

static RuleFacts facts_of(const NetlinkAttribute& expressions) {
    RuleFacts facts;
    for (const NetlinkAttribute expression : NetlinkAttributes(expressions)) {
        const NetlinkAttributes parts(expression);
        const auto name = parts.find(NFTA_EXPR_NAME);
        const auto data = parts.find(NFTA_EXPR_DATA);
        if (!name || !data) continue;
        const NetlinkAttributes values(*data);
        if (name->text() == "cmp") {
            const auto compared = values.find(NFTA_CMP_DATA);
            const auto value =
                compared ? NetlinkAttributes(*compared).find(NFTA_DATA_VALUE) : std::nullopt;
            if (value && as_text(value->payload()).starts_with(overlay_interfaces))
                facts.names_overlay = true;
        } else if (name->text() == "fib") {
            const auto flags = values.find(NFTA_FIB_FLAGS);
            const std::uint32_t set = flags ? ntohl(flags->u32().value_or(0)) : 0;
            facts.is_strict = (set & NFTA_FIB_F_SADDR) != 0 && (set & NFTA_FIB_F_IIF) != 0;
        }
    }
    return facts;
}

static std::string family_of(const nlmsghdr& message) {
    const auto* header = family_header<nfgenmsg>(message);
    return header && header->nfgen_family == NFPROTO_IPV6 ? "ip6" : "inet";
}

static Status gather(Filters& filters, const nlmsghdr& message) {
    const auto attributes = NetlinkAttributes::of<nfgenmsg>(message);
    const auto table = attributes.find(NFTA_RULE_TABLE);
    const auto chain = attributes.find(NFTA_RULE_CHAIN);
    const auto expressions = attributes.find(NFTA_RULE_EXPRESSIONS);
    if (!table || !chain || !expressions) return {};
    const std::string place = "table " + family_of(message) + " " + printable(table->text()) +
                              ", chain " + printable(chain->text());
    const RuleFacts facts = facts_of(*expressions);
    if (facts.is_strict && !facts.names_overlay && !filters.exempt.contains(place) &&
        !std::ranges::contains(filters.strict, place) && filters.strict.size() < filters_limit)
        filters.strict.push_back(place);
    if (facts.names_overlay) filters.exempt.insert(place);
    return {};
}

static Status gather_family(Filters& filters, std::uint8_t family) {
    auto netlink = TRY(Netlink::create(NETLINK_NETFILTER));
    NetlinkMessage request(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETRULE, 0,
                           nfgenmsg{.nfgen_family = family, .version = NFNETLINK_V0, .res_id = 0});
    const auto found = TRY(netlink.dump<Filters>(request, "cannot list nf_tables rules", gather));
    std::ranges::copy(found.strict, std::back_inserter(filters.strict));
    return {};
}

Result<std::vector<std::string>> strict_path_filters() {
    Filters filters;
    for (const std::uint8_t family : {std::uint8_t{NFPROTO_INET}, std::uint8_t{NFPROTO_IPV6}})
        if (Status status = gather_family(filters, family); !status) {
            if (status.error().code == ErrorCode::Unsupported) return filters.strict;
            return std::unexpected(std::move(status).error());
        }
    return filters.strict;
}

}  // namespace fortros
