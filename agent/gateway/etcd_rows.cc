#include "gateway/etcd_rows.h"

#include "base/encoding.h"
#include "base/text.h"
#include "core/json.h"

namespace fortros::gateway {

static constexpr JsonLimits row_limits = {
    .bytes = std::size_t{64} * 1024, .depth = 4, .values = 64, .members = 32};
static constexpr std::size_t text_limit = 1024;
// What is not UTF-8 grows threefold when it is written, and must be readable all the same.
static constexpr std::size_t detail_limit = text_limit / 3;
static constexpr std::size_t chain_text_limit =
    gateway_chain_limit * (gateway_certificate_limit / 3 * 4 + 5);
static constexpr std::size_t audit_digits = 20;

// --- keys ---

static std::string org_folder(std::string_view prefix, const OrgPrefix& org) {
    return std::string(prefix) + "/" + to_hex(org.bytes) + "/";
}

std::string etcd_state_folder(std::string_view prefix, const OrgPrefix& org) {
    return org_folder(prefix, org) + "state/";
}

std::string etcd_audit_folder(std::string_view prefix, const OrgPrefix& org) {
    return org_folder(prefix, org) + "audit/";
}

std::string etcd_node_name(const PublicKey& key) {
    return std::string(etcd_node_folder) + key.base64url();
}

std::string etcd_invite_name(const std::string& id) { return std::string(etcd_invite_folder) + id; }

std::string etcd_waiting_name(const std::string& invite) {
    return std::string(etcd_waiting_folder) + invite + "/";
}

std::string etcd_waiting_name(const std::string& invite, const PublicKey& key) {
    return etcd_waiting_name(invite) + key.base64url();
}

std::string etcd_gateway_name(const PublicKey& key) {
    return std::string(etcd_gateway_folder) + key.base64url();
}

// The order of the keys is the order of the numbers.
std::string etcd_audit_name(std::uint64_t number) {
    const std::string digits = std::to_string(number);
    return std::string(audit_digits - digits.size(), '0') + digits;
}

// --- writing ---

static Json number_of(std::uint64_t number) { return static_cast<std::int64_t>(number); }
static Json number_of(WallTime time) { return std::int64_t{time.time_since_epoch().count()}; }

static void set_if(Json& json, std::string_view key, const std::optional<WallTime>& time) {
    if (time) json.set(key, number_of(*time));
}

static void set_if(Json& json, std::string_view key, const std::string& text) {
    if (!text.empty()) json.set(key, text);
}

std::string to_json_text(const EtcdHead& head) {
    Json policy{Json::Object{}};
    policy.set("serial", number_of(head.policy.serial));
    policy.set("signers_since", number_of(head.policy.signers_since));
    policy.set("revocations", number_of(head.policy.revocation_number));
    if (head.policy.sources) policy.set("sources", head.policy.sources->text());
    Json json{Json::Object{}};
    json.set("schema", std::int64_t{etcd_schema});
    json.set("revision", number_of(head.revision));
    json.set("history", number_of(head.history));
    json.set("serial", number_of(head.serial));
    json.set("audit", number_of(head.audit.number));
    json.set("audit_hash", to_hex(head.audit.hash));
    json.set("audit_unchained", number_of(head.audit.unchained));
    json.set("renewed", number_of(head.renewed));
    json.set("policy", std::move(policy));
    json.set("transaction", head.transaction);
    return json.dump();
}

std::string to_json_text(const EtcdNode& node) {
    const NodeRecord& record = node.record;
    Json json{Json::Object{}};
    json.set("key", record.key.base64url());
    json.set("overlay_address", record.overlay_address.text());
    json.set("role", name_of(record.role));
    set_if(json, "hostname", record.hostname);
    set_if(json, "endpoints", text_of(record.endpoints));
    json.set("invite", record.invite);
    json.set("enrolled", number_of(record.enrolled));
    set_if(json, "revoked", record.revoked);
    set_if(json, "retired", record.retired);
    set_if(json, "key_shared", record.key_shared);
    json.set("serial", number_of(record.serial));
    json.set("attested_until", number_of(record.attested_until));
    json.set("revision", number_of(record.revision));
    if (node.revocation != 0) json.set("revocation", number_of(node.revocation));
    return json.dump();
}

std::string to_json_text(const EtcdInvite& invite) {
    const InviteRecord& record = invite.record;
    Json json{Json::Object{}};
    json.set("id", record.id);
    json.set("hash", to_hex(invite.hash));
    json.set("uses", record.uses);
    json.set("used", record.used);
    json.set("approval", record.approval == Approval::Needed);
    json.set("role", name_of(record.role));
    set_if(json, "hostname", record.hostname);
    json.set("created", number_of(record.created));
    json.set("expires", number_of(record.expires));
    set_if(json, "revoked", record.revoked);
    return json.dump();
}

std::string to_json_text(const WaitingRecord& waiting) {
    Json json{Json::Object{}};
    json.set("key", waiting.key.base64url());
    json.set("overlay_address", waiting.overlay_address.text());
    json.set("invite", waiting.invite);
    set_if(json, "hostname", waiting.hostname);
    json.set("from", waiting.from);
    json.set("since", number_of(waiting.since));
    json.set("expires", number_of(waiting.expires));
    set_if(json, "rejected", waiting.rejected);
    return json.dump();
}

std::string to_json_text(const GatewayRecord& gateway) {
    std::vector<std::string> chain;
    for (const auto& certificate : gateway.chain) chain.push_back(to_base64(certificate));
    Json json{Json::Object{}};
    json.set("serial", number_of(gateway.attested.serial));
    json.set("not_after", number_of(gateway.attested.not_after));
    set_if(json, "endpoints", text_of(gateway.endpoints));
    set_if(json, "chain", join(chain, " "));
    json.set("serves_until", number_of(gateway.serves_until));
    json.set("revision", number_of(gateway.revision));
    return json.dump();
}

std::string to_json_text(const EtcdAuditEntry& row) {
    const AuditEntry& entry = row.entry;
    Json json{Json::Object{}};
    json.set("time", number_of(entry.time));
    json.set("event", entry.event);
    json.set("actor", entry.actor);
    if (entry.node) json.set("node", entry.node->base64url());
    set_if(json, "invite", entry.invite);
    set_if(json, "detail", entry.detail.substr(0, detail_limit));
    json.set("transaction", row.transaction);
    if (row.hash) json.set("hash", to_hex(*row.hash));
    return json.dump();
}

// --- reading ---

namespace {

// A row's members, each checked: JsonReader's, and those that are ours.
class RowReader {
public:
    RowReader(const Json& row, std::string where) : m_reader(row, std::move(where)) {}

    Result<std::uint64_t> number(std::string_view key) const {
        return static_cast<std::uint64_t>(TRY(m_reader.number(key, 0, INT64_MAX)));
    }
    Result<std::uint64_t> optional_number(std::string_view key) const {
        return static_cast<std::uint64_t>(
            TRY(m_reader.optional_number(key, 0, INT64_MAX)).value_or(0));
    }
    Result<std::uint32_t> small_number(std::string_view key, std::uint32_t low) const {
        return static_cast<std::uint32_t>(TRY(m_reader.number(key, low, UINT32_MAX)));
    }
    // The years that there are: whoever adds a span to one of them must not overflow.
    Result<WallTime> time(std::string_view key) const {
        return time_of(TRY(m_reader.number(key, 0, last_second)));
    }
    Result<std::optional<WallTime>> optional_time(std::string_view key) const {
        const auto seconds = TRY(m_reader.optional_number(key, 0, last_second));
        return seconds ? std::optional(time_of(*seconds)) : std::nullopt;
    }
    Result<std::string> text(std::string_view key) const {
        return m_reader.string(key, text_limit);
    }
    Result<std::string> optional_text(std::string_view key) const {
        return TRY(m_reader.optional_string(key, text_limit)).value_or("");
    }
    Result<bool> flag(std::string_view key) const { return m_reader.boolean(key, false); }
    Result<PublicKey> key(std::string_view name) const {
        const auto key = PublicKey::from_base64url(TRY(text(name)));
        if (!key) return m_reader.bad(name, "is no public key");
        return *key;
    }
    Result<IpAddress> address(std::string_view key) const {
        const auto address = IpAddress::parse(TRY(text(key)));
        if (!address || address->is_v4()) return m_reader.bad(key, "is no overlay address");
        return *address;
    }
    Result<std::vector<Endpoint>> optional_endpoints(std::string_view key) const {
        auto endpoints = endpoints_from(TRY(optional_text(key)));
        if (!endpoints) return m_reader.bad(key, "are none");
        return std::move(*endpoints);
    }
    Result<Role> role(std::string_view key) const {
        const auto role = role_from(TRY(text(key)));
        if (!role) return m_reader.bad(key, "is no role");
        return *role;
    }
    Result<crypto::Digest> hash(std::string_view key) const {
        const auto bytes = from_hex(TRY(text(key)));
        crypto::Digest hash{};
        if (!bytes || bytes->size() != hash.size()) return m_reader.bad(key, "is no hash");
        std::memcpy(hash.data(), bytes->data(), hash.size());
        return hash;
    }
    const JsonReader& json() const { return m_reader; }

private:
    static constexpr std::int64_t last_second = 253'402'300'799;  // of the year 9999
    static WallTime time_of(std::int64_t seconds) {
        return WallTime{std::chrono::seconds{seconds}};
    }

    JsonReader m_reader;
};

}  // namespace

static Result<Json> parse_row(std::string_view text, std::string_view what) {
    auto json = Json::parse(text, row_limits);
    if (!json) return std::unexpected(std::move(json).error().in(what));
    if (json->object() == nullptr)
        return fail(ErrorCode::InvalidData, std::string(what) + " is no object");
    return json;
}

static Result<PolicyRecord> policy_from(const Json& json) {
    const RowReader row(json, "policy");
    PolicyRecord policy;
    policy.serial = TRY(row.number("serial"));
    policy.signers_since = TRY(row.time("signers_since"));
    policy.revocation_number = TRY(row.number("revocations"));
    if (json.find("sources") == nullptr) return policy;
    policy.sources.emplace();
    for (const auto word : words_of(TRY(row.text("sources")))) {
        const auto source = source_from(word);
        if (!source) return row.json().bad("sources", "names no source");
        policy.sources->add(*source);
    }
    if (policy.sources->empty()) return row.json().bad("sources", "is empty");
    return policy;
}

Result<EtcdHead> parse_etcd_head(std::string_view text) {
    const Json json = TRY(parse_row(text, "head"));
    const RowReader row(json, "head");
    const auto schema = TRY(row.number("schema"));
    if (schema > etcd_schema)
        return fail(ErrorCode::Unsupported,
                    "the registry in etcd was written by a newer fortros-gateway");
    EtcdHead head;
    head.revision = TRY(row.number("revision"));
    head.history = TRY(row.optional_number("history"));
    head.serial = TRY(row.number("serial"));
    head.audit.number = TRY(row.number("audit"));
    head.audit.unchained = schema == 1 ? head.audit.number : TRY(row.number("audit_unchained"));
    if (schema > 1) head.audit.hash = TRY(row.hash("audit_hash"));
    head.renewed = TRY(row.number("renewed"));
    head.policy = TRY(policy_from(*TRY(row.json().object("policy"))));
    head.transaction = TRY(row.text("transaction"));
    return head;
}

Result<EtcdNode> parse_etcd_node(std::string_view text) {
    const Json json = TRY(parse_row(text, "node"));
    const RowReader row(json, "node");
    EtcdNode node;
    node.record.key = TRY(row.key("key"));
    node.record.overlay_address = TRY(row.address("overlay_address"));
    node.record.role = TRY(row.role("role"));
    node.record.hostname = TRY(row.optional_text("hostname"));
    node.record.endpoints = TRY(row.optional_endpoints("endpoints"));
    node.record.invite = TRY(row.text("invite"));
    node.record.enrolled = TRY(row.time("enrolled"));
    node.record.revoked = TRY(row.optional_time("revoked"));
    node.record.retired = TRY(row.optional_time("retired"));
    node.record.key_shared = TRY(row.optional_time("key_shared"));
    node.record.serial = TRY(row.number("serial"));
    node.record.attested_until = TRY(row.time("attested_until"));
    node.record.revision = TRY(row.number("revision"));
    node.revocation = TRY(row.optional_number("revocation"));
    if (node.record.is_member() != (node.revocation == 0))
        return row.json().bad("revocation", "does not fit the node");
    return node;
}

Result<EtcdInvite> parse_etcd_invite(std::string_view text) {
    const Json json = TRY(parse_row(text, "invite"));
    const RowReader row(json, "invite");
    EtcdInvite invite;
    invite.hash = TRY(row.hash("hash"));
    invite.record.id = TRY(row.text("id"));
    invite.record.uses = TRY(row.small_number("uses", 1));
    invite.record.used = TRY(row.small_number("used", 0));
    invite.record.approval = TRY(row.flag("approval")) ? Approval::Needed : Approval::NotNeeded;
    invite.record.role = TRY(row.role("role"));
    invite.record.hostname = TRY(row.optional_text("hostname"));
    invite.record.created = TRY(row.time("created"));
    invite.record.expires = TRY(row.time("expires"));
    invite.record.revoked = TRY(row.optional_time("revoked"));
    if (invite.record.used > invite.record.uses) return row.json().bad("used", "is more than uses");
    if (invite.record.id != invite_id_of(invite.hash)) return row.json().bad("id", "is another's");
    return invite;
}

Result<WaitingRecord> parse_etcd_waiting(std::string_view text) {
    const Json json = TRY(parse_row(text, "waiting"));
    const RowReader row(json, "waiting");
    WaitingRecord waiting;
    waiting.key = TRY(row.key("key"));
    waiting.overlay_address = TRY(row.address("overlay_address"));
    waiting.invite = TRY(row.text("invite"));
    waiting.hostname = TRY(row.optional_text("hostname"));
    waiting.from = TRY(row.text("from"));
    waiting.since = TRY(row.time("since"));
    waiting.expires = TRY(row.time("expires"));
    waiting.rejected = TRY(row.optional_time("rejected"));
    return waiting;
}

Result<GatewayRecord> parse_etcd_gateway(std::string_view text) {
    const Json json = TRY(parse_row(text, "gateway"));
    const RowReader row(json, "gateway");
    GatewayRecord gateway;
    gateway.attested.serial = TRY(row.number("serial"));
    gateway.attested.not_after = TRY(row.time("not_after"));
    gateway.endpoints = TRY(row.optional_endpoints("endpoints"));
    const auto chain = TRY(row.json().optional_string("chain", chain_text_limit)).value_or("");
    for (const auto word : words_of(chain)) {
        auto certificate = from_base64(word);
        if (!certificate || certificate->size() > gateway_certificate_limit ||
            gateway.chain.size() == gateway_chain_limit)
            return row.json().bad("chain", "is none of certificates");
        gateway.chain.push_back(std::move(*certificate));
    }
    gateway.serves_until = TRY(row.optional_time("serves_until")).value_or(WallTime{});
    gateway.revision = TRY(row.optional_number("revision"));
    return gateway;
}

Result<EtcdAuditEntry> parse_etcd_audit(std::string_view text) {
    const Json json = TRY(parse_row(text, "audit entry"));
    const RowReader row(json, "audit entry");
    EtcdAuditEntry audit;
    audit.entry.time = TRY(row.time("time"));
    audit.entry.event = TRY(row.text("event"));
    audit.entry.actor = TRY(row.text("actor"));
    if (json.find("node") != nullptr) audit.entry.node = TRY(row.key("node"));
    audit.entry.invite = TRY(row.optional_text("invite"));
    audit.entry.detail = TRY(row.optional_text("detail"));
    audit.transaction = TRY(row.text("transaction"));
    if (json.find("hash") != nullptr) audit.hash = TRY(row.hash("hash"));
    return audit;
}

AuditEntry as_kept(const AuditEntry& entry) {
    auto row = parse_etcd_audit(to_json_text(EtcdAuditEntry{entry}));
    if (!row) return entry;  // more than there is place for: it cannot be written either
    row->entry.number = entry.number;
    return std::move(row->entry);
}

}  // namespace fortros::gateway
