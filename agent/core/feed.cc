#include "core/feed.h"

#include <algorithm>

#include "base/encoding.h"
#include "core/json.h"

namespace fortros {

static constexpr std::size_t hostname_limit = 253;
static constexpr std::size_t key_text_size = 44;

// --- the question ---

Result<PendingRequest> make_feed_request(const PrivateKey& node, const PublicKey& node_public,
                                         const GatewayIdentity& gateway,
                                         std::string_view gateway_name, const FeedPosition& since,
                                         std::chrono::seconds wait, std::string_view boot_id) {
    std::string target(members_target);
    target += "?since=" + std::to_string(since.revision) +
              "&document=" + std::to_string(since.document) +
              "&wait=" + std::to_string(std::min(wait, feed_wait_limit).count());
    if (!boot_id.empty()) target.append("&boot=").append(boot_id);
    return make_proved_request(node, node_public, gateway, gateway_name, "GET", std::move(target),
                               {});
}

// --- the answer ---

static Result<MemberNews> read_news(const Json& json, const std::string& where) {
    MemberNews news{.peer = TRY(mesh_peer_from(json, where))};
    const JsonReader in(json, where);
    news.hostname = TRY(in.optional_string("hostname", hostname_limit)).value_or("");
    if (!news.hostname.empty() && !parse_host_name(news.hostname))
        return in.bad("hostname", "is not a host name");
    return news;
}

Result<FeedPage> parse_feed_page(std::string_view text) {
    const auto json = TRY(Json::parse(text, {.bytes = http_answer_limit}));
    const JsonReader in(json, "page");
    FeedPage page;
    page.revision = static_cast<std::uint64_t>(TRY(in.number("revision", 0, INT64_MAX)));
    page.more = TRY(in.boolean("more", false));
    page.reset = TRY(in.boolean("reset", false));
    const auto& members = *TRY(in.array("members", page_members_limit));
    for (std::size_t i = 0; i < members.size(); ++i)
        page.members.push_back(TRY(read_news(members[i], "members[" + std::to_string(i) + "]")));
    for (const Json& item : *TRY(in.array("removed", page_members_limit))) {
        const auto* spelt = item.string();
        const auto key =
            spelt && spelt->size() <= key_text_size ? PublicKey::from_base64(*spelt) : std::nullopt;
        if (!key) return in.bad("removed", "holds something that is not a WireGuard key");
        page.removed.push_back(*key);
    }
    page.document = TRY(read_base64(in, "document", document_size_limit));
    page.signers = TRY(read_certificates(in, "signers"));
    const auto& gateways = *TRY(in.array("gateways", page_gateways_limit));
    for (std::size_t i = 0; i < gateways.size(); ++i)
        page.gateways.push_back(
            TRY(mesh_peer_from(gateways[i], "gateways[" + std::to_string(i) + "]")));
    if (page.signers.empty() && !(page.document.empty() && page.gateways.empty()))
        return in.bad("signers", "are missing");
    return page;
}

Result<FeedVerdict> judge_feed_answer(const HttpAnswer& answer, const PendingRequest& request,
                                      const FeedPosition& since) {
    TRY(check_answer_proof(answer, request));
    if (answer.status == 204) return NothingNew{};
    if (answer.status == 200) {
        auto page = TRY(parse_feed_page(answer.body));
        // Or it would be asked for the same page for ever.
        if (page.more && !page.reset && page.revision <= since.revision)
            return fail(ErrorCode::InvalidData, "the feed promises more and stays where it is");
        return page;
    }
    Refusal refusal = parse_refusal(answer.status, answer.body);
    if (refusal.code == RefusalCode::Busy)
        return NotYet{std::move(refusal), retry_after_of(answer)};
    return Rejected{std::move(refusal)};
}

}  // namespace fortros
