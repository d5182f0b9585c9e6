#include "gateway/credentials.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/encoding.h"
#include "base/text.h"
#include "core/crypto.h"
#include "os/files.h"

namespace fortros::gateway {

static constexpr std::size_t wireguard_key_file_limit = 256;
static constexpr std::size_t anchors_limit = 4;

// --- dates ---

ValidityState state_of(const Validity& validity, WallTime now) {
    if (now < validity.not_before) return ValidityState::NotYetValid;
    if (now >= validity.not_after) return ValidityState::Expired;
    const auto life = validity.not_after - validity.not_before;
    return validity.not_after - now < life / 3 ? ValidityState::DueForRenewal : ValidityState::Good;
}

std::string describe(const Validity& validity, WallTime now) {
    std::string file = "'" + validity.file + "' ";
    switch (state_of(validity, now)) {
        case ValidityState::Good: return file + "is valid until " + to_rfc3339(validity.not_after);
        case ValidityState::DueForRenewal:
            return file + "is due for renewal, it expires at " + to_rfc3339(validity.not_after) +
                   ": " + validity.remedy;
        case ValidityState::Expired:
            return file + "expired at " + to_rfc3339(validity.not_after) + ": " + validity.remedy;
        case ValidityState::NotYetValid:
            return file + "is not valid before " + to_rfc3339(validity.not_before) +
                   ", and here it is " + to_rfc3339(now) + ": is the clock right?";
    }
    return file;
}

// --- files ---

Result<PrivateKey> load_wireguard_key(const std::string& path) {
    const auto text = TRY(read_secret_file(path, wireguard_key_file_limit));
    // from_base64 would leave a copy behind: its bytes are wiped here.
    auto bytes = from_base64(trim(text.text()));
    if (!bytes || bytes->size() != key_size)
        return fail(ErrorCode::InvalidData,
                    "'" + path + "' holds no WireGuard key as `wg genkey` prints it");
    PrivateKey key{std::span<const std::uint8_t, key_size>(*bytes)};
    wipe(bytes->data(), bytes->size());
    return key;
}

Result<Vouched> read_vouched(const std::vector<Bytes>& chain, const Certificates& anchors,
                             const std::string& gateway_name) {
    Certificates certificates;
    for (const auto& der : chain) {
        const auto* position = der.data();
        OpenSsl<X509> certificate(d2i_X509(nullptr, &position, static_cast<long>(der.size())));
        if (!certificate) return fail_openssl(ErrorCode::Untrusted, "it shows no certificate");
        certificates.push_back(std::move(certificate));
    }
    if (certificates.empty()) return fail(ErrorCode::Untrusted, "it shows no certificate");
    X509* leaf = certificates.front().get();
    TRY(verify_chain(leaf, std::span(certificates).subspan(1), anchors));
    return Vouched{.key = TRY(check_leaf(TRY(leaf_facts_of(leaf)), gateway_name)),
                   .not_after = TRY(not_after_of(leaf))};
}

// Group or others may read it, though only its owner needs to.
static bool is_exposed(const std::string& path) {
    struct stat status{};
    return ::stat(path.c_str(), &status) == 0 && (status.st_mode & 077) != 0;
}

// --- judgements ---

static Status check_gateway_leaf(const Credentials& credentials, const Certificates& anchors,
                                 const GatewaySettings& settings) {
    X509* leaf = credentials.chain.front().get();
    const auto intermediates = std::span(credentials.chain).subspan(1);
    TRY(verify_chain(leaf, intermediates, anchors));
    const auto vouched_for = TRY(check_leaf(TRY(leaf_facts_of(leaf)), settings.name));
    if (vouched_for != credentials.wireguard_public)
        return fail(ErrorCode::Untrusted,
                    "it vouches for the WireGuard key " + vouched_for.base64() + ", but '" +
                        settings.private_key + "' is " + credentials.wireguard_public.base64() +
                        ": issue it again with certs/issue-gateway");
    if (EVP_PKEY_eq(X509_get0_pubkey(leaf), credentials.key.get()) != 1)
        return fail_openssl(ErrorCode::Untrusted,
                            "'" + settings.certificate_key + "' is not its private key");
    return {};
}

static Result<std::unique_ptr<AttestationSigner>> load_signer(const GatewaySettings& settings,
                                                              const Certificates& anchors,
                                                              Validity& validity) {
    auto certificates = TRY(load_certificates(settings.signer_certificate));
    X509* certificate = certificates.front().get();
    const auto check = [&]() -> Result<std::unique_ptr<AttestationSigner>> {
        TRY(verify_chain(certificate, {}, anchors));
        TRY(check_signer_profile(certificate));
        return make_signer(certificate, TRY(load_private_key(settings.signer_key)));
    };
    auto signer = check();
    if (!signer)
        return std::unexpected(
            std::move(signer.error()).in("'" + settings.signer_certificate + "'"));
    validity.not_before = (*signer)->facts().not_before;
    validity.not_after = (*signer)->facts().not_after;
    return signer;
}

static Result<std::optional<PreviousKey>> load_previous(const GatewaySettings& settings,
                                                        const PublicKey& current) {
    const std::string& path = settings.previous_private_key;
    if (path.empty()) return std::nullopt;
    PreviousKey previous{.key = TRY(load_wireguard_key(path)), .public_key = {}};
    previous.public_key = TRY(crypto::public_key_of(previous.key));
    if (previous.public_key == current)
        return fail(ErrorCode::InvalidData, "'" + path + "' holds the same key as '" +
                                                settings.private_key +
                                                "': nothing is rotated by that");
    return previous;
}

static Status add_validity(Credentials& credentials, const std::string& file, std::string advice,
                           X509* certificate) {
    const auto begin = TRY(not_before_of(certificate));
    const auto end = TRY(not_after_of(certificate));
    credentials.validities.push_back({file, std::move(advice), begin, end});
    return {};
}

Result<Credentials> load_credentials(const GatewaySettings& settings) {
    Credentials credentials;
    credentials.anchors = TRY(load_certificates(settings.ca));
    const auto& anchors = credentials.anchors;
    if (anchors.size() > anchors_limit)
        return fail(ErrorCode::InvalidData, "'" + settings.ca + "' holds more than " +
                                                std::to_string(anchors_limit) + " CAs");
    for (const auto& anchor : anchors) {
        TRY(add_validity(credentials, settings.ca, "see certs/README.md about rotation",
                         anchor.get()));
        credentials.validities.back().is_needed = false;  // it may be one of several
    }

    credentials.chain = TRY(load_certificates(settings.certificate));
    credentials.key = TRY(load_private_key(settings.certificate_key));
    credentials.wireguard_key = TRY(load_wireguard_key(settings.private_key));
    credentials.wireguard_public = TRY(crypto::public_key_of(credentials.wireguard_key));
    credentials.previous = TRY(load_previous(settings, credentials.wireguard_public));
    if (auto status = check_gateway_leaf(credentials, anchors, settings); !status)
        return std::unexpected(std::move(status.error()).in("'" + settings.certificate + "'"));
    X509* leaf = credentials.chain.front().get();
    TRY(add_validity(credentials, settings.certificate, "certs/renew-gateway renews it", leaf));

    Validity signer_validity{settings.signer_certificate, "certs/issue-signer renews it"};
    credentials.signer = TRY(load_signer(settings, anchors, signer_validity));
    credentials.validities.push_back(std::move(signer_validity));

    for (const auto& path : {settings.certificate_key, settings.signer_key, settings.private_key,
                             settings.previous_private_key})
        if (!path.empty() && is_exposed(path))
            credentials.warnings.push_back("'" + path +
                                           "' can be read by others than its owner: chmod 600");
    return credentials;
}

// --- while they serve ---

std::string problem_of(const Credentials& credentials, WallTime now) {
    for (const auto& validity : credentials.validities) {
        const auto state = state_of(validity, now);
        const bool is_valid = state == ValidityState::Good || state == ValidityState::DueForRenewal;
        if (validity.is_needed && !is_valid) return describe(validity, now);
    }
    return {};
}

// The kernel's interfaces are of the key that they were made for.
Status check_successor(const Credentials& current, const Credentials& next, WallTime now) {
    if (auto problem = problem_of(next, now); !problem.empty())
        return fail(ErrorCode::Untrusted, std::move(problem));
    const auto previous_of = [](const Credentials& credentials) {
        return credentials.previous ? std::optional(credentials.previous->public_key)
                                    : std::nullopt;
    };
    if (next.wireguard_public != current.wireguard_public ||
        previous_of(next) != previous_of(current))
        return fail(ErrorCode::InvalidData, "a WireGuard key is another: that takes a restart");
    return {};
}

}  // namespace fortros::gateway
