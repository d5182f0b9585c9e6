#include "core/signer.h"

#include <algorithm>
#include <string>

namespace fortros {

SignerId signer_id_of(ByteView certificate_der) {
    const auto digest = crypto::sha256({certificate_der});
    SignerId id;
    std::copy_n(digest.begin(), id.size(), id.begin());
    return id;
}

Status check_signature(std::string_view what, ByteView bytes, const SignerId& id,
                       const std::vector<Signer>& signers, WallTime now) {
    const auto untrusted = [what](std::string_view why) {
        return fail(ErrorCode::Untrusted, std::string(what).append(why));
    };
    const auto signer = std::ranges::find(signers, id, &Signer::id);
    if (signer == signers.end()) return untrusted(" is by an unknown signer");
    if (now < signer->not_before || now > signer->not_after)
        return untrusted("'s signer is not valid at this time");
    crypto::Signature signature;
    if (bytes.size() < signature.size()) return untrusted(" is not signed");
    std::ranges::copy(bytes.last(signature.size()), signature.begin());
    if (!crypto::verify_p256(signer->key, bytes.first(bytes.size() - signature.size()), signature))
        return untrusted("'s signature is wrong");
    return {};
}

}  // namespace fortros
