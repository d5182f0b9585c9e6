// What of the registry stands under which key in etcd, and how it is written there: the layout, and
// each record as JSON. It reads what somebody else has fetched, and fetches nothing.
//
//   PREFIX/ORG/state/head                     what the whole org counts, and its policy (EtcdHead)
//   PREFIX/ORG/state/node/KEY                 a node; never deleted
//   PREFIX/ORG/state/invite/ID                an invite
//   PREFIX/ORG/state/waiting/ID/KEY           who waits with this invite
//   PREFIX/ORG/state/gateway/KEY              a gateway: its newest attestation, and where it serves
//   PREFIX/ORG/audit/NUMBER                   the audit log; 20 digits, from 1, without a gap
//
// PREFIX is of the settings, ORG the overlay prefix as 12 hexadecimal digits, KEY a public key in
// base64url. Every transaction compares and writes the head, as its last key: so transactions follow
// one another, each knows all that the ones before have done, and who follows them knows with the
// head that a transaction is complete.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/overlay.h"
#include "gateway/registry.h"

namespace fortros::gateway {

// Of this layout and of the records. What is newer is refused: it may mean anything.
// 2: the audit log is a chain.
inline constexpr std::uint32_t etcd_schema = 2;

inline constexpr std::string_view etcd_head_name = "head";
inline constexpr std::string_view etcd_node_folder = "node/";
inline constexpr std::string_view etcd_invite_folder = "invite/";
inline constexpr std::string_view etcd_waiting_folder = "waiting/";
inline constexpr std::string_view etcd_gateway_folder = "gateway/";

struct EtcdHead {
    std::uint64_t revision = 0;  // of the newest change to a node
    std::uint64_t history = 0;   // where it began, if it is not the first one
    std::uint64_t serial = 0;    // of the newest attestation
    AuditHead audit{};           // the newest entry
    // Attestations up to this serial count as expired, to be given out anew: by one number, where
    // all nodes would be too much for one transaction.
    std::uint64_t renewed = 0;
    PolicyRecord policy{};
    std::string transaction{};  // random, of the transaction that has written this

    bool operator==(const EtcdHead&) const = default;
};

struct EtcdNode {
    NodeRecord record;
    std::uint64_t revocation = 0;  // its number; 0: it is a member

    bool operator==(const EtcdNode&) const = default;
};

struct EtcdInvite {
    InviteRecord record;  // without what is waiting, which is counted
    InviteHash hash{};

    bool operator==(const EtcdInvite&) const = default;
};

struct EtcdAuditEntry {
    AuditEntry entry;  // its number is in the key
    std::string transaction{};
    std::optional<AuditHash> hash{};
};

// An entry as it is kept: its texts as long as they may be, and of what JSON can hold.
AuditEntry as_kept(const AuditEntry& entry);

// --- keys ---

// The two folders of an org, each with its last '/'.
std::string etcd_state_folder(std::string_view prefix, const OrgPrefix& org);
std::string etcd_audit_folder(std::string_view prefix, const OrgPrefix& org);

std::string etcd_node_name(const PublicKey& key);
std::string etcd_invite_name(const std::string& id);
std::string etcd_waiting_name(const std::string& invite);  // a folder
std::string etcd_waiting_name(const std::string& invite, const PublicKey& key);
std::string etcd_gateway_name(const PublicKey& key);
std::string etcd_audit_name(std::uint64_t number);

// --- values ---

std::string to_json_text(const EtcdHead& head);
std::string to_json_text(const EtcdNode& node);
std::string to_json_text(const EtcdInvite& invite);
std::string to_json_text(const WaitingRecord& waiting);
std::string to_json_text(const GatewayRecord& gateway);  // its key is in the name
std::string to_json_text(const EtcdAuditEntry& entry);

// InvalidData for what a sound registry cannot hold, Unsupported for a newer schema.
Result<EtcdHead> parse_etcd_head(std::string_view text);
Result<EtcdNode> parse_etcd_node(std::string_view text);
Result<EtcdInvite> parse_etcd_invite(std::string_view text);
Result<WaitingRecord> parse_etcd_waiting(std::string_view text);
Result<GatewayRecord> parse_etcd_gateway(std::string_view text);  // without its key
Result<EtcdAuditEntry> parse_etcd_audit(std::string_view text);

}  // namespace fortros::gateway
