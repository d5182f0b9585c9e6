// What a service manager's environment says. That sockets are taken over and states told is seen in
// tests/net/test_gateway_service.py.
#include "os/service_manager.h"

#include <doctest/doctest.h>

using namespace fortros;

using Names = std::vector<std::string>;

// Sockets of another process would be taken, or one lane served on the other's.
TEST_CASE("service manager: sockets have names, and are meant for one process") {
    CHECK(*given_names("7", "2", "nodes:operate", 7) == Names{"nodes", "operate"});
    CHECK(*given_names("7", "2", "nodes:operate", 8) == Names{});
    CHECK(*given_names("7", "2", nullptr, 7) == Names{"unknown", "unknown"});
    CHECK(*given_names("7", "0", "", 7) == Names{});
    CHECK(*given_names(nullptr, "2", "a:b", 7) == Names{});
    CHECK(*given_names("7", nullptr, "a:b", 7) == Names{});
}

// A broken environment would be served as if nothing were wrong.
TEST_CASE("service manager: what is no such thing is refused") {
    CHECK(!given_names("x", "1", "a", 7));
    CHECK(!given_names("7", "x", "a", 7));
    CHECK(!given_names("7", "-1", "a", 7));
    CHECK(!given_names("7", "65", "a", 7));
    CHECK(!given_names("7", "2", "a", 7));
    CHECK(!given_names("7", "1", "a:b", 7));
}
