#include "os/nf_tables.h"

#include <linux/netfilter/nfnetlink.h>

namespace fortros::nf_tables {

std::uint32_t number(std::uint32_t value) { return htonl(value); }

NetlinkMessage batch_message(std::uint16_t type) {
    return NetlinkMessage(type, 0,
                          nfgenmsg{.nfgen_family = AF_UNSPEC,
                                   .version = NFNETLINK_V0,
                                   .res_id = htons(NFNL_SUBSYS_NFTABLES)});
}

NetlinkMessage message(unsigned type, unsigned flags) {
    return NetlinkMessage(
        static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type), flags,
        nfgenmsg{.nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0, .res_id = 0});
}

// Add, delete, add: the delete finds a table whether or not there was one, and with it goes whatever an
// earlier version has put there.
void add_empty_table(std::vector<NetlinkMessage>& batch, std::string_view table) {
    for (const auto& [type, flags] :
         {std::pair(NFT_MSG_NEWTABLE, unsigned{NLM_F_CREATE}), std::pair(NFT_MSG_DELTABLE, 0U),
          std::pair(NFT_MSG_NEWTABLE, unsigned{NLM_F_CREATE})}) {
        batch.push_back(message(type, flags));
        batch.back().text(NFTA_TABLE_NAME, table);
    }
}

NetlinkMessage base_chain(std::string_view table, std::string_view chain, nf_inet_hooks hook,
                          std::int32_t priority) {
    auto made = message(NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    made.text(NFTA_CHAIN_TABLE, table)
        .text(NFTA_CHAIN_NAME, chain)
        .nest(NFTA_CHAIN_HOOK,
              [&] {
                  made.u32(NFTA_HOOK_HOOKNUM, number(hook))
                      .u32(NFTA_HOOK_PRIORITY, number(static_cast<std::uint32_t>(priority)));
              })
        .u32(NFTA_CHAIN_POLICY, number(NF_ACCEPT))
        .text(NFTA_CHAIN_TYPE, "filter");
    return made;
}

void load_meta(NetlinkMessage& rule, nft_meta_keys key) {
    expression(rule, "meta", [&] {
        rule.u32(NFTA_META_DREG, number(NFT_REG_1)).u32(NFTA_META_KEY, number(key));
    });
}

void load_network_header(NetlinkMessage& rule, std::uint32_t offset, std::size_t size) {
    expression(rule, "payload", [&] {
        rule.u32(NFTA_PAYLOAD_DREG, number(NFT_REG_1))
            .u32(NFTA_PAYLOAD_BASE, number(NFT_PAYLOAD_NETWORK_HEADER))
            .u32(NFTA_PAYLOAD_OFFSET, number(offset))
            .u32(NFTA_PAYLOAD_LEN, number(static_cast<std::uint32_t>(size)));
    });
}

void compare(NetlinkMessage& rule, nft_cmp_ops operation, ByteView value) {
    expression(rule, "cmp", [&] {
        rule.u32(NFTA_CMP_SREG, number(NFT_REG_1))
            .u32(NFTA_CMP_OP, number(operation))
            .nest(NFTA_CMP_DATA, [&] { rule.bytes(NFTA_DATA_VALUE, value); });
    });
}

void count(NetlinkMessage& rule) {
    expression(rule, "counter", [] {});
}

void drop(NetlinkMessage& rule) {
    expression(rule, "immediate", [&] {
        rule.u32(NFTA_IMMEDIATE_DREG, number(NFT_REG_VERDICT)).nest(NFTA_IMMEDIATE_DATA, [&] {
            rule.nest(NFTA_DATA_VERDICT, [&] { rule.u32(NFTA_VERDICT_CODE, number(NF_DROP)); });
        });
    });
}

}  // namespace fortros::nf_tables
