// The audit log as a chain: each entry carries a hash over itself and over the hash of the one before
// it, and what the newest one must be is kept elsewhere. It finds what was changed by hands that did
// not change all of it; it cannot find who writes the whole chain anew.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "gateway/registry.h"

namespace fortros::gateway {

// Over all that an entry says, its number included, and over `previous`: all zero for the first.
AuditHash hash_of(const AuditHash& previous, const AuditEntry& entry);

// "12:" and 64 hexadecimal digits: what somebody may write down, to ask for it later.
std::string text_of(const AuditHead& head);
std::optional<AuditHead> audit_head_from(std::string_view text);

struct AuditFlaw {
    std::uint64_t number = 0;  // of the first entry that does not fit
    std::string what{};
};

struct AuditVerdict {
    AuditHead head{};                 // as the registry keeps it
    std::optional<AuditFlaw> flaw{};  // none: every entry fits
};

// Reads all of it, beside those who write. `known`: a head of former times, which must be there still.
Result<AuditVerdict> verify_audit(Registry& registry, const std::optional<AuditHead>& known = {});

}  // namespace fortros::gateway
