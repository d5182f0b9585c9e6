// The messages of the enrolment protocol: what a node says and what a gateway answers, as values
// and as JSON. Both sides use this file; docs for other implementations are in
// protocol/enrolment.yaml. Parsing checks form and bounds; whether an answer may be believed is
// enrolment.h's business.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "core/http.h"
#include "core/json.h"
#include "core/overlay_plan.h"

namespace fortros {

inline constexpr std::string_view enroll_target = "/v1/enroll";
inline constexpr std::string_view join_target = "/v1/join";
inline constexpr std::size_t request_body_limit = std::size_t{32} * 1024;
inline constexpr std::size_t answer_peers_limit = 512;
inline constexpr std::size_t signers_limit = 8;

// 32 hexadecimal digits.
bool is_boot_id(std::string_view text);

// POST /v1/enroll and /v1/join. The node's key and the proof travel in headers.
struct NodeRequest {
    Bytes sealed_invite{};            // enroll only; core/sealed_invite.h
    std::string hostname{};           // wish, may be empty
    std::string boot_id{};            // random, 32 hex digits, new for every boot
    std::string agent{};              // "fortros-preboot 0.1.0"
    bool clock_stepped_back = false;  // peers must forget this node's handshake timestamps
    bool has_session = false;         // with this gateway's WireGuard, of this boot: leave it alone
};

// An invite as a file holds it, without the white space around it: 16 to 256 characters of
// base64url and dots. InvalidData otherwise.
Result<SecretBytes> parse_invite(std::string_view text);

std::string to_json_text(const NodeRequest& request);
Result<NodeRequest> parse_node_request(std::string_view text);

// The body of a 200.
struct MembershipAnswer {
    WallTime time{};  // the gateway's clock
    PublicKey node;   // whom this answer is for
    IpAddress overlay_address;
    std::string hostname{};
    Role role = Role::Node;
    Bytes attestation{};
    OrgPrefix prefix;
    std::string domain{};
    std::vector<Bytes> signers{};   // certificates, DER
    Bytes document{};               // the signed org document (core/org_document.h)
    std::vector<MeshPeer> peers{};  // gateways, lighthouses, some nodes
    // A signed bootstrap set for the next boot (core/bootstrap_set.h); empty: none. It alone is taken
    // as it comes, for nobody who was let in may be turned away for it.
    Bytes bootstrap{};
};

// Members of JSON objects that several messages have. Empty where there is none.
Result<Bytes> read_base64(const JsonReader& in, std::string_view name, std::size_t limit);
Result<std::vector<Bytes>> read_certificates(const JsonReader& in, std::string_view name);

Json to_json(const MeshPeer& peer);
Result<MeshPeer> mesh_peer_from(const Json& json, const std::string& where);

std::string to_json_text(const MembershipAnswer& answer);
Result<MembershipAnswer> parse_membership_answer(std::string_view text);

// The body of every other status: why, in a stable word and in plain ones.
enum class RefusalCode {
    ProofInvalid,     // 401
    InviteInvalid,    // 401: unknown, expired or spent
    UnknownNode,      // 401: join of a key that is not enrolled
    ApprovalRefused,  // 401: an admin has said no
    Revoked,          // 403
    Retired,          // 403: its place has been given up
    AddressTaken,     // 409
    ApprovalPending,  // 202
    Busy,             // 429, 503
    BadRequest,       // 400
};

struct Refusal {
    RefusalCode code = RefusalCode::BadRequest;
    std::string message{};
    std::optional<IpAddress> overlay_address{};  // of the node, that is to be approved
};

int status_of(RefusalCode code);
std::string_view name_of(RefusalCode code);  // "proof-invalid", ...
std::string to_json_text(const Refusal& refusal);
// Never fails: what can't be read becomes a BadRequest refusal that says so.
Refusal parse_refusal(int status, std::string_view text);

}  // namespace fortros
