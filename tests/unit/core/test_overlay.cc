#include "core/overlay.h"

#include <doctest/doctest.h>

#include "vectors.h"

using namespace fortros;

// Nodes, gateways and other implementations must agree on every node's address for ever.
TEST_CASE("overlay addresses are those of the published vectors") {
    const Json vectors = read_vectors("overlay_address.json");
    REQUIRE(vectors.array()->size() >= 10);
    for (const Json& vector : *vectors.array()) {
        const auto prefix = OrgPrefix::parse(text_of(vector, "prefix"));
        const auto key = PublicKey::from_base64(text_of(vector, "public_key"));
        REQUIRE(prefix);
        REQUIRE(key);
        CHECK(overlay_address(*prefix, *key).text() == text_of(vector, "overlay_address"));
        CHECK(prefix->contains(overlay_address(*prefix, *key)));
    }
}

// A prefix outside of fd00::/8 is somebody's real network.
TEST_CASE("only an fd prefix of 48 bits is an org prefix") {
    CHECK(OrgPrefix::parse("fd12:3456:789a::/48")->text() == "fd12:3456:789a::/48");
    for (const char* bad : {"fc12:3456:789a::/48", "2001:db8::/48", "fd12:3456:789a::/64",
                            "fd12:3456:789a::1/48", "fd12:3456:789a::", "10.0.0.0/48", "", "x"})
        CHECK_MESSAGE(!OrgPrefix::parse(bad), bad);
}

// An address that routers or the kernel treat as special would not carry traffic.
TEST_CASE("anycast addresses are reserved") {
    auto reserved = [](const char* text) { return is_reserved(*IpAddress::parse(text)); };
    CHECK(reserved("fd12:3456:789a::"));
    CHECK(reserved("fd12:3456:789a:1:fdff:ffff:ffff:ff80"));
    CHECK(reserved("fd12:3456:789a:1:fdff:ffff:ffff:ffff"));
    CHECK(!reserved("fd12:3456:789a:1:fdff:ffff:ffff:ff7f"));
    CHECK(!reserved("fd12:3456:789a::1"));
}
