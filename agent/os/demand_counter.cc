#include "os/demand_counter.h"

#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <bit>
#include <string_view>

#include "base/time.h"
#include "os/nf_tables.h"

namespace fortros {

using namespace nf_tables;

// What is sent, in nft(8)'s words:
//
//   table inet fortros-demand {
//       set through {
//           type ipv6_addr; flags dynamic,timeout; size 4096; timeout 10m; counter
//       }
//       chain sent {
//           type filter hook output priority filter; policy accept;
//           oifname "fortros-lh*" ip6 daddr PREFIX update @through { ip6 daddr }
//       }
//       chain received {
//           type filter hook input priority filter; policy accept;
//           iifname "fortros-lh*" ip6 saddr PREFIX update @through { ip6 saddr }
//       }
//   }
static constexpr std::string_view table = "fortros-demand";
static constexpr std::string_view set = "through";
static constexpr std::uint32_t set_number = 1;         // within the transaction
static constexpr std::uint32_t ipv6_address_type = 8;  // nft(8)'s own number, for its listing
static constexpr std::string_view lighthouses = "fortros-lh";  // names that begin so
// Whoever was silent for so long has no demand.
static constexpr std::chrono::milliseconds forget_after = 10min;

static NetlinkMessage counting_set() {
    auto made = message(NFT_MSG_NEWSET, NLM_F_CREATE);
    made.text(NFTA_SET_TABLE, table)
        .text(NFTA_SET_NAME, set)
        .u32(NFTA_SET_ID, number(set_number))
        .u32(NFTA_SET_FLAGS, number(NFT_SET_TIMEOUT | NFT_SET_EVAL))
        .u32(NFTA_SET_KEY_TYPE, number(ipv6_address_type))
        .u32(NFTA_SET_KEY_LEN, number(16))
        .u64(NFTA_SET_TIMEOUT, std::byteswap(static_cast<std::uint64_t>(forget_after.count())))
        .nest(NFTA_SET_DESC, [&] { made.u32(NFTA_SET_DESC_SIZE, number(demand_limit)); })
        .nest(NFTA_SET_EXPR,
              [&] { made.text(NFTA_EXPR_NAME, "counter").nest(NFTA_EXPR_DATA, [] {}); });
    return made;
}

static NetlinkMessage counting_rule(std::string_view chain, nft_meta_keys interface,
                                    const OrgPrefix& prefix, std::uint32_t address_offset) {
    static constexpr std::uint8_t ipv6[] = {NFPROTO_IPV6};
    return rule(table, chain, [&](NetlinkMessage& rule) {
        load_meta(rule, NFT_META_NFPROTO);
        compare(rule, NFT_CMP_EQ, ipv6);
        load_meta(rule, interface);
        compare(rule, NFT_CMP_EQ, as_bytes(lighthouses));
        load_network_header(rule, address_offset, prefix.bytes.size());
        compare(rule, NFT_CMP_EQ, prefix.bytes);
        load_network_header(rule, address_offset, 16);
        expression(rule, "dynset", [&] {
            rule.text(NFTA_DYNSET_SET_NAME, set)
                .u32(NFTA_DYNSET_SET_ID, number(set_number))
                .u32(NFTA_DYNSET_OP, number(NFT_DYNSET_OP_UPDATE))
                .u32(NFTA_DYNSET_SREG_KEY, number(NFT_REG_1));
        });
    });
}

Status DemandCounter::install() const {
    static constexpr std::int32_t priority_filter = 0;
    auto netlink = TRY(Netlink::create(NETLINK_NETFILTER));
    std::vector<NetlinkMessage> batch;
    batch.push_back(batch_message(NFNL_MSG_BATCH_BEGIN));
    add_empty_table(batch, table);
    batch.push_back(counting_set());
    batch.push_back(base_chain(table, "sent", NF_INET_LOCAL_OUT, priority_filter));
    batch.push_back(base_chain(table, "received", NF_INET_LOCAL_IN, priority_filter));
    batch.push_back(counting_rule("sent", NFT_META_OIFNAME, m_prefix, ip6_destination_offset));
    batch.push_back(counting_rule("received", NFT_META_IIFNAME, m_prefix, ip6_source_offset));
    batch.push_back(batch_message(NFNL_MSG_BATCH_END));
    return netlink.talk_batch(batch, "cannot count demand (table inet fortros-demand)");
}

Result<DemandCounter> DemandCounter::create(const OrgPrefix& prefix) {
    DemandCounter counter(prefix);
    TRY(counter.install());
    return counter;
}

// --- reading ------------------------------------------------------------------------------------

using Counts = std::map<IpAddress, std::uint64_t>;

static std::uint64_t bytes_of(const NetlinkAttribute& counter) {
    const auto data = NetlinkAttributes(counter).find(NFTA_EXPR_DATA);
    const auto bytes = data ? NetlinkAttributes(*data).find(NFTA_COUNTER_BYTES) : std::nullopt;
    return bytes ? std::byteswap(bytes->u64().value_or(0)) : 0;
}

static Status gather(Counts& counts, const nlmsghdr& message) {
    const auto elements =
        NetlinkAttributes::of<nfgenmsg>(message).find(NFTA_SET_ELEM_LIST_ELEMENTS);
    if (!elements) return {};
    for (const NetlinkAttribute element : NetlinkAttributes(*elements)) {
        const NetlinkAttributes parts(element);
        const auto key = parts.find(NFTA_SET_ELEM_KEY);
        const auto counter = parts.find(NFTA_SET_ELEM_EXPR);
        const auto value = key ? NetlinkAttributes(*key).find(NFTA_DATA_VALUE) : std::nullopt;
        const auto address = value ? IpAddress::from_bytes(value->payload()) : std::nullopt;
        if (address && counter && counts.size() < demand_limit)
            counts[*address] = bytes_of(*counter);
    }
    return {};
}

Result<std::vector<DemandCounter::Demand>> DemandCounter::read(std::size_t limit) {
    auto netlink = TRY(Netlink::create(NETLINK_NETFILTER));
    auto request = message(NFT_MSG_GETSETELEM, 0);
    request.text(NFTA_SET_ELEM_LIST_TABLE, table).text(NFTA_SET_ELEM_LIST_SET, set);
    auto counts = netlink.dump<Counts>(request, "cannot read the demand", gather);
    if (!counts && counts.error().code == ErrorCode::NotFound) {
        m_counted.clear();
        TRY(install());
        return std::vector<Demand>{};
    }
    if (!counts) return std::unexpected(std::move(counts).error());
    std::vector<Demand> demands;
    for (const auto& [address, bytes] : *counts) {
        // An entry that had gone meanwhile counts from zero.
        const auto before = m_counted.find(address);
        const std::uint64_t known =
            before == m_counted.end() || before->second > bytes ? 0 : before->second;
        if (bytes > known) demands.push_back({address, bytes - known});
    }
    m_counted = std::move(*counts);
    std::ranges::sort(demands, std::greater{}, &Demand::bytes);
    if (demands.size() > limit) demands.resize(limit);
    return demands;
}

}  // namespace fortros
