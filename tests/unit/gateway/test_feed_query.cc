#include "gateway/feed_query.h"

#include <doctest/doctest.h>

using namespace fortros;
using namespace fortros::gateway;

TEST_CASE("feed query: what is asked, in any order, and what is not said") {
    const auto whole = FeedQuery::parse("/v1/members?wait=60&document=3&since=12");
    REQUIRE(whole);
    CHECK(whole->since == FeedPosition{12, 3});
    CHECK(whole->wait == 60s);
    CHECK(whole->boot_id.empty());
    CHECK(FeedQuery::parse("/v1/members?boot=0123456789abcdef0123456789abcdef&since=12")->boot_id ==
          "0123456789abcdef0123456789abcdef");
    CHECK(FeedQuery::parse("/v1/members")->since == FeedPosition{});
    CHECK(FeedQuery::parse("/v1/members?")->wait == Duration{});
    // A connection that is held for longer may have been forgotten on the way.
    CHECK(FeedQuery::parse("/v1/members?wait=86400")->wait == 5min);
}

// A typing mistake would be understood as "everything", at every poll.
TEST_CASE("feed query: what is not understood is refused") {
    for (const auto* target :
         {"/v1/membersx", "/v1/member", "/v1/members/", "/v1/members?since",
          "/v1/members?since=", "/v1/members?since=-1", "/v1/members?since=1x",
          "/v1/members?since=9223372036854775808", "/v1/members?until=1",
          "/v1/members?since=1&&wait=1", "/v1/members?&", "/v1/members?boot=", "/v1/members?boot=7",
          "/v1/members?boot=0123456789abcdef0123456789ABCDEF"})
        CHECK_MESSAGE(!FeedQuery::parse(target), target);
}
