#include "gateway/feed_query.h"

#include <algorithm>

#include "base/text.h"

namespace fortros::gateway {

// Longer than that, and something on the way may have forgotten the connection.
static constexpr std::uint64_t wait_limit_seconds = 300;

Result<FeedQuery> FeedQuery::parse(std::string_view target) {
    FeedQuery query;
    auto rest = target;
    rest.remove_prefix(std::min(rest.size(), members_target.size()));
    if (!target.starts_with(members_target) || (!rest.empty() && rest.front() != '?'))
        return fail(ErrorCode::InvalidArgument, "this is not the member feed");
    if (!rest.empty()) rest.remove_prefix(1);
    while (!rest.empty()) {
        const auto end = std::min(rest.find('&'), rest.size());
        const auto pair = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        const auto equals = std::min(pair.find('='), pair.size());
        const auto name = pair.substr(0, equals);
        const auto value = pair.substr(std::min(equals + 1, pair.size()));
        if (name == "boot") {
            if (!is_boot_id(value))
                return fail(ErrorCode::InvalidArgument, "'boot' wants 32 hexadecimal digits");
            query.boot_id = value;
            continue;
        }
        const auto number = parse_number<std::uint64_t>(value);
        if (!number || *number > INT64_MAX)
            return fail(ErrorCode::InvalidArgument, "'" + printable(name) + "' wants a number");
        if (name == "since")
            query.since.revision = *number;
        else if (name == "document")
            query.since.document = *number;
        else if (name == "wait")
            query.wait = std::chrono::seconds{std::min(*number, wait_limit_seconds)};
        else
            return fail(ErrorCode::InvalidArgument, "'" + printable(name) + "' is not understood");
    }
    return query;
}

}  // namespace fortros::gateway
