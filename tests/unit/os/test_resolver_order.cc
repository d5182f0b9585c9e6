#include "os/resolver_order.h"

#include <doctest/doctest.h>

#include <map>

#include "core/discovery.h"

using namespace fortros;

namespace {

std::vector<IpAddress> addresses(std::initializer_list<const char*> texts) {
    std::vector<IpAddress> out;
    for (const char* text : texts) {
        auto address = IpAddress::parse(text);
        REQUIRE(address.has_value());
        out.push_back(*address);
    }
    return out;
}

Service service(std::uint16_t priority, std::uint16_t weight, std::string target) {
    return {.priority = priority, .weight = weight, .port = 443, .target = std::move(target)};
}

std::vector<std::string> targets(const std::vector<Service>& services) {
    std::vector<std::string> out;
    for (const auto& each : services) out.push_back(each.target);
    return out;
}

std::vector<std::string> texts(const std::vector<Endpoint>& endpoints) {
    std::vector<std::string> out;
    for (const auto& endpoint : endpoints) out.push_back(endpoint.text());
    return out;
}

using Texts = std::vector<std::string>;

}  // namespace

// Nodes would knock at the spare gateway first.
TEST_CASE("resolver order: priority stands above weight") {
    SeededRandom random(1);
    for (int round = 0; round < 50; ++round)
        CHECK(targets(in_order({service(20, 0, "c"), service(10, 65535, "b"), service(0, 1, "a")},
                               random)) == Texts{"a", "b", "c"});
    CHECK(in_order({}, random).empty());
}

// One gateway would carry the load of all, or one that is to rest would get as much as the others.
TEST_CASE("resolver order: weight is a share of the first places") {
    SeededRandom random(2);
    std::map<std::string, int> first, second;
    for (int round = 0; round < 4000; ++round) {
        const auto order = targets(in_order(
            {service(1, 3, "three"), service(1, 0, "none"), service(1, 1, "one")}, random));
        REQUIRE(order.size() == 3);
        ++first[order[0]];
        ++second[order[1]];
    }
    // By RFC 2782 a draw of 0 to 4: 0 is "none", 1 to 3 are "three", 4 is "one".
    CHECK(first["three"] > 2200);
    CHECK(first["three"] < 2600);
    CHECK(first["one"] > 650);
    CHECK(first["one"] < 950);
    CHECK(first["none"] > 650);
    CHECK(first["none"] < 950);
    CHECK(second["none"] > 0);
}

// Without weights, as most publish them, the order would always be the same... and is: RFC 2782
// leaves it to us, and the operator's order is as good as any.
TEST_CASE("resolver order: without weights the order of the answer stays") {
    SeededRandom random(3);
    for (int round = 0; round < 20; ++round)
        CHECK(targets(in_order({service(1, 0, "a"), service(1, 0, "b"), service(1, 0, "c")},
                               random)) == Texts{"a", "b", "c"});
}

// A resolver could keep a node busy with services without end.
TEST_CASE("resolver order: services are bounded, the best stay") {
    SeededRandom random(4);
    std::vector<Service> many;
    for (std::uint16_t i = 0; i < 60; ++i)
        many.push_back(service(static_cast<std::uint16_t>(60 - i), 1, std::to_string(60 - i)));
    const auto kept = targets(in_order(many, random));
    REQUIRE(kept.size() == services_limit);
    CHECK(kept.front() == "1");
    CHECK(kept.back() == std::to_string(services_limit));
}

// On a network with one dead family every second attempt would have to wait for it twice.
TEST_CASE("resolver order: families alternate within a priority, the name's own addresses follow") {
    Service first = service(1, 0, "a"), beside = service(1, 0, "b"), later = service(2, 0, "c");
    first.addresses = addresses({"192.0.2.1", "192.0.2.2", "2001:db8::1"});
    beside.addresses = addresses({"2001:db8::2", "192.0.2.3"});
    beside.port = 8443;
    later.addresses = addresses({"192.0.2.4", "2001:db8::4"});
    CHECK(
        texts(endpoints_of({first, beside, later}, addresses({"192.0.2.9", "2001:db8::9"}), 444)) ==
        Texts{"[2001:db8::1]:443", "192.0.2.1:443", "[2001:db8::2]:8443", "192.0.2.2:443",
              "192.0.2.3:8443", "[2001:db8::4]:443", "192.0.2.4:443", "[2001:db8::9]:444",
              "192.0.2.9:444"});
    CHECK(endpoints_of({}, {}, 443).empty());
    CHECK(endpoints_of({service(1, 0, "a")}, {}, 443).empty());
}

// A dead endpoint would be tried twice, its gateway on another port not at all.
TEST_CASE("resolver order: each endpoint once, but each port of an address") {
    Service one = service(1, 0, "a"), same = service(2, 0, "b"), other = service(3, 0, "c");
    one.addresses = same.addresses = other.addresses = addresses({"192.0.2.1"});
    other.port = 8443;
    CHECK(texts(endpoints_of({one, same, other}, addresses({"192.0.2.1"}), 443)) ==
          Texts{"192.0.2.1:443", "192.0.2.1:8443"});
}

// One gateway's many addresses would crowd out all others.
TEST_CASE("resolver order: one service leaves room for others, and all are bounded") {
    Service greedy = service(1, 0, "a");
    std::vector<IpAddress> own;
    for (int i = 1; i <= 60; ++i) {
        greedy.addresses.push_back(*IpAddress::parse("192.0.2." + std::to_string(i)));
        own.push_back(*IpAddress::parse("198.51.100." + std::to_string(i)));
    }
    const auto found = endpoints_of({greedy}, own, 443);
    REQUIRE(found.size() == candidates_per_source_limit);
    CHECK(found[addresses_per_service_limit - 1].text() == "192.0.2.4:443");
    CHECK(found[addresses_per_service_limit].text() == "198.51.100.1:443");
}
