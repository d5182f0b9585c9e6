// What a node asks of the member feed: where it is, and how long it would wait.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "core/feed.h"

namespace fortros::gateway {

struct FeedQuery {
    FeedPosition since;
    Duration wait{};        // for a change, if there is none
    std::string boot_id{};  // of the machine that asks; empty: not said

    // Of a request's target. InvalidArgument for what is no query of this feed.
    static Result<FeedQuery> parse(std::string_view target);
};

}  // namespace fortros::gateway
