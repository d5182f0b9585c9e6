#include "gateway/invite.h"

#include <algorithm>

#include "base/encoding.h"

namespace fortros::gateway {

static constexpr std::size_t id_size = 12;
static constexpr std::string_view base64url_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

SecretBytes make_invite(Random& random) {
    // Encoded by hand, 6 bits a character: to_base64url would leave a copy in memory.
    static_assert(invite_random_bytes % 3 == 0);
    Secret<invite_random_bytes> bits;
    random.fill(bits.writable());
    SecretBytes invite(invite_prefix.size() + invite_random_bytes / 3 * 4);
    auto out = std::ranges::copy(as_bytes(invite_prefix), invite.writable().begin()).out;
    for (std::size_t i = 0; i < invite_random_bytes; i += 3) {
        const auto* three = bits.view().data() + i;
        const unsigned group = unsigned{three[0]} << 16 | unsigned{three[1]} << 8 | three[2];
        for (int shift = 18; shift >= 0; shift -= 6)
            *out++ = static_cast<std::uint8_t>(base64url_digits[group >> shift & 63]);
    }
    return invite;
}

InviteHash hash_of_invite(ByteView text) { return crypto::sha256({text}); }

std::string invite_id_of(const InviteHash& hash) { return to_hex(hash).substr(0, id_size); }

bool is_invite_id(std::string_view text) {
    return text.size() == id_size &&
           text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace fortros::gateway
