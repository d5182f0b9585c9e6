#include "core/sealed_invite.h"

#include <algorithm>

namespace fortros {

static constexpr std::string_view seal_domain = "fortros/invite/v1";

static Secret<32> seal_key_of(const ProofKey& key) {
    return crypto::hkdf_sha256({}, key.view(), {as_bytes(seal_domain)});
}

Bytes seal_invite(const ProofKey& key, ByteView invite, Random& random) {
    crypto::Nonce nonce;
    random.fill(nonce);
    Bytes sealed(nonce.begin(), nonce.end());
    const Bytes text = crypto::seal(seal_key_of(key), nonce, invite);
    sealed.insert(sealed.end(), text.begin(), text.end());
    return sealed;
}

Result<SecretBytes> open_invite(const ProofKey& key, ByteView sealed) {
    crypto::Nonce nonce;
    if (sealed.size() < nonce.size() || sealed.size() > sealed_invite_limit)
        return fail(ErrorCode::Untrusted, "the sealed invite has a wrong size");
    std::ranges::copy(sealed.first(nonce.size()), nonce.begin());
    auto invite = crypto::open(seal_key_of(key), nonce, sealed.subspan(nonce.size()));
    if (!invite) return fail(ErrorCode::Untrusted, "the invite is not sealed for this gateway");
    return invite;
}

}  // namespace fortros
