#include "os/guard.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>

#include <array>
#include <string_view>
#include <vector>

#include "os/netlink.h"

namespace fortros {

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
static constexpr std::uint32_t ip6_source_offset = 8;
static constexpr std::uint32_t ip6_destination_offset = 24;

static NetlinkMessage batch_message(std::uint16_t type) {
    return NetlinkMessage(type, 0,
                          nfgenmsg{.nfgen_family = AF_UNSPEC,
                                   .version = NFNETLINK_V0,
                                   .res_id = htons(NFNL_SUBSYS_NFTABLES)});
}

static NetlinkMessage table_message(unsigned type, unsigned flags) {
    return NetlinkMessage(
        static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type), flags,
        nfgenmsg{.nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0, .res_id = 0});
}

static NetlinkMessage base_chain() {
    auto message = table_message(NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    message.text(NFTA_CHAIN_TABLE, table)
        .text(NFTA_CHAIN_NAME, chain)
        .nest(NFTA_CHAIN_HOOK,
              [&] {
                  message.u32(NFTA_HOOK_HOOKNUM, htonl(NF_INET_PRE_ROUTING))
                      .u32(NFTA_HOOK_PRIORITY, htonl(static_cast<std::uint32_t>(priority_raw)));
              })
        .u32(NFTA_CHAIN_POLICY, htonl(NF_ACCEPT))
        .text(NFTA_CHAIN_TYPE, "filter");
    return message;
}

// --- rules: expressions one after the other; a comparison that fails ends the rule -------------

template <typename Fill>
static void expression(NetlinkMessage& rule, std::string_view name, Fill&& fill) {
    rule.nest(NFTA_LIST_ELEM, [&] {
        rule.text(NFTA_EXPR_NAME, name).nest(NFTA_EXPR_DATA, std::forward<Fill>(fill));
    });
}

static void load_meta(NetlinkMessage& rule, nft_meta_keys key) {
    expression(rule, "meta",
               [&] { rule.u32(NFTA_META_DREG, htonl(NFT_REG_1)).u32(NFTA_META_KEY, htonl(key)); });
}

static void load_network_header(NetlinkMessage& rule, std::uint32_t offset, std::size_t size) {
    expression(rule, "payload", [&] {
        rule.u32(NFTA_PAYLOAD_DREG, htonl(NFT_REG_1))
            .u32(NFTA_PAYLOAD_BASE, htonl(NFT_PAYLOAD_NETWORK_HEADER))
            .u32(NFTA_PAYLOAD_OFFSET, htonl(offset))
            .u32(NFTA_PAYLOAD_LEN, htonl(static_cast<std::uint32_t>(size)));
    });
}

// Compares as many bytes as `value` has.
static void compare(NetlinkMessage& rule, nft_cmp_ops operation, ByteView value) {
    expression(rule, "cmp", [&] {
        rule.u32(NFTA_CMP_SREG, htonl(NFT_REG_1))
            .u32(NFTA_CMP_OP, htonl(operation))
            .nest(NFTA_CMP_DATA, [&] { rule.bytes(NFTA_DATA_VALUE, value); });
    });
}

static void count(NetlinkMessage& rule) {
    expression(rule, "counter", [] {});
}

static void drop(NetlinkMessage& rule) {
    expression(rule, "immediate", [&] {
        rule.u32(NFTA_IMMEDIATE_DREG, htonl(NFT_REG_VERDICT)).nest(NFTA_IMMEDIATE_DATA, [&] {
            rule.nest(NFTA_DATA_VERDICT, [&] { rule.u32(NFTA_VERDICT_CODE, htonl(NF_DROP)); });
        });
    });
}

static NetlinkMessage drop_rule(const OrgPrefix& prefix, std::uint32_t address_offset) {
    static constexpr std::uint8_t ipv6[] = {NFPROTO_IPV6};
    static constexpr ByteArray<IFNAMSIZ> loopback{'l', 'o'};  // the NUL makes it the whole name
    auto rule = table_message(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    rule.text(NFTA_RULE_TABLE, table).text(NFTA_RULE_CHAIN, chain).nest(NFTA_RULE_EXPRESSIONS, [&] {
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
    return rule;
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
    // Add, delete, add: the delete finds a table whether or not there was one, and with it goes
    // whatever an earlier version has put there.
    for (const auto& [type, flags] :
         {std::pair(NFT_MSG_NEWTABLE, unsigned{NLM_F_CREATE}), std::pair(NFT_MSG_DELTABLE, 0U),
          std::pair(NFT_MSG_NEWTABLE, unsigned{NLM_F_CREATE})}) {
        batch.push_back(table_message(type, flags));
        batch.back().text(NFTA_TABLE_NAME, table);
    }
    batch.push_back(base_chain());
    batch.push_back(drop_rule(prefix, ip6_source_offset));
    batch.push_back(drop_rule(prefix, ip6_destination_offset));
    batch.push_back(batch_message(NFNL_MSG_BATCH_END));
    return explain(netlink->talk_batch(batch, "cannot install the guard (table inet fortros)"));
}

Result<bool> guard_is_installed() {
    auto netlink = TRY(Netlink::create(NETLINK_NETFILTER));
    // All rules of the family: to ask for ours alone is an error when the table is gone.
    auto request = table_message(NFT_MSG_GETRULE, 0);
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
