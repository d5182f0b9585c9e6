#include "core/proof.h"

#include <doctest/doctest.h>

#include "vectors.h"

using namespace fortros;

static PrivateKey private_key(const Json& vector, std::string_view name) {
    const Bytes bytes = bytes_of(vector, name);
    return PrivateKey(std::span<const std::uint8_t, key_size>(bytes.data(), key_size));
}

// A node and a gateway that disagree on one byte never let each other in.
TEST_CASE("proofs are those of the published vectors, from both sides") {
    const Json vectors = read_vectors("proof.json");
    for (const Json& vector : *vectors.array()) {
        const auto node = *PublicKey::from_base64(text_of(vector, "node_public"));
        const auto gateway = *PublicKey::from_base64(text_of(vector, "gateway_public"));
        const Bytes exported = bytes_of(vector, "exporter");
        const Exporter exporter(std::span<const std::uint8_t, 32>(exported.data(), 32));
        const auto by_node =
            proof_key_of_node(private_key(vector, "node_private"), node, gateway, exporter);
        const auto by_gateway =
            proof_key_of_gateway(private_key(vector, "gateway_private"), gateway, node, exporter);
        REQUIRE(by_node);
        REQUIRE(by_gateway);
        CHECK(to_base64(by_node->view()) == text_of(vector, "proof_key"));
        CHECK(to_base64(by_gateway->view()) == text_of(vector, "proof_key"));
        const auto request =
            request_proof(*by_node, text_of(vector, "method"), text_of(vector, "target"), node,
                          bytes_of(vector, "body"));
        CHECK(to_base64(request) == text_of(vector, "request_proof"));
        const auto answer =
            answer_proof(*by_node, request, static_cast<int>(*vector.find("status")->number()),
                         static_cast<std::uint32_t>(*vector.find("retry_after")->number()),
                         bytes_of(vector, "answer_body"));
        CHECK(to_base64(answer) == text_of(vector, "answer_proof"));
    }
}

// A point of small order would make the shared secret known to everybody.
TEST_CASE("a low-order key gives no proof key") {
    SeededRandom random(1);
    const auto own = crypto::make_private_key(random);
    const auto own_public = *crypto::public_key_of(own);
    PublicKey low{};
    low.bytes[0] = 1;
    CHECK(!proof_key_of_node(own, own_public, low, Exporter{}));
    CHECK(!proof_key_of_gateway(own, own_public, low, Exporter{}));
}
