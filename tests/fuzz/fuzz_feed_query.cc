// A node's question to the member feed: what is understood is within its bounds, and says the same when
// it is written down again.
#include "gateway/feed_query.h"

#include <string>

using namespace fortros;
using namespace fortros::gateway;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto query = FeedQuery::parse({reinterpret_cast<const char*>(data), size});
    if (!query) return 0;
    ASSERT(query->wait >= Duration{} && query->wait <= 5min);
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(query->wait).count();
    const auto again = FeedQuery::parse(
        std::string(members_target) + "?since=" + std::to_string(query->since.revision) +
        "&document=" + std::to_string(query->since.document) + "&wait=" + std::to_string(seconds) +
        (query->boot_id.empty() ? "" : "&boot=" + query->boot_id));
    ASSERT(again && again->since == query->since && again->wait == query->wait);
    ASSERT(again->boot_id == query->boot_id);
    return 0;
}
