// The pieces of which nf_tables messages are made (linux/netfilter/nf_tables.h), for tables of our own:
// transactions, chains, and the expressions of rules. It sends nothing.
//
// A rule is its expressions, one after the other; a comparison that fails ends it.
#pragma once

#include <arpa/inet.h>  // before the next, which cannot come first
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "os/netlink.h"

namespace fortros::nf_tables {

// Numbers go in network order.
std::uint32_t number(std::uint32_t value);

// NFNL_MSG_BATCH_BEGIN and _END, between which a transaction is.
NetlinkMessage batch_message(std::uint16_t type);
// Of the family inet.
NetlinkMessage message(unsigned type, unsigned flags);
// Makes a table that is empty, whatever was in one of this name: without a moment in between.
void add_empty_table(std::vector<NetlinkMessage>& batch, std::string_view table);
NetlinkMessage base_chain(std::string_view table, std::string_view chain, nf_inet_hooks hook,
                          std::int32_t priority);

template <typename Fill>
NetlinkMessage rule(std::string_view table, std::string_view chain, Fill&& fill) {
    auto rule = message(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    rule.text(NFTA_RULE_TABLE, table).text(NFTA_RULE_CHAIN, chain).nest(NFTA_RULE_EXPRESSIONS, [&] {
        std::forward<Fill>(fill)(rule);
    });
    return rule;
}

template <typename Fill>
void expression(NetlinkMessage& rule, std::string_view name, Fill&& fill) {
    rule.nest(NFTA_LIST_ELEM, [&] {
        rule.text(NFTA_EXPR_NAME, name).nest(NFTA_EXPR_DATA, std::forward<Fill>(fill));
    });
}

void load_meta(NetlinkMessage& rule, nft_meta_keys key);
void load_network_header(NetlinkMessage& rule, std::uint32_t offset, std::size_t size);
// Compares as many bytes as `value` has.
void compare(NetlinkMessage& rule, nft_cmp_ops operation, ByteView value);
void count(NetlinkMessage& rule);
void drop(NetlinkMessage& rule);

inline constexpr std::uint32_t ip6_source_offset = 8;
inline constexpr std::uint32_t ip6_destination_offset = 24;

}  // namespace fortros::nf_tables
