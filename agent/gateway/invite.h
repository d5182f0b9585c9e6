// Invites: what lets a stranger's key into the org. An invite is a random text that is shown once;
// the registry keeps its hash, and people speak of it by an id that follows from the hash.
#pragma once

#include <string>
#include <string_view>

#include "base/random.h"
#include "base/secret.h"
#include "core/crypto.h"

namespace fortros::gateway {

inline constexpr std::string_view invite_prefix = "fortros-invite-v1-";
inline constexpr std::size_t invite_random_bytes = 24;

// SHA-256 of the text. The text has 192 random bits, so there is nothing for a slow hash to slow.
using InviteHash = crypto::Digest;

// invite_prefix and 32 characters of base64url.
SecretBytes make_invite(Random& random);

// Of any text that a node may send, an invite or not.
InviteHash hash_of_invite(ByteView text);

// The first 12 hexadecimal digits of the hash. No secret: it may be logged.
std::string invite_id_of(const InviteHash& hash);
bool is_invite_id(std::string_view text);

}  // namespace fortros::gateway
