// The member feed from the node's side: the question, and the judgement of the answer. What a page says
// is news, not trust: who is a member is said by attestations, and by nothing in here. Pure.
//
//   GET /v1/members?since=REVISION&document=SERIAL&wait=SECONDS&boot=ID      (protocol/enrolment.yaml)
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "core/enrolment.h"
#include "core/gateway_identity.h"
#include "core/messages.h"

namespace fortros {

inline constexpr std::string_view members_target = "/v1/members";
inline constexpr std::chrono::seconds feed_wait_limit{300};
inline constexpr std::size_t page_members_limit = 400;
inline constexpr std::size_t page_gateways_limit = 16;

// Where a node is.
struct FeedPosition {
    std::uint64_t revision = 0;  // 0: knows nobody
    std::uint64_t document = 0;  // serial of the newest org document that it has

    auto operator<=>(const FeedPosition&) const = default;
};

// What somebody says of a member: nothing of it is checked.
struct MemberNews {
    MeshPeer peer;
    std::string hostname{};
    bool operator==(const MemberNews&) const = default;
};

struct FeedPage {
    std::uint64_t revision = 0;  // what to say as `since` the next time
    bool more = false;           // there is another page
    bool reset = false;          // forget all members that were known before this page
    std::vector<MemberNews> members{};
    std::vector<PublicKey> removed{};
    Bytes document{};                  // empty: none but the one that the node has
    std::vector<Bytes> signers{};      // certificates, DER; with a document or gateways
    std::vector<MeshPeer> gateways{};  // all that serve; empty: nothing said of them
};

// Form and bounds.
Result<FeedPage> parse_feed_page(std::string_view text);

Result<PendingRequest> make_feed_request(const PrivateKey& node, const PublicKey& node_public,
                                         const GatewayIdentity& gateway,
                                         std::string_view gateway_name, const FeedPosition& since,
                                         std::chrono::seconds wait, std::string_view boot_id);

struct NothingNew {};  // 204
using FeedVerdict = std::variant<FeedPage, NothingNew, NotYet, Rejected>;

// Untrusted where the answer's proof is missing or wrong. InvalidData where it does not parse, or says
// that there is more and does not come nearer to it.
Result<FeedVerdict> judge_feed_answer(const HttpAnswer& answer, const PendingRequest& request,
                                      const FeedPosition& since);

}  // namespace fortros
