// Bytes from etcd as what it answers, and what its values hold as rows of the registry: all of it is
// bounded, and what reads as a row is written as the same row.
#include "gateway/etcd_messages.h"
#include "gateway/etcd_mirror.h"
#include "gateway/etcd_rows.h"

using namespace fortros;
using namespace fortros::gateway;

namespace {

const std::string folder = "/fortros/fd0000000000/state/";

template <typename Row>
void check_row(std::string_view text, Result<Row> (*parse)(std::string_view)) {
    const auto row = parse(text);
    if (!row) {
        ASSERT(row.error().code == ErrorCode::InvalidData ||
               row.error().code == ErrorCode::Unsupported);
        return;
    }
    const auto again = parse(to_json_text(*row));
    ASSERT(again && *again == *row);
}

// A page and a watch's message, as the mirror takes them.
void check_mirror(std::string_view text) {
    EtcdMirror mirror(folder);
    if (const auto range = parse_etcd_range(text)) {
        ASSERT(!range->has_more || !range->values.empty());
        if (mirror.load(range->values)) {
            for (const auto* node : mirror.nodes_since(0, SIZE_MAX)) {
                ASSERT(mirror.find_node(node->record.key) == node);
                mirror.record_of(*node);
            }
            for (const auto& [id, invite] : mirror.invites()) mirror.record_of(invite, {});
            for (const auto& [number, key] : mirror.revocations())
                ASSERT(mirror.find_node(key) != nullptr);
        }
    }
    if (auto news = parse_etcd_news(text)) {
        for (auto& change : news->changes)
            if (!mirror.take(std::move(change))) break;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = as_text({data, size});
    check_mirror(text);
    for (const std::size_t reads : {0, 1, 2})
        if (const auto answer = parse_etcd_transaction(text, reads))
            ASSERT(answer->done || answer->reads.size() == reads);
    ASSERT(!etcd_refusal(503, text).what.empty());
    check_row(text, parse_etcd_head);
    check_row(text, parse_etcd_node);
    check_row(text, parse_etcd_invite);
    check_row(text, parse_etcd_waiting);
    check_row(text, parse_etcd_gateway);
    parse_etcd_audit(text);
    return 0;
}
