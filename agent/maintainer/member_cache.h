// The members that a maintainer knew, for the one that follows it: a restart with every gateway dead
// must lose nobody. A file in /run, a JSON object a line: what the org says of itself, then each member.
// It is trusted no more than any other news.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "core/feed.h"
#include "mesh/members.h"

namespace fortros {

inline constexpr std::size_t member_cache_limit = std::size_t{64} * 1024 * 1024;
inline constexpr std::size_t cached_members_limit = 200'000;

struct MemberCache {
    WallTime time{};               // all of it was good then
    std::vector<Bytes> signers{};  // certificates, DER
    Bytes document{};
    Bytes own{};  // this node's own attestation
    std::vector<MemberNews> members{};
};

std::string to_text(const MemberCache& cache);
// Those whose attestation is known.
std::vector<MemberNews> news_of(const mesh::Members& members);

// Form and bounds.
Result<MemberCache> parse_member_cache(std::string_view text);

}  // namespace fortros
