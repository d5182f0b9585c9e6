#include "gateway/registry.h"

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

}  // namespace fortros::gateway
