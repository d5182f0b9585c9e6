// A page of the member feed. What is read can be written again by what it is made of.
#include "core/feed.h"

using namespace fortros;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto page = parse_feed_page(as_text({data, size}));
    if (!page) return 0;
    ASSERT(page->members.size() <= page_members_limit);
    ASSERT(page->removed.size() <= page_members_limit);
    ASSERT(page->gateways.size() <= page_gateways_limit);
    for (const auto& news : page->members) {
        const auto again = mesh_peer_from(to_json(news.peer), "again");
        ASSERT(again && *again == news.peer);
    }
    return 0;
}
