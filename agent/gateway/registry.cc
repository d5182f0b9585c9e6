#include "gateway/registry.h"

#include "base/text.h"

namespace fortros::gateway {

InviteState state_of(const InviteRecord& invite, WallTime now) {
    if (invite.revoked) return InviteState::Revoked;
    if (invite.used >= invite.uses) return InviteState::Spent;
    if (now >= invite.expires) return InviteState::Expired;
    if (invite.used + invite.waiting >= invite.uses) return InviteState::Reserved;
    return InviteState::Open;
}

std::string_view name_of(InviteState state) {
    switch (state) {
        case InviteState::Open: return "open";
        case InviteState::Reserved: return "reserved";
        case InviteState::Spent: return "spent";
        case InviteState::Expired: return "expired";
        case InviteState::Revoked: return "revoked";
    }
    return "";
}

std::string_view name_of(Approval approval) {
    return approval == Approval::Needed ? "needed" : "not-needed";
}

std::string description_of(const InviteRecord& invite) {
    return "uses=" + std::to_string(invite.uses) + " role=" + std::string(name_of(invite.role)) +
           " approval=" + std::string(name_of(invite.approval));
}

std::string description_of(const PolicyRecord& policy) {
    return "serial=" + std::to_string(policy.serial) +
           " sources=" + (policy.sources ? policy.sources->text() : "image") +
           " signers-since=" + to_rfc3339(policy.signers_since);
}

std::string text_of(const std::vector<Endpoint>& endpoints) {
    std::vector<std::string> words;
    for (const auto& endpoint : endpoints) words.push_back(endpoint.text());
    return join(words, " ");
}

std::optional<std::vector<Endpoint>> endpoints_from(std::string_view text) {
    std::vector<Endpoint> endpoints;
    for (const auto& word : words_of(text)) {
        const auto endpoint = Endpoint::parse(word);
        if (!endpoint || endpoints.size() == member_endpoints_limit) return std::nullopt;
        endpoints.push_back(*endpoint);
    }
    return endpoints;
}

std::unexpected<Error> too_many_lighthouses() {
    return fail(ErrorCode::Conflict, "there are " + std::to_string(lighthouses_limit) +
                                         " lighthouses already, and nodes take no more");
}

template <typename Record>
static AuditEntry make_entry(std::string_view event, const Actor& actor, const Record& node,
                             WallTime now) {
    return {.time = now,
            .event = std::string(event),
            .actor = actor,
            .node = node.key,
            .invite = node.invite,
            .detail = node.hostname};
}

AuditEntry entry_about(std::string_view event, const Actor& actor, const NodeRecord& node,
                       WallTime now) {
    return make_entry(event, actor, node, now);
}

AuditEntry entry_about(std::string_view event, const Actor& actor, const WaitingRecord& node,
                       WallTime now) {
    return make_entry(event, actor, node, now);
}

AuditEntry entry_about_lighthouse(const NodeRecord& node, const Actor& actor, WallTime now) {
    const bool is_one = !node.endpoints.empty();
    auto entry = entry_about(is_one ? "lighthouse-set" : "lighthouse-unset", actor, node, now);
    if (is_one) entry.detail = text_of(node.endpoints);
    return entry;
}

}  // namespace fortros::gateway
