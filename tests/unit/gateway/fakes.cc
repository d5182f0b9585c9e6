#include "unit/gateway/fakes.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "base/encoding.h"
#include "base/text.h"
#include "core/sealed_invite.h"

namespace fortros::gateway {

unsigned MemoryLog::count(std::string_view event) const {
    return static_cast<unsigned>(std::ranges::count(entries, event, &LogEntry::event));
}

std::string MemoryLog::text() const {
    std::string all;
    for (const auto& entry : entries) {
        all += entry.event + ": " + entry.message;
        for (const auto& field : entry.fields)
            if (auto* text = std::get_if<std::string>(&field.value))
                all += " " + field.key + "=" + *text;
        all += "\n";
    }
    return all;
}

std::unique_ptr<AttestationSigner> make_fake_signer(WallTime not_before, WallTime not_after) {
    OpenSsl<EVP_PKEY> key(EVP_EC_gen("P-256"));
    OpenSsl<X509> certificate(X509_new());
    REQUIRE(X509_set_pubkey(certificate.get(), key.get()) == 1);
    const auto set = [](ASN1_TIME* time, WallTime value) {
        REQUIRE(ASN1_TIME_set(time, value.time_since_epoch().count()) != nullptr);
    };
    set(X509_getm_notBefore(certificate.get()), not_before);
    set(X509_getm_notAfter(certificate.get()), not_after);
    REQUIRE(X509_sign(certificate.get(), key.get(), EVP_sha256()) > 0);
    auto signer = make_signer(certificate.get(), std::move(key));
    REQUIRE(signer);
    return std::move(*signer);
}

Request copy_of(const Request& request) {
    return {.method = request.method,
            .target = request.target,
            .headers = request.headers,
            .body = SecretBytes(request.body.view()),
            .exporter = request.exporter.duplicate(),
            .from = request.from,
            .since = request.since};
}

FakeNode::FakeNode(std::uint64_t seed) {
    REQUIRE(crypto::initialise());
    SeededRandom random(seed);
    key = crypto::make_private_key(random);
    public_key = *crypto::public_key_of(key);
    random.fill(exporter.writable());
}

Request FakeNode::ask(const PublicKey& gateway, std::string_view target, std::string_view body) {
    proof_key = *proof_key_of_node(key, public_key, gateway, exporter);
    proof = request_proof(proof_key, "POST", target, public_key, as_bytes(body));
    return {
        .method = "POST",
        .target = std::string(target),
        .headers = {{"fortros-node", public_key.base64url()}, {"fortros-proof", to_base64(proof)}},
        .body = SecretBytes(body),
        .exporter = exporter.duplicate(),
        .from = *Endpoint::parse("203.0.113.9:40000")};
}

static NodeRequest request_body(const std::string& boot_id, bool clock_stepped_back) {
    return {.hostname = "wish",
            .boot_id = boot_id,
            .agent = "test 1",
            .clock_stepped_back = clock_stepped_back};
}

Request FakeNode::enroll(const PublicKey& gateway, std::string_view invite) {
    auto body = request_body(boot_id, false);
    SeededRandom random(1);
    body.sealed_invite = seal_invite(*proof_key_of_node(key, public_key, gateway, exporter),
                                     as_bytes(invite), random);
    return ask(gateway, enroll_target, to_json_text(body));
}

Request FakeNode::join(const PublicKey& gateway, bool clock_stepped_back) {
    return ask(gateway, join_target, to_json_text(request_body(boot_id, clock_stepped_back)));
}

bool FakeNode::is_proved(const Answer& answer) const {
    const auto* text = header_of(answer, answer_proof_header);
    if (text == nullptr) return false;
    const auto* retry_after = header_of(answer, "Retry-After");
    const auto seconds =
        retry_after == nullptr ? 0U : parse_number<std::uint32_t>(*retry_after).value();
    const auto expected =
        answer_proof(proof_key, proof, answer.status, seconds, as_bytes(answer.body));
    return *text == to_base64(expected);
}

const std::string* header_of(const Answer& answer, std::string_view name) {
    for (const auto& header : answer.headers)
        if (header.first == name) return &header.second;
    return nullptr;
}

}  // namespace fortros::gateway
