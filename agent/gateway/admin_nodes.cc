// The admin commands about nodes: members, and those who would like to be.
#include <algorithm>
#include <map>

#include "base/text.h"
#include "core/table.h"
#include "gateway/admin_parts.h"
#include "os/clock.h"
#include "os/overlay_links.h"

namespace fortros::gateway {

namespace {

// A join writes nothing, so what is known of a node's last life is what the kernel knows.
class Handshakes {
public:
    explicit Handshakes(const GatewaySettings& settings) {
        if (!settings.manage) return;
        auto links = OverlayLinks::create();
        if (!links) return;
        const auto interfaces = links->observe();
        if (!interfaces) return;
        m_known = !interfaces->empty();
        for (const auto& interface : *interfaces)
            for (const auto& peer : interface.wireguard.peers) {
                auto& newest = m_times[peer.peer.key];
                newest = std::max(newest, peer.last_handshake);
            }
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

static std::string_view state_of(const NodeRecord& node) {
    if (node.revoked) return "revoked";
    return node.retired ? "retired" : "member";
}

static Json to_json(const NodeRecord& node, const Handshakes& handshakes) {
    Json json{Json::Object{}};
    json.set("overlay_address", node.overlay_address.text());
    json.set("public_key", node.key.base64());
    json.set("hostname", node.hostname);
    json.set("role", name_of(node.role));
    Json endpoints{Json::Array{}};
    for (const auto& endpoint : node.endpoints) endpoints.push(endpoint.text());
    json.set("endpoints", std::move(endpoints));
    json.set("invite", node.invite);
    json.set("enrolled", json_of(node.enrolled));
    json.set("state", state_of(node));
    json.set("revoked", json_of(node.revoked));
    json.set("retired", json_of(node.retired));
    json.set("key_shared", json_of(node.key_shared));
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
        return say_list(list);
    }
    std::vector<std::vector<std::string>> rows;
    for (const auto& node : nodes) {
        const auto handshake = handshakes.of(node.key);
        rows.push_back(
            {node.overlay_address.text(), node.hostname, std::string(name_of(node.role)),
             std::string(state_of(node)) +
                 (node.key_shared && node.is_member() ? ", key shared" : ""),
             text_of(node.enrolled),
             handshakes.known() ? (handshake ? to_rfc3339(*handshake) : "never") : "unknown",
             node.key.base64()});
    }
    return say(to_table({"OVERLAY ADDRESS", "HOSTNAME", "ROLE", "STATE", "ENROLLED",
                         "LAST HANDSHAKE", "PUBLIC KEY"},
                        rows));
}

Outcome<NodeRecord> find_node(const std::string& text, const std::vector<NodeRecord>& nodes) {
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
    const auto revoked = TRY(changed(registry->revoke_node(node.key, actor(), wall_now())));
    return Said{.note = revoked.overlay_address.text() + " is revoked since " +
                        text_of(revoked.revoked) +
                        "; a gateway that serves closes its tunnel now\n"};
}

Outcome<Said> retire_node(const Arguments& arguments, const GatewaySettings& settings) {
    auto registry = TRY(open_registry(settings));
    const auto nodes = TRY(or_exit(ExitCode::Database, registry->nodes_since(0)));
    const auto node = TRY(find_node(arguments.words[0], nodes));
    const auto retired = TRY(changed(registry->retire_node(node.key, actor(), wall_now())));
    const std::string address = retired.overlay_address.text();
    if (retired.revoked) return Said{.note = address + " is revoked already: that stays\n"};
    return Said{.note = address + " is retired since " + text_of(retired.retired) +
                        "; its address stays taken\n"};
}

// --- who waits for approval ---

static Json to_json(const WaitingRecord& node) {
    Json json{Json::Object{}};
    json.set("overlay_address", node.overlay_address.text());
    json.set("public_key", node.key.base64());
    json.set("hostname", node.hostname);
    json.set("invite", node.invite);
    json.set("from", node.from);
    json.set("since", json_of(node.since));
    json.set("expires", json_of(node.expires));
    json.set("rejected", json_of(node.rejected));
    return json;
}

Outcome<Said> list_waiting(const Arguments& arguments, const GatewaySettings& settings) {
    auto registry = TRY(open_registry(settings));
    const auto nodes = TRY(or_exit(ExitCode::Database, registry->waiting(wall_now())));
    if (arguments.has("--json")) {
        Json list{Json::Array{}};
        for (const auto& node : nodes) list.push(to_json(node));
        return say_list(list);
    }
    std::vector<std::vector<std::string>> rows;
    rows.reserve(nodes.size());
    for (const auto& node : nodes)
        rows.push_back({node.overlay_address.text(), node.hostname,
                        node.rejected ? "rejected" : "waiting", node.invite, node.from,
                        text_of(node.since), text_of(node.expires)});
    return say(to_table(
        {"OVERLAY ADDRESS", "HOSTNAME", "STATE", "INVITE", "FROM", "SINCE", "EXPIRES"}, rows));
}

// By the whole overlay address and nothing else: it follows from the key, and the node shows it. A
// hostname is a stranger's wish.
static Outcome<WaitingRecord> find_waiting(const std::string& text, Registry& registry) {
    const auto address = IpAddress::parse(text);
    if (!address)
        return failure(ExitCode::Usage, "'" + printable(text, 60) +
                                            "' is no overlay address: the node shows its own, and "
                                            "fortros-gateway node waiting lists all");
    const auto nodes = TRY(or_exit(ExitCode::Database, registry.waiting(wall_now())));
    const auto found = std::ranges::find(nodes, *address, &WaitingRecord::overlay_address);
    if (found == nodes.end())
        return failure(ExitCode::NotFound, "no node waits with the address " + address->text());
    return *found;
}

Outcome<Said> approve_node(const Arguments& arguments, const GatewaySettings& settings) {
    auto registry = TRY(open_registry(settings));
    const auto waiting = TRY(find_waiting(arguments.words[0], *registry));
    const auto node = TRY(decided(registry->approve(waiting.key, actor(), wall_now())));
    return Said{.note = node.overlay_address.text() +
                        " is a member now; it comes up when it next asks\n"};
}

Outcome<Said> reject_node(const Arguments& arguments, const GatewaySettings& settings) {
    auto registry = TRY(open_registry(settings));
    const auto waiting = TRY(find_waiting(arguments.words[0], *registry));
    const auto node = TRY(decided(registry->reject(waiting.key, actor(), wall_now())));
    return Said{.note = node.overlay_address.text() + " is rejected; invite " + node.invite +
                        " has its use back: revoke it if strangers have it\n"};
}

}  // namespace fortros::gateway
