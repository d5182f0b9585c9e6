#include "os/guard.h"

#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>

#include <string_view>
#include <vector>

#include "os/nf_tables.h"

namespace fortros {

using namespace nf_tables;

// What is sent, in nft(8)'s words:
//
//   table inet fortros {
//       chain prerouting {
//           type filter hook prerouting priority raw; policy accept;
//           ip6 saddr PREFIX iifname != "lo" iifname != "fortros*" counter drop
//           ip6 daddr PREFIX iifname != "lo" iifname != "fortros*" counter drop
//       }
//   }
static constexpr std::string_view table = "fortros";
static constexpr std::string_view chain = "prerouting";
static constexpr std::int32_t priority_raw = -300;  // before connection tracking and every filter
static constexpr std::string_view overlay_interfaces = "fortros";  // names that begin so
static constexpr unsigned guard_rules = 2;

static NetlinkMessage drop_rule(const OrgPrefix& prefix, std::uint32_t address_offset) {
    static constexpr std::uint8_t ipv6[] = {NFPROTO_IPV6};
    static constexpr ByteArray<IFNAMSIZ> loopback{'l', 'o'};  // the NUL makes it the whole name
    return rule(table, chain, [&](NetlinkMessage& rule) {
        load_meta(rule, NFT_META_NFPROTO);
        compare(rule, NFT_CMP_EQ, ipv6);
        load_network_header(rule, address_offset, prefix.bytes.size());
        compare(rule, NFT_CMP_EQ, prefix.bytes);
        load_meta(rule, NFT_META_IIFNAME);
        compare(rule, NFT_CMP_NEQ, loopback);
        load_meta(rule, NFT_META_IIFNAME);
        compare(rule, NFT_CMP_NEQ, as_bytes(overlay_interfaces));
        count(rule);
        drop(rule);
    });
}

// ------------------------------------------------------------------------------------------------

static Status explain(Status installed) {
    if (installed || installed.error().code != ErrorCode::Unsupported) return installed;
    return fail(ErrorCode::Unsupported,
                "the kernel has no nf_tables: put nf_tables.ko into the image");
}

Status install_guard(const OrgPrefix& prefix) {
    auto netlink = Netlink::create(NETLINK_NETFILTER);
    if (!netlink) return explain(std::unexpected(std::move(netlink).error()));
    std::vector<NetlinkMessage> batch;
    batch.push_back(batch_message(NFNL_MSG_BATCH_BEGIN));
    add_empty_table(batch, table);
    batch.push_back(base_chain(table, chain, NF_INET_PRE_ROUTING, priority_raw));
    batch.push_back(drop_rule(prefix, ip6_source_offset));
    batch.push_back(drop_rule(prefix, ip6_destination_offset));
    batch.push_back(batch_message(NFNL_MSG_BATCH_END));
    return explain(netlink->talk_batch(batch, "cannot install the guard (table inet fortros)"));
}

Result<bool> guard_is_installed() {
    auto netlink = TRY(Netlink::create(NETLINK_NETFILTER));
    // All rules of the family: to ask for ours alone is an error when the table is gone.
    auto request = message(NFT_MSG_GETRULE, 0);
    const auto rules = TRY(netlink.dump<unsigned>(
        request, "cannot list nf_tables rules",
        [](unsigned& ours, const nlmsghdr& message) -> Status {
            for (const NetlinkAttribute attribute : NetlinkAttributes::of<nfgenmsg>(message))
                if (attribute.type() == NFTA_RULE_TABLE && attribute.text() == table) ++ours;
            return {};
        }));
    return rules == guard_rules;
}

}  // namespace fortros
