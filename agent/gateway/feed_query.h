// What a node asks of the member feed: where it is, and how long it would wait.
#pragma once

#include <compare>
#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace fortros::gateway {

inline constexpr std::string_view members_target = "/v1/members";

// Where a node is.
struct FeedPosition {
    std::uint64_t revision = 0;  // 0: knows nobody
    std::uint64_t document = 0;  // serial of the newest org document that it has

    auto operator<=>(const FeedPosition&) const = default;
};

struct FeedQuery {
    FeedPosition since;
    Duration wait{};  // for a change, if there is none

    // Of a request's target. InvalidArgument for what is no query of this feed.
    static Result<FeedQuery> parse(std::string_view target);
};

}  // namespace fortros::gateway
