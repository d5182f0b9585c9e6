// The registry: which keys are members of the org, which invites are open, and the record of what
// was decided. Whatever a call acknowledges is durable; whatever fails has changed nothing. It
// never sees an invite, only its hash, and knows nothing of HTTP or WireGuard.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "core/attestation.h"
#include "core/messages.h"
#include "core/org_document.h"
#include "core/overlay.h"
#include "gateway/invite.h"

namespace fortros::gateway {

struct NodeRecord {
    PublicKey key;
    IpAddress overlay_address;
    Role role = Role::Node;
    std::string hostname{};  // may be empty
    std::string invite{};    // id of the invite that it came with
    WallTime enrolled{};
    std::optional<WallTime> revoked{};
    std::uint64_t serial = 0;    // of its newest attestation; grows over the whole org
    WallTime attested_until{};   // not-after of its newest attestation
    std::uint64_t revision = 0;  // when this record last changed; no two have the same

    bool operator==(const NodeRecord&) const = default;
};

struct InviteRecord {
    std::string id;
    std::uint32_t uses = 1;
    std::uint32_t used = 0;
    Role role = Role::Node;  // that it gives
    std::string hostname{};  // that it gives; empty: the node's wish counts
    WallTime created{};
    WallTime expires{};
    std::optional<WallTime> revoked{};

    bool operator==(const InviteRecord&) const = default;
};

enum class InviteState { Open, Spent, Expired, Revoked };
InviteState state_of(const InviteRecord& invite, WallTime now);
std::string_view name_of(InviteState state);  // "open", "spent", ...

struct Attested {
    std::uint64_t serial = 0;
    WallTime not_after{};

    bool operator==(const Attested&) const = default;
};

// Who caused a change, for the audit log: an address, or "uid 0".
using Actor = std::string;

struct NewInvite {
    InviteHash hash{};
    std::uint32_t uses = 1;  // at least 1
    Role role = Role::Node;
    std::string hostname{};
    WallTime expires{};
};

// A proved key that asks to become a member.
struct Enrolment {
    PublicKey key;
    IpAddress overlay_address;
    InviteHash invite{};
    std::string hostname{};     // wish
    WallTime attested_until{};  // not-after of the attestation that it will get
};

// What the org document says, but for the keys that it revokes.
struct PolicyRecord {
    std::uint64_t serial = 1;             // only grows
    WallTime signers_since{};             // older signers count no more
    std::optional<SourceSet> sources{};   // absent: as each image says
    std::uint64_t revocation_number = 0;  // how many there ever were

    bool operator==(const PolicyRecord&) const = default;
};
std::string description_of(const PolicyRecord& policy);  // for the audit log

// All: every attestation is given out anew at the next join, with a serial that no lost file can have
// given. For a registry that comes from a backup.
enum class Renewal { AsDue, All };

// What to change; whatever is absent stays. Even an empty change makes a new document.
struct PolicyChange {
    std::optional<std::optional<SourceSet>> sources{};
    std::optional<WallTime> signers_since{};
    Renewal renew = Renewal::AsDue;
};

struct AuditEntry {
    std::uint64_t number = 0;  // given by the registry
    WallTime time{};
    std::string event;  // stable name: "enrolled", "refused", "node-revoked", ...
    Actor actor;
    std::optional<PublicKey> node{};
    std::string invite{};  // id
    std::string detail{};

    bool operator==(const AuditEntry&) const = default;
};

struct Member {
    NodeRecord node;
    bool is_new = false;  // since this very request
};

// A member, or why it is none: InviteInvalid, AddressTaken or Revoked.
using Decision = std::variant<Member, RefusalCode>;

// Errors: Busy when somebody else holds the store for too long, Exhausted when the disk is full, Io
// and InvalidData when it is broken. All mean: not done.
class Registry {
public:
    Registry() = default;
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;
    virtual ~Registry() = default;

    virtual Result<std::optional<NodeRecord>> find_node(const PublicKey& key) = 0;

    // Makes a key a member and spends a use of its invite, both or neither. In this order: a member
    // is returned as it is, whatever the invite says, and spends nothing; a revoked one is Revoked;
    // an address that is somebody else's is AddressTaken; then the invite decides.
    virtual Result<Decision> enrol(const Enrolment& enrolment, const Actor& actor,
                                   WallTime now) = 0;

    // Gives a member the next serial and a new not-after. NotFound if it is no member (any more).
    virtual Result<NodeRecord> renew(const PublicKey& key, WallTime attested_until) = 0;

    // Idempotent: the first revocation's time stays. NotFound for a key that never was a member.
    virtual Result<NodeRecord> revoke_node(const PublicKey& key, const Actor& actor,
                                           WallTime now) = 0;

    // Every record that changed after `revision`, revoked ones included, in the order of change.
    virtual Result<std::vector<NodeRecord>> nodes_since(std::uint64_t revision) = 0;

    // The newest attestation of a gateway itself, whose membership is the CA's to decide; renew
    // gives it the next serial. Kept, so that a gateway can start when nothing can be written.
    virtual Result<std::optional<Attested>> find_gateway(const PublicKey& key) = 0;
    virtual Result<Attested> renew_gateway(const PublicKey& key, WallTime not_after) = 0;

    virtual Result<InviteRecord> create_invite(const NewInvite& invite, const Actor& actor,
                                               WallTime now) = 0;
    virtual Result<std::vector<InviteRecord>> invites() = 0;
    // Idempotent. NotFound for an id that there is not.
    virtual Result<InviteRecord> revoke_invite(const std::string& id, const Actor& actor,
                                               WallTime now) = 0;

    // The org's policy. A revocation changes it as well.
    virtual Result<PolicyRecord> policy() = 0;
    // The keys that the document must name: those whose attestation is still good at `now`, the newest
    // document_revoked_limit of them, oldest first.
    virtual Result<std::vector<PublicKey>> revoked(WallTime now) = 0;
    // InvalidArgument for what would let a disowned signer count again.
    virtual Result<PolicyRecord> change_policy(const PolicyChange& change, const Actor& actor,
                                               WallTime now) = 0;

    // For what is not already recorded by the calls above: refusals.
    virtual Status record(const AuditEntry& entry) = 0;
    // The newest `limit` entries, oldest first.
    virtual Result<std::vector<AuditEntry>> audit(std::size_t limit) = 0;
};

}  // namespace fortros::gateway
