#include "gateway/rate_limit.h"

#include <doctest/doctest.h>

using namespace fortros;
using namespace fortros::gateway;

// A stranger could fill the disk with log lines, or keep an admin from hearing of anything else.
TEST_CASE("rate limit: so many a minute, and the rest is counted") {
    const WallTime noon{std::chrono::seconds{1'800'000'000}};
    RateLimit limit(2);
    CHECK(limit.allow(noon));
    CHECK(limit.allow(noon + 30s));
    CHECK(!limit.allow(noon + 59s));
    CHECK(!limit.allow(noon + 59s));
    CHECK(limit.take_unsaid() == 2);
    CHECK(limit.take_unsaid() == 0);
    CHECK(limit.allow(noon + 60s));
}

// After the clock was set right nothing would be logged for years.
TEST_CASE("rate limit: a clock that steps back begins anew") {
    const WallTime noon{std::chrono::seconds{1'800'000'000}};
    RateLimit limit(1);
    CHECK(limit.allow(noon));
    CHECK(limit.allow(noon - 1h));
    CHECK(!limit.allow(noon - 1h));
}
