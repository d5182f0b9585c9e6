#include "core/messages.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "base/text.h"
#include "core/org_document.h"
#include "core/sealed_invite.h"

namespace fortros {

static constexpr std::size_t invite_min = 16;
static constexpr std::size_t hostname_limit = 253;
static constexpr std::size_t agent_limit = 128;
static constexpr std::size_t message_limit = 512;
static constexpr std::size_t certificate_limit = 2048;  // DER
static constexpr std::size_t endpoints_limit = 8;
static constexpr std::size_t boot_id_size = 32;
static constexpr std::int64_t latest_time = 253402300799;  // 9999-12-31

static std::size_t base64_size(std::size_t bytes) { return (bytes + 2) / 3 * 4; }

bool is_boot_id(std::string_view text) {
    return text.size() == boot_id_size &&
           text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Result<Bytes> read_base64(const JsonReader& in, std::string_view name, std::size_t limit) {
    auto bytes =
        from_base64(TRY(in.optional_string(name, base64_size(limit))).value_or(std::string{}));
    if (!bytes) return in.bad(name, "is not base64");
    return std::move(*bytes);
}

Result<std::vector<Bytes>> read_certificates(const JsonReader& in, std::string_view name) {
    std::vector<Bytes> certificates;
    for (const Json& item : *TRY(in.array(name, signers_limit))) {
        const auto* encoded = item.string();
        auto der = encoded && encoded->size() <= base64_size(certificate_limit)
                       ? from_base64(*encoded)
                       : std::nullopt;
        if (!der || der->empty()) return in.bad(name, "holds something that is no certificate");
        certificates.push_back(std::move(*der));
    }
    return certificates;
}

// --- requests ---

Result<SecretBytes> parse_invite(std::string_view text) {
    static constexpr std::string_view characters =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    text = trim(text);
    if (text.size() < invite_min || text.size() > invite_limit ||
        text.find_first_not_of(characters) != std::string_view::npos)
        return fail(ErrorCode::InvalidData, "this is not an invite");
    return SecretBytes(text);
}

std::string to_json_text(const NodeRequest& request) {
    Json json{Json::Object{}};
    json.set("version", 1);
    json.set("boot_id", request.boot_id);
    json.set("agent", request.agent);
    if (!request.hostname.empty()) json.set("hostname", request.hostname);
    if (request.clock_stepped_back) json.set("clock_stepped_back", true);
    if (request.has_session) json.set("has_session", true);
    if (!request.sealed_invite.empty()) json.set("sealed_invite", to_base64(request.sealed_invite));
    return json.dump();
}

Result<NodeRequest> parse_node_request(std::string_view text) {
    const auto json = TRY(Json::parse(text, {.bytes = request_body_limit}));
    const JsonReader in(json, "request");
    TRY(in.number("version", 1, 1));
    NodeRequest request;
    request.sealed_invite = TRY(read_base64(in, "sealed_invite", sealed_invite_limit));
    request.hostname = TRY(in.optional_string("hostname", hostname_limit)).value_or("");
    if (!request.hostname.empty() && !parse_host_name(request.hostname))
        return in.bad("hostname", "is not a host name");
    request.boot_id = TRY(in.string("boot_id", boot_id_size));
    if (!is_boot_id(request.boot_id)) return in.bad("boot_id", "is not 32 hexadecimal digits");
    request.agent = printable(TRY(in.optional_string("agent", agent_limit)).value_or(""));
    request.clock_stepped_back = TRY(in.boolean("clock_stepped_back", false));
    request.has_session = TRY(in.boolean("has_session", false));
    return request;
}

// --- the answer ---

static Json peer_to_json(const MeshPeer& peer) {
    Json json{Json::Object{}};
    json.set("public_key", peer.key.base64());
    json.set("role", name_of(peer.role));
    json.set("overlay_address", peer.overlay_address.text());
    Json endpoints{Json::Array{}};
    for (const auto& endpoint : peer.endpoints) endpoints.push(endpoint.text());
    json.set("endpoints", std::move(endpoints));
    if (peer.keepalive_seconds != 0) json.set("keepalive_seconds", int{peer.keepalive_seconds});
    if (!peer.attestation.empty()) json.set("attestation", to_base64(peer.attestation));
    return json;
}

static Result<PublicKey> read_key(const JsonReader& in, std::string_view name) {
    auto key = PublicKey::from_base64(TRY(in.string(name, base64_size(key_size))));
    if (!key) return in.bad(name, "is not a WireGuard key");
    return *key;
}

static Result<IpAddress> read_overlay_address(const JsonReader& in) {
    auto address = IpAddress::parse(TRY(in.string("overlay_address", 39)));
    if (!address || address->is_v4()) return in.bad("overlay_address", "is not an IPv6 address");
    return *address;
}

static Result<Role> read_role(const JsonReader& in) {
    auto role = role_from(TRY(in.string("role", 16)));
    if (!role) return in.bad("role", "is unknown");
    return *role;
}

Json to_json(const MeshPeer& peer) { return peer_to_json(peer); }

Result<MeshPeer> mesh_peer_from(const Json& json, const std::string& where) {
    const JsonReader in(json, where);
    MeshPeer peer;
    peer.key = TRY(read_key(in, "public_key"));
    peer.role = TRY(read_role(in));
    peer.overlay_address = TRY(read_overlay_address(in));
    for (const Json& item : *TRY(in.array("endpoints", endpoints_limit))) {
        const auto* text = item.string();
        auto endpoint = text ? Endpoint::parse(*text) : std::nullopt;
        if (!endpoint) return in.bad("endpoints", "holds something that is not ADDRESS:PORT");
        peer.endpoints.push_back(*endpoint);
    }
    peer.keepalive_seconds = static_cast<std::uint16_t>(
        TRY(in.optional_number("keepalive_seconds", 0, UINT16_MAX)).value_or(0));
    peer.attestation = TRY(read_base64(in, "attestation", attestation_size));
    return peer;
}

// What is no base64 stays as it is: whoever checks the set says what is wrong with it.
static Bytes read_bootstrap(const Json& answer) {
    const Json* member = answer.find("bootstrap");
    const auto* text = member != nullptr ? member->string() : nullptr;
    if (text == nullptr) return {};
    const ByteView as_it_is = as_bytes(*text);
    return from_base64(*text).value_or(Bytes(as_it_is.begin(), as_it_is.end()));
}

std::string to_json_text(const MembershipAnswer& answer) {
    Json node{Json::Object{}};
    node.set("public_key", answer.node.base64());
    node.set("overlay_address", answer.overlay_address.text());
    node.set("role", name_of(answer.role));
    if (!answer.hostname.empty()) node.set("hostname", answer.hostname);
    node.set("attestation", to_base64(answer.attestation));

    Json org{Json::Object{}};
    org.set("prefix", answer.prefix.text());
    org.set("domain", answer.domain);
    Json signers{Json::Array{}};
    for (const auto& signer : answer.signers) signers.push(to_base64(signer));
    org.set("signers", std::move(signers));
    org.set("document", to_base64(answer.document));

    Json peers{Json::Array{}};
    for (const auto& peer : answer.peers) peers.push(peer_to_json(peer));

    Json json{Json::Object{}};
    json.set("version", 1);
    json.set("time", std::int64_t{answer.time.time_since_epoch().count()});
    json.set("node", std::move(node));
    json.set("org", std::move(org));
    json.set("peers", std::move(peers));
    if (!answer.bootstrap.empty()) json.set("bootstrap", to_base64(answer.bootstrap));
    return json.dump();
}

Result<MembershipAnswer> parse_membership_answer(std::string_view text) {
    const auto json = TRY(Json::parse(text, {.bytes = http_answer_limit}));
    const JsonReader in(json, "answer");
    TRY(in.number("version", 1, 1));
    MembershipAnswer answer;
    answer.time = WallTime{std::chrono::seconds{TRY(in.number("time", 0, latest_time))}};

    const JsonReader node(*TRY(in.object("node")), "node");
    answer.node = TRY(read_key(node, "public_key"));
    answer.overlay_address = TRY(read_overlay_address(node));
    answer.role = TRY(read_role(node));
    answer.hostname = TRY(node.optional_string("hostname", hostname_limit)).value_or("");
    if (!answer.hostname.empty() && !parse_host_name(answer.hostname))
        return node.bad("hostname", "is not a host name");
    answer.attestation = TRY(read_base64(node, "attestation", attestation_size));

    const JsonReader org(*TRY(in.object("org")), "org");
    auto prefix = OrgPrefix::parse(TRY(org.string("prefix", 43)));
    if (!prefix) return org.bad("prefix", "is not fd../48");
    answer.prefix = *prefix;
    answer.domain = TRY(org.optional_string("domain", hostname_limit)).value_or("");
    if (!answer.domain.empty() && !parse_host_name(answer.domain))
        return org.bad("domain", "is not a domain name");
    answer.signers = TRY(read_certificates(org, "signers"));
    answer.document = TRY(read_base64(org, "document", document_size_limit));

    const auto* peers = TRY(in.array("peers", answer_peers_limit));
    for (std::size_t i = 0; i < peers->size(); ++i)
        answer.peers.push_back(
            TRY(mesh_peer_from((*peers)[i], "peers[" + std::to_string(i) + "]")));
    answer.bootstrap = read_bootstrap(json);
    return answer;
}

// --- refusals ---

struct RefusalName {
    RefusalCode code;
    int status;
    std::string_view name;
};

static constexpr std::array refusal_names = {
    RefusalName{RefusalCode::ProofInvalid, 401, "proof-invalid"},
    RefusalName{RefusalCode::InviteInvalid, 401, "invite-invalid"},
    RefusalName{RefusalCode::UnknownNode, 401, "unknown-node"},
    RefusalName{RefusalCode::ApprovalRefused, 401, "approval-refused"},
    RefusalName{RefusalCode::Revoked, 403, "revoked"},
    RefusalName{RefusalCode::Retired, 403, "retired"},
    RefusalName{RefusalCode::AddressTaken, 409, "address-taken"},
    RefusalName{RefusalCode::ApprovalPending, 202, "approval-pending"},
    RefusalName{RefusalCode::Busy, 503, "busy"},
    RefusalName{RefusalCode::BadRequest, 400, "bad-request"},
};

static const RefusalName& entry_of(RefusalCode code) {
    return *std::ranges::find(refusal_names, code, &RefusalName::code);
}

int status_of(RefusalCode code) { return entry_of(code).status; }
std::string_view name_of(RefusalCode code) { return entry_of(code).name; }

std::string to_json_text(const Refusal& refusal) {
    Json json{Json::Object{}};
    json.set("error", name_of(refusal.code));
    json.set("message", refusal.message);
    if (refusal.overlay_address) json.set("overlay_address", refusal.overlay_address->text());
    return json.dump();
}

// The status alone decides what kind of refusal it is; the body may only say which of that kind.
static RefusalCode code_of(int status, std::string_view name) {
    for (const auto& entry : refusal_names)
        if (entry.status == status && entry.name == name) return entry.code;
    if (status == 429) return RefusalCode::Busy;
    for (const auto& entry : refusal_names)
        if (entry.status == status) return entry.code;
    return RefusalCode::BadRequest;
}

Refusal parse_refusal(int status, std::string_view text) {
    std::string name;
    Refusal refusal{.message = "the gateway answered with HTTP status " + std::to_string(status)};
    if (auto json = Json::parse(text, {.bytes = request_body_limit})) {
        const JsonReader in(*json, "refusal");
        if (auto value = in.optional_string("error", 64)) name = value->value_or("");
        if (auto value = in.optional_string("message", message_limit); value && *value)
            refusal.message = printable(**value, message_limit);
        if (auto value = in.optional_string("overlay_address", 64); value && *value)
            refusal.overlay_address = IpAddress::parse(**value);
    }
    refusal.code = code_of(status, name);
    return refusal;
}

}  // namespace fortros
