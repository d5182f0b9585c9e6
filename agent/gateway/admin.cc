#include "gateway/admin.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "base/text.h"
#include "core/json.h"
#include "core/setting_values.h"
#include "core/table.h"
#include "gateway/admin_tools.h"
#include "gateway/credentials.h"
#include "os/clock.h"
#include "os/files.h"
#include "os/random.h"
#include "os/wireguard.h"

namespace fortros::gateway {

// An admin can wait for the server, or another admin.
static constexpr Duration busy_timeout = 10s;
static constexpr std::uint32_t uses_limit = 100'000;
static constexpr mode_t invite_file_mode = 0600;

std::unexpected<Failure> failure(ExitCode code, std::string what) {
    const auto error_code =
        code == ExitCode::NotFound ? ErrorCode::NotFound : ErrorCode::InvalidArgument;
    return std::unexpected(Failure{code, Error{error_code, std::move(what)}});
}

Outcome<std::unique_ptr<SqliteRegistry>> open_registry(const GatewaySettings& settings) {
    return or_exit(ExitCode::Database,
                   SqliteRegistry::open(settings.database, settings.prefix, busy_timeout));
}

// What the registry answers to a change of something that may not be there.
template <typename T>
static Outcome<T> changed(Result<T> result) {
    const bool missing = !result && result.error().code == ErrorCode::NotFound;
    return or_exit(missing ? ExitCode::NotFound : ExitCode::Database, std::move(result));
}

Actor admin_actor() { return "uid " + std::to_string(::getuid()); }

static std::string text_of(const std::optional<WallTime>& time) {
    return time ? to_rfc3339(*time) : "";
}

static Json json_of(const std::optional<WallTime>& time) {
    return time ? Json(to_rfc3339(*time)) : Json();
}

Said say(std::string_view text) { return {.out = SecretBytes(text)}; }

static SecretBytes concat(std::initializer_list<std::string_view> parts) {
    std::size_t size = 0;
    for (auto part : parts) size += part.size();
    SecretBytes all(size);
    auto out = all.writable().begin();
    for (auto part : parts) out = std::ranges::copy(as_bytes(part), out).out;
    return all;
}

// --- invites ---

static Json to_json(const InviteRecord& invite, WallTime now) {
    Json json{Json::Object{}};
    json.set("id", invite.id);
    json.set("state", name_of(state_of(invite, now)));
    json.set("uses", invite.uses);
    json.set("used", invite.used);
    json.set("role", name_of(invite.role));
    json.set("hostname", invite.hostname);
    json.set("created", json_of(invite.created));
    json.set("expires", json_of(invite.expires));
    json.set("revoked", json_of(invite.revoked));
    return json;
}

static Result<NewInvite> new_invite(const Arguments& arguments, const GatewaySettings& settings,
                                    WallTime now) {
    NewInvite invite;
    if (auto uses = arguments.value("--uses"))
        invite.uses = TRY(number_setting(*uses, 1, uses_limit));
    Duration lifetime = settings.invite_lifetime;
    if (auto expires = arguments.value("--expires"))
        lifetime = TRY(duration_setting(*expires, 1min, 366 * one_day));
    invite.expires = now + std::chrono::duration_cast<std::chrono::seconds>(lifetime);
    // A gateway is vouched for by the CA, not by an invite.
    if (auto role = arguments.value("--role"))
        invite.role = TRY(
            choice_setting<Role>(*role, {{"node", Role::Node}, {"lighthouse", Role::Lighthouse}}));
    if (auto hostname = arguments.value("--hostname"))
        invite.hostname = TRY(host_name_setting(*hostname));
    if (!invite.hostname.empty() && invite.uses > 1)
        return fail(ErrorCode::InvalidArgument,
                    "--hostname is for one machine, and --uses for several");
    return invite;
}

// A file that can't be written leaves no invite that nobody knows.
static Status write_invite(const std::string& path, const SecretBytes& invite, Registry& registry,
                           const InviteRecord& record, WallTime now) {
    auto written = write_file(path, concat({invite.text(), "\n"}).view(), invite_file_mode);
    if (!written) TRY(registry.revoke_invite(record.id, admin_actor(), now));
    return written;
}

Outcome<Said> create_invite(const Arguments& arguments, const GatewaySettings& settings) {
    const auto now = wall_now();
    auto wanted = TRY(or_exit(ExitCode::Usage, new_invite(arguments, settings, now)));
    auto registry = TRY(open_registry(settings));
    KernelRandom random;
    const auto invite = make_invite(random);
    wanted.hash = hash_of_invite(invite.view());
    const auto record =
        TRY(or_exit(ExitCode::Database, registry->create_invite(wanted, admin_actor(), now)));

    Said said;
    said.note = "invite " + record.id + ": " +
                (record.uses == 1 ? "one use" : std::to_string(record.uses) + " uses") +
                ", expires " + to_rfc3339(record.expires) + "\n";
    if (auto path = arguments.value("--output")) {
        TRY(or_exit(ExitCode::Failure, write_invite(*path, invite, *registry, record, now)));
        said.note += "it is in '" + *path + "' and nowhere else\n";
        if (arguments.has("--json")) said.out = concat({to_json(record, now).dump(), "\n"});
    } else if (arguments.has("--json")) {
        const std::string rest = to_json(record, now).dump();
        said.out = concat({R"({"invite":")", invite.text(), R"(",)", rest.substr(1), "\n"});
    } else {
        said.note += "it is shown this once only:\n";
        said.out = concat({invite.text(), "\n"});
    }
    return said;
}

Outcome<Said> list_invites(const Arguments& arguments, const GatewaySettings& settings) {
    const auto now = wall_now();
    auto registry = TRY(open_registry(settings));
    const auto invites = TRY(or_exit(ExitCode::Database, registry->invites()));
    if (arguments.has("--json")) {
        Json list{Json::Array{}};
        for (const auto& invite : invites) list.push(to_json(invite, now));
        return say(list.dump(2) + "\n");
    }
    std::vector<std::vector<std::string>> rows;
    for (const auto& invite : invites)
        rows.push_back({invite.id, std::string(name_of(state_of(invite, now))),
                        std::to_string(invite.used) + "/" + std::to_string(invite.uses),
                        std::string(name_of(invite.role)), invite.hostname, text_of(invite.created),
                        text_of(invite.expires)});
    return say(to_table({"ID", "STATE", "USED", "ROLE", "HOSTNAME", "CREATED", "EXPIRES"}, rows));
}

Outcome<Said> revoke_invite(const Arguments& arguments, const GatewaySettings& settings) {
    const std::string& id = arguments.words[0];
    if (!is_invite_id(id))
        return failure(ExitCode::Usage, "'" + printable(id, 40) +
                                            "' is no invite's id: see fortros-gateway invite list");
    auto registry = TRY(open_registry(settings));
    const auto invite = TRY(changed(registry->revoke_invite(id, admin_actor(), wall_now())));
    return Said{.note = "invite " + id + " is revoked; nodes that came with it stay (" +
                        std::to_string(invite.used) + ")\n"};
}

// --- nodes ---

namespace {

// A join writes nothing, so what is known of a node's last life is what the kernel knows.
class Handshakes {
public:
    explicit Handshakes(const GatewaySettings& settings) {
        if (!settings.manage) return;
        auto wireguard = WireGuard::create();
        if (!wireguard) return;
        const auto status = wireguard->status(std::string(direct_interface));
        if (!status) return;
        m_known = true;
        for (const auto& peer : status->peers) m_times[peer.peer.key] = peer.last_handshake;
    }

    bool known() const { return m_known; }
    std::optional<WallTime> of(const PublicKey& key) const {
        const auto found = m_times.find(key);
        return found == m_times.end() ? std::nullopt : found->second;
    }

private:
    bool m_known = false;
    std::map<PublicKey, std::optional<WallTime>> m_times;
};

}  // namespace

static Json to_json(const NodeRecord& node, const Handshakes& handshakes) {
    Json json{Json::Object{}};
    json.set("overlay_address", node.overlay_address.text());
    json.set("public_key", node.key.base64());
    json.set("hostname", node.hostname);
    json.set("role", name_of(node.role));
    json.set("invite", node.invite);
    json.set("enrolled", json_of(node.enrolled));
    json.set("revoked", json_of(node.revoked));
    json.set("attested_until", json_of(node.attested_until));
    if (handshakes.known()) json.set("last_handshake", json_of(handshakes.of(node.key)));
    return json;
}

Outcome<Said> list_nodes(const Arguments& arguments, const GatewaySettings& settings) {
    auto registry = TRY(open_registry(settings));
    auto nodes = TRY(or_exit(ExitCode::Database, registry->nodes_since(0)));
    std::ranges::sort(nodes, {}, [](const NodeRecord& node) {
        return std::pair(node.enrolled, node.overlay_address);
    });
    const Handshakes handshakes(settings);
    if (arguments.has("--json")) {
        Json list{Json::Array{}};
        for (const auto& node : nodes) list.push(to_json(node, handshakes));
        return say(list.dump(2) + "\n");
    }
    std::vector<std::vector<std::string>> rows;
    for (const auto& node : nodes) {
        const auto handshake = handshakes.of(node.key);
        rows.push_back(
            {node.overlay_address.text(), node.hostname, std::string(name_of(node.role)),
             node.revoked ? "revoked" : "member", text_of(node.enrolled),
             handshakes.known() ? (handshake ? to_rfc3339(*handshake) : "never") : "unknown",
             node.key.base64()});
    }
    return say(to_table({"OVERLAY ADDRESS", "HOSTNAME", "ROLE", "STATE", "ENROLLED",
                         "LAST HANDSHAKE", "PUBLIC KEY"},
                        rows));
}

// By overlay address, by key in either spelling, or by a hostname that only one node has.
static Outcome<NodeRecord> find_node(const std::string& text,
                                     const std::vector<NodeRecord>& nodes) {
    const auto address = IpAddress::parse(text);
    auto key = PublicKey::from_base64(text);
    if (!key) key = PublicKey::from_base64url(text);
    std::vector<NodeRecord> found;
    for (const auto& node : nodes)
        if (node.key == key || node.overlay_address == address || node.hostname == text)
            found.push_back(node);
    if (found.empty())
        return failure(ExitCode::NotFound, "no node is called '" + printable(text, 60) + "'");
    if (found.size() > 1)
        return failure(ExitCode::Usage, std::to_string(found.size()) + " nodes are called '" +
                                            printable(text, 60) +
                                            "': name the overlay address or the key");
    return std::move(found.front());
}

Outcome<Said> revoke_node(const Arguments& arguments, const GatewaySettings& settings) {
    auto registry = TRY(open_registry(settings));
    const auto nodes = TRY(or_exit(ExitCode::Database, registry->nodes_since(0)));
    const auto node = TRY(find_node(arguments.words[0], nodes));
    const auto revoked = TRY(changed(registry->revoke_node(node.key, admin_actor(), wall_now())));
    return Said{.note = revoked.overlay_address.text() + " is revoked since " +
                        text_of(revoked.revoked) +
                        "; a gateway that serves closes its tunnel now\n"};
}

// --- settings ---

Outcome<Said> check_config(const Arguments&, const GatewaySettings& settings) {
    const auto credentials = TRY(or_exit(ExitCode::Credentials, load_credentials(settings)));
    const auto now = wall_now();
    std::string text;
    text += "gateway          " + settings.name + "\n";
    text += "overlay prefix   " + settings.prefix.text() + "\n";
    text += "overlay address  " +
            overlay_address(settings.prefix, credentials.wireguard_public).text() + "\n";
    text += "WireGuard key    " + credentials.wireguard_public.base64() + "\n";
    bool usable = true;
    for (const auto& validity : credentials.validities) {
        const auto state = state_of(validity, now);
        usable = usable && state != ValidityState::Expired && state != ValidityState::NotYetValid;
        text += describe(validity, now) + "\n";
    }
    for (const auto& warning : credentials.warnings) text += "warning: " + warning + "\n";
    if (!usable)
        return failure(ExitCode::Credentials, "a certificate is not valid at this time:\n" + text);
    return say(text);
}

}  // namespace fortros::gateway
