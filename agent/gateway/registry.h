// The registry: which keys are members of the org, which invites are open, and the record of what
// was decided. Whatever a call acknowledges is durable; whatever fails has changed nothing. It
// never sees an invite, only its hash, and knows nothing of HTTP or WireGuard.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "core/attestation.h"
#include "core/crypto.h"
#include "core/messages.h"
#include "core/org_document.h"
#include "core/overlay.h"
#include "core/overlay_plan.h"
#include "gateway/invite.h"

namespace fortros::gateway {

// No attestation that is given out lives longer.
inline constexpr std::chrono::days attestation_life{30};

// So many endpoints a member may have: as many as an answer carries (core/messages.cc).
inline constexpr std::size_t member_endpoints_limit = 8;
// So many members may have some: a node takes no more gateways and lighthouses in all.
inline constexpr std::size_t lighthouses_limit = lighthouse_limit;

struct NodeRecord {
    PublicKey key;
    IpAddress overlay_address;
    Role role = Role::Node;
    std::string hostname{};             // may be empty
    std::vector<Endpoint> endpoints{};  // where everybody reaches a lighthouse, best first
    std::string invite{};               // id of the invite that it came with
    WallTime enrolled{};
    std::optional<WallTime> revoked{};     // thrown out
    std::optional<WallTime> retired{};     // gone in peace: its key is lost, or its machine
    std::optional<WallTime> key_shared{};  // two machines were last seen to use this key
    std::uint64_t serial = 0;              // of its newest attestation; grows over the whole org
    WallTime attested_until{};             // not-after of its newest attestation
    std::uint64_t revision = 0;            // when this record last changed; no two have the same

    // Whether it has a place in the org. Its key stays known and its address taken if not.
    bool is_member() const { return !revoked && !retired; }
    // Until when some attestation of one that is none any more may be good. By when it left, not by
    // what is known to have been given out: that may have been lost with a newer file.
    WallTime shunned_until() const {
        return (revoked ? *revoked : retired.value_or(WallTime{})) + attestation_life;
    }
    bool operator==(const NodeRecord&) const = default;
};

// Whether who comes with an invite has to wait for an admin's word.
enum class Approval { NotNeeded = 0, Needed = 1 };

struct InviteRecord {
    std::string id;
    std::uint32_t uses = 1;
    std::uint32_t used = 0;
    std::uint32_t waiting = 0;  // uses that are reserved for nodes which wait for approval
    Approval approval = Approval::NotNeeded;
    Role role = Role::Node;  // that it gives
    std::string hostname{};  // that it gives; empty: the node's wish counts
    WallTime created{};
    WallTime expires{};
    std::optional<WallTime> revoked{};

    bool operator==(const InviteRecord&) const = default;
};

// Reserved: every use that is left is some waiting node's.
enum class InviteState { Open, Reserved, Spent, Expired, Revoked };
InviteState state_of(const InviteRecord& invite, WallTime now);
std::string_view name_of(InviteState state);  // "open", "spent", ...
std::string_view name_of(Approval approval);  // "needed", "not-needed"
// What it gives, for the audit log: "uses=1 role=node approval=not-needed".
std::string description_of(const InviteRecord& invite);

struct Attested {
    std::uint64_t serial = 0;
    WallTime not_after{};

    bool operator==(const Attested&) const = default;
};

// How many certificates a gateway shows others, each at most so large: its own, and what links that to
// the CA.
inline constexpr std::size_t gateway_chain_limit = 4;
inline constexpr std::size_t gateway_certificate_limit = 4096;  // DER

// A gateway as it tells the others of its org that it serves. What the CA says of it they read
// themselves, from its certificates.
struct GatewayRecord {
    PublicKey key;
    Attested attested{};
    std::vector<Endpoint> endpoints{};  // of its WireGuard; empty: it does not serve
    std::vector<Bytes> chain{};         // DER, its own certificate first
    WallTime serves_until{};            // unless it says so again
    std::uint64_t revision = 0;         // when anything but serves_until last changed

    bool operator==(const GatewayRecord&) const = default;
};

// Who caused a change, for the audit log: an address, or "uid 0".
using Actor = std::string;

struct NewInvite {
    InviteHash hash{};
    std::uint32_t uses = 1;  // at least 1
    Approval approval = Approval::NotNeeded;
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

// "192.0.2.1:51820 [2001:db8::1]:51820", and back; nothing for what is not that, or too many.
std::string text_of(const std::vector<Endpoint>& endpoints);
std::optional<std::vector<Endpoint>> endpoints_from(std::string_view text);

// Revisions of records. Who knows one from before `began` knows another history, which was lost with
// a newer file, and has to learn everything anew.
struct History {
    std::uint64_t began = 0;
    std::uint64_t newest = 0;  // of any record, or where a new history begins

    bool operator==(const History&) const = default;
};

// All: every attestation is given out anew at the next join, with a serial that no lost file can have
// given, and a new history begins. For a registry that comes from a backup.
enum class Renewal { AsDue, All };
// So far beyond the clock do serials begin then: what was lost may have counted faster than it.
inline constexpr std::chrono::days renewal_margin{1};

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

// The audit log is a chain of these: see gateway/audit_chain.h.
using AuditHash = crypto::Digest;

struct AuditLink {
    AuditEntry entry;
    std::optional<AuditHash> hash{};  // as it is kept beside the entry
};

// What the newest entry must be, kept apart from the log.
struct AuditHead {
    std::uint64_t number = 0;  // 0: there is none
    AuditHash hash{};
    std::uint64_t unchained = 0;  // so many of the first were written before there was a chain

    bool operator==(const AuditHead&) const = default;
};

struct Member {
    NodeRecord node;
    bool is_new = false;  // since this very request
};

// A node that has asked with an invite which needs approval. Its use of the invite is reserved until
// an admin approves it (then it is spent), rejects it, revokes the invite, or the time is over. A
// rejected one reserves nothing, and is remembered so that its key is not asked about again at once.
struct WaitingRecord {
    PublicKey key;
    IpAddress overlay_address;
    std::string invite{};    // id
    std::string hostname{};  // wish
    Actor from{};            // the address that it asked from first
    WallTime since{};
    WallTime expires{};
    std::optional<WallTime> rejected{};

    bool operator==(const WaitingRecord&) const = default;
};

struct Waiting {
    WaitingRecord node;
    bool is_new = false;  // since this very request
};

// How long a use stays reserved for a node whose approval nobody has decided about. Then the node
// may ask again, and so may any other.
inline constexpr Duration waiting_life = 24h;
// Bounds of the list. One invite that has leaked fills its own share and leaves the others theirs;
// more than one share is left when several have.
inline constexpr std::uint32_t waiting_per_invite_limit = 64;
inline constexpr std::uint32_t waiting_limit = 512;

// A member, one that waits, or why it is neither: InviteInvalid, AddressTaken, Revoked, Retired,
// ApprovalRefused, or Busy when too many wait already.
using Decision = std::variant<Member, Waiting, RefusalCode>;

// What every store says of set_lighthouse().
std::unexpected<Error> too_many_lighthouses();
// What the audit log says of what happened to a node.
AuditEntry entry_about(std::string_view event, const Actor& actor, const NodeRecord& node,
                       WallTime now);
AuditEntry entry_about(std::string_view event, const Actor& actor, const WaitingRecord& node,
                       WallTime now);
AuditEntry entry_about_lighthouse(const NodeRecord& node, const Actor& actor, WallTime now);

// Notices that somebody else has changed the registry: an admin command, or another gateway. What
// changed is asked with nodes_since() and policy(): a watcher that has missed any number of changes
// has missed none, because each record tells its newest revision, and none is ever removed.
class RegistryWatch {
public:
    RegistryWatch() = default;
    RegistryWatch(const RegistryWatch&) = delete;
    RegistryWatch& operator=(const RegistryWatch&) = delete;
    virtual ~RegistryWatch() = default;

    // Can be read when it is worth asking; may be -1. It is worth asking every second or so in any
    // case: not everything that a store has to do shows here.
    virtual int fd() const = 0;
    // Whether anybody else has committed since the last call. It waits for nothing, unless it must
    // read everything anew.
    virtual Result<bool> changed() = 0;
};

// Calls are made from one thread at a time, and none waits longer than the registry was told when it
// was opened.
//
// Errors: Busy when somebody else holds the store for too long or it can't be reached, Exhausted when
// the disk is full, Io and InvalidData when it is broken. All mean: not acknowledged, and with a
// store in one file: not done. Over a network the answer may be what was lost: every call may be
// made again, and finds what it has done.
class Registry {
public:
    Registry() = default;
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;
    virtual ~Registry() = default;

    virtual Result<std::optional<NodeRecord>> find_node(const PublicKey& key) = 0;

    // Makes a key a member and spends a use of its invite, both or neither. In this order: a member
    // is returned as it is, whatever the invite says, and spends nothing; one that was one is Revoked
    // or Retired; an address that is somebody else's is AddressTaken; one that waits with this invite
    // waits on, and nothing is written; then the invite decides.
    virtual Result<Decision> enrol(const Enrolment& enrolment, const Actor& actor,
                                   WallTime now) = 0;

    // Gives a member the next serial and a new not-after. NotFound if it is no member (any more).
    virtual Result<NodeRecord> renew(const PublicKey& key, WallTime attested_until) = 0;

    // Those who wait, and those who were rejected of late, the oldest first.
    virtual Result<std::vector<WaitingRecord>> waiting(WallTime now) = 0;
    // Makes a waiting key a member and spends its use. One that was rejected can be approved while
    // the invite has a use left: Conflict if not. NotFound for a key that does not wait.
    virtual Result<NodeRecord> approve(const PublicKey& key, const Actor& actor, WallTime now) = 0;
    // Frees its use. Idempotent. NotFound for a key that does not wait.
    virtual Result<WaitingRecord> reject(const PublicKey& key, const Actor& actor,
                                         WallTime now) = 0;

    // Idempotent: the first revocation's time stays. NotFound for a key that never was a member.
    virtual Result<NodeRecord> revoke_node(const PublicKey& key, const Actor& actor,
                                           WallTime now) = 0;
    // The same for a node that will not come back, and has done nothing wrong. A revoked one stays
    // as it is.
    virtual Result<NodeRecord> retire_node(const PublicKey& key, const Actor& actor,
                                           WallTime now) = 0;
    // Keeps that two machines use a member's key. NotFound if it is no member (any more).
    virtual Result<NodeRecord> mark_key_shared(const PublicKey& key, const Actor& actor,
                                               WallTime now) = 0;

    // Makes a member a lighthouse that everybody reaches at these endpoints, or, without any, a node
    // like others. It has the next serial for its attestation, which ends when it did. Idempotent.
    // NotFound if it is no member (any more), Conflict when lighthouses_limit others have endpoints.
    // At most member_endpoints_limit of them.
    virtual Result<NodeRecord> set_lighthouse(const PublicKey& key,
                                              const std::vector<Endpoint>& endpoints,
                                              const Actor& actor, WallTime now) = 0;
    // The members that have endpoints, those that enrolled first first.
    virtual Result<std::vector<NodeRecord>> lighthouses() = 0;

    // Every record that changed after `revision`, revoked ones included, in the order of change.
    // The first `limit` of them.
    virtual Result<std::vector<NodeRecord>> nodes_since(std::uint64_t revision,
                                                        std::size_t limit = SIZE_MAX) = 0;
    virtual Result<History> history() = 0;
    // How many members there are. Looks at each record, of memory or a table.
    virtual Result<std::size_t> count_members() = 0;

    // The newest attestation of a gateway itself, whose membership is the CA's to decide; renew
    // gives it the next serial. Kept, so that a gateway can start when nothing can be written.
    virtual Result<std::optional<Attested>> find_gateway(const PublicKey& key) = 0;
    virtual Result<Attested> renew_gateway(const PublicKey& key, WallTime not_after) = 0;

    // For a store that several gateways share; one that is a single gateway's own keeps none.
    //
    // Says that a gateway serves until then, where, and with which certificates; what it was attested
    // is left as it is. Nothing but the time changes if the rest was said before: that is worth no new
    // revision. Who has not said so for too long does not serve any more.
    virtual Status announce_gateway(const GatewayRecord&, WallTime) { return {}; }
    // Those that serve, or did until their time was over and nobody has announced himself since.
    virtual Result<std::vector<GatewayRecord>> gateways() { return {}; }
    // When any gateway last came, changed or went.
    virtual Result<std::uint64_t> gateways_revision() { return 0; }

    virtual Result<InviteRecord> create_invite(const NewInvite& invite, const Actor& actor,
                                               WallTime now) = 0;
    virtual Result<std::vector<InviteRecord>> invites(WallTime now) = 0;
    // Idempotent. Who waits with it does not any more. NotFound for an id that there is not.
    virtual Result<InviteRecord> revoke_invite(const std::string& id, const Actor& actor,
                                               WallTime now) = 0;

    // The org's policy. A revocation changes it as well.
    virtual Result<PolicyRecord> policy() = 0;
    // The keys that the document must name: those of whom an attestation may still be good at `now`, the
    // newest document_revoked_limit of them, oldest first.
    virtual Result<std::vector<PublicKey>> revoked(WallTime now) = 0;
    // InvalidArgument for what would let a disowned signer count again.
    virtual Result<PolicyRecord> change_policy(const PolicyChange& change, const Actor& actor,
                                               WallTime now) = 0;

    // For what is not already recorded by the calls above: refusals.
    virtual Status record(const AuditEntry& entry) = 0;
    // The newest `limit` entries, oldest first.
    virtual Result<std::vector<AuditEntry>> audit(std::size_t limit) = 0;
    // For who checks it: what is there, the next ones after `number`, gaps and all.
    virtual Result<std::vector<AuditLink>> audit_after(std::uint64_t number, std::size_t limit) = 0;
    virtual Result<AuditHead> audit_head() = 0;

    // Several calls for the price of one: `calls` makes them, and what they acknowledge counts only
    // when this has succeeded. One that fails is undone alone; when this fails, all are. A store to
    // which this makes no difference makes them one after the other.
    virtual Status batch(const std::function<void()>& calls) {
        calls();
        return {};
    }

    // Reads all of it. InvalidData if it is damaged.
    virtual Status check() = 0;
    // Once for a registry, which must outlive the watch.
    virtual Result<std::unique_ptr<RegistryWatch>> watch() = 0;
};

}  // namespace fortros::gateway
