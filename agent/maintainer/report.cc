#include "maintainer/report.h"

#include <algorithm>
#include <map>
#include <optional>

#include "core/exposition.h"
#include "core/table.h"

namespace fortros {

static std::int64_t whole(std::uint64_t number) { return static_cast<std::int64_t>(number); }

static std::int64_t seconds_of(Duration duration) {
    return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
}

// --- JSON ---------------------------------------------------------------------------------------

namespace {

struct KernelPeer {
    const InterfaceState* interface = nullptr;
    const WireGuardPeerStatus* peer = nullptr;
};

}  // namespace

static KernelPeer find(const std::vector<InterfaceState>& have, const PublicKey& key) {
    for (const InterfaceState& state : have)
        for (const WireGuardPeerStatus& peer : state.wireguard.peers)
            if (peer.peer.key == key) return {&state, &peer};
    return {};
}

static void add_traffic(Json& json, const KernelPeer& kernel, WallTime wall) {
    if (!kernel.peer) return;
    json.set("interface", kernel.interface->wireguard.name);
    if (kernel.peer->peer.endpoint) json.set("endpoint", kernel.peer->peer.endpoint->text());
    if (kernel.peer->last_handshake)
        json.set("handshake_age_seconds",
                 std::max<std::int64_t>(0, (wall - *kernel.peer->last_handshake).count()));
    json.set("rx_bytes", whole(kernel.peer->rx_bytes));
    json.set("tx_bytes", whole(kernel.peer->tx_bytes));
    if (kernel.peer->peer.keepalive_seconds != 0)
        json.set("keepalive_seconds", int{kernel.peer->peer.keepalive_seconds});
}

static Json peer_json(const mesh::PeerReport& peer, const ReportInputs& in) {
    Json json{Json::Object{}};
    json.set("public_key", peer.key.base64());
    if (const mesh::Member* member = in.members.find(peer.key)) {
        json.set("overlay_address", member->address.text());
        json.set("role", name_of(member->role));
        if (!member->hostname.empty()) json.set("hostname", member->hostname);
        json.set("attested_until", to_rfc3339(member->not_after));
    }
    if (peer.tier) json.set("tier", name_of(*peer.tier));
    json.set("link", name_of(peer.link));
    json.set("path", name_of(peer.path));
    if (peer.rtt) json.set("rtt_us", std::int64_t{peer.rtt->count()});
    json.set("score_thousandths", static_cast<std::int64_t>(peer.score * 1000));
    json.set("reason", peer.reason);
    if (peer.lifeline) json.set("lifeline", true);
    add_traffic(json, find(in.have, peer.key), in.wall);
    return json;
}

static Json interfaces_json(const ReportInputs& in) {
    Json interfaces{Json::Array{}};
    for (const InterfaceState& state : in.have) {
        Json item{Json::Object{}};
        item.set("name", state.wireguard.name);
        item.set("ifindex", state.wireguard.ifindex);
        item.set("listen_port", int{state.wireguard.listen_port});
        item.set("mtu", state.mtu);
        item.set("up", state.up);
        item.set("peers", whole(state.wireguard.peers.size()));
        item.set("routes", whole(state.routes.size()));
        interfaces.push(std::move(item));
    }
    return interfaces;
}

static Json membership_json(const ReportInputs& in) {
    Json json{Json::Object{}};
    json.set("engine", in.membership.engine);
    json.set("members", whole(in.members.size()));
    json.set("unchecked", whole(in.claims));
    json.set("refused", whole(in.refused));
    json.set("revision", whole(in.membership.revision));
    json.set("document_serial", whole(in.document_serial));
    if (in.membership.heard)
        json.set("heard_seconds_ago", seconds_of(in.now - *in.membership.heard));
    if (!in.membership.source.empty()) json.set("source", in.membership.source);
    if (!in.membership.problem.empty()) json.set("problem", in.membership.problem);
    return json;
}

// Serf beside the gateways' feed.
static Json serf_json(const MembershipStatus& serf, Instant now) {
    Json json{Json::Object{}};
    json.set("agent", serf.source);
    json.set("members", whole(serf.revision));
    if (serf.heard) json.set("heard_seconds_ago", seconds_of(now - *serf.heard));
    if (!serf.problem.empty()) json.set("problem", serf.problem);
    return json;
}

static Json datagrams_json(const ReportInputs& in) {
    Json json{Json::Object{}};
    json.set("sent", whole(in.datagrams_sent));
    json.set("received", whole(in.datagrams_received));
    json.set("refused", whole(in.datagrams_refused));
    json.set("failed", whole(in.datagrams_failed));
    return json;
}

Json status_of(const ReportInputs& in) {
    Json peers{Json::Array{}}, others{Json::Array{}}, warnings{Json::Array{}};
    for (const mesh::PeerReport& peer : in.peers)
        (peer.tier ? peers : others).push(peer_json(peer, in));
    for (const std::string& warning : in.warnings) warnings.push(warning);
    Json json{Json::Object{}};
    json.set("version", 1);
    json.set("time", to_rfc3339(in.wall));
    json.set("node", in.hand_off.node.base64());
    json.set("overlay_address", in.hand_off.overlay_address.text());
    json.set("role", name_of(in.hand_off.role));
    if (const auto own = parse_attestation(in.hand_off.attestation))
        json.set("attested_until", to_rfc3339(own->not_after));
    json.set("membership", membership_json(in));
    if (in.serf) json.set("serf", serf_json(*in.serf, in.now));
    json.set("changes_last_round", whole(in.changes));
    json.set("datagrams", datagrams_json(in));
    json.set("interfaces", interfaces_json(in));
    json.set("peers", std::move(peers));
    json.set("others", std::move(others));
    json.set("warnings", std::move(warnings));
    return json;
}

// --- for people ---------------------------------------------------------------------------------

static std::string text_in(const Json& json, std::string_view name) {
    const Json* value = json.find(name);
    if (!value) return {};
    if (const auto* text = value->string()) return *text;
    if (const auto* number = value->number()) return std::to_string(*number);
    return {};
}

static std::optional<std::int64_t> number_in(const Json& json, std::string_view name) {
    const Json* value = json.find(name);
    const auto* number = value ? value->number() : nullptr;
    return number ? std::optional(*number) : std::nullopt;
}

static const Json::Array& array_in(const Json& json, std::string_view name) {
    static const Json::Array none;
    const Json* value = json.find(name);
    const auto* array = value ? value->array() : nullptr;
    return array ? *array : none;
}

static std::string age_of(std::optional<std::int64_t> seconds) {
    return seconds ? to_text(std::chrono::seconds{*seconds}) : "";
}

static std::string bytes_text(std::optional<std::int64_t> bytes) {
    if (!bytes) return {};
    static constexpr std::string_view units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    std::int64_t value = *bytes;
    std::size_t unit = 0;
    for (; value >= 10'000 && unit + 1 < std::size(units); ++unit) value /= 1024;
    return std::to_string(value) + " " + std::string(units[unit]);
}

static std::string name_of_peer(const Json& peer) {
    const std::string name = text_in(peer, "hostname");
    return name.empty() ? text_in(peer, "role") : name;
}

static std::string rtt_of(const Json& peer) {
    const auto rtt = number_in(peer, "rtt_us");
    if (!rtt) return {};
    return std::to_string(*rtt / 1000) + "." + std::to_string(*rtt % 1000 / 100) + " ms";
}

static std::string peers_text(const Json& status) {
    std::vector<std::vector<std::string>> rows;
    for (const Json& peer : array_in(status, "peers"))
        rows.push_back({text_in(peer, "overlay_address"), name_of_peer(peer), text_in(peer, "tier"),
                        text_in(peer, "link"), text_in(peer, "path"), rtt_of(peer),
                        age_of(number_in(peer, "handshake_age_seconds")),
                        bytes_text(number_in(peer, "rx_bytes")),
                        bytes_text(number_in(peer, "tx_bytes")), text_in(peer, "endpoint"),
                        text_in(peer, "reason")});
    return to_table({"PEER", "NAME", "TIER", "LINK", "PATH", "RTT", "HANDSHAKE", "RECEIVED", "SENT",
                     "ENDPOINT", "WHY"},
                    rows);
}

static std::string others_text(const Json& status) {
    std::vector<std::vector<std::string>> rows;
    for (const Json& peer : array_in(status, "others"))
        rows.push_back({text_in(peer, "overlay_address"), name_of_peer(peer), rtt_of(peer),
                        text_in(peer, "reason")});
    return rows.empty() ? "" : "\n" + to_table({"NO PEER", "NAME", "RTT", "WHY"}, rows);
}

static std::string membership_text(const Json& status) {
    const Json* found = status.find("membership");
    if (!found) return {};
    std::string text = text_in(*found, "members") + " members by the " + text_in(*found, "engine") +
                       " engine, revision " + text_in(*found, "revision") + ", org document " +
                       text_in(*found, "document_serial");
    if (const auto heard = number_in(*found, "heard_seconds_ago"))
        text += ", heard " + age_of(heard) + " ago from " + text_in(*found, "source");
    else
        text += ", nobody heard yet";
    const std::string problem = text_in(*found, "problem");
    return problem.empty() ? text : text + "\n           not now: " + problem;
}

static std::string serf_text(const Json& status) {
    const Json* found = status.find("serf");
    if (!found) return {};
    const std::string problem = text_in(*found, "problem");
    return "serf       " +
           (problem.empty() ? text_in(*found, "members") + " members known to the agent at " +
                                  text_in(*found, "agent")
                            : problem) +
           "\n";
}

std::string status_text(const Json& status) {
    std::string text;
    text += "node       " + text_in(status, "overlay_address") + ", " + text_in(status, "role") +
            ", " + text_in(status, "node") + "\n";
    text += "attested   until " + text_in(status, "attested_until") + "\n";
    text += "members    " + membership_text(status) + "\n";
    text += serf_text(status);
    text += "as of      " + text_in(status, "time") + "\n";
    for (const Json& warning : array_in(status, "warnings"))
        if (const auto* words = warning.string()) text += "warning    " + *words + "\n";
    return text + "\n" + peers_text(status) + others_text(status);
}

// --- for collectors -----------------------------------------------------------------------------

static void add(std::vector<MetricFamily>& families, std::string name, MetricType type,
                std::string help, std::optional<std::int64_t> value) {
    if (value) families.push_back({std::move(name), type, std::move(help), {{.value = *value}}});
}

static void add_peers(std::vector<MetricFamily>& families, const Json& status) {
    struct Kind {
        std::string_view member, name, help;
        MetricType type;
    };
    static constexpr Kind kinds[] = {
        {"rx_bytes", "fortros_peer_received_bytes_total", "Received from a peer.",
         MetricType::Counter},
        {"tx_bytes", "fortros_peer_sent_bytes_total", "Sent to a peer.", MetricType::Counter},
        {"handshake_age_seconds", "fortros_peer_handshake_age_seconds",
         "Since the last handshake with a peer.", MetricType::Gauge},
        {"rtt_us", "fortros_peer_rtt_microseconds", "To a peer and back.", MetricType::Gauge},
    };
    for (const Kind& kind : kinds) {
        MetricFamily family{std::string(kind.name), kind.type, std::string(kind.help)};
        for (const Json& peer : array_in(status, "peers"))
            if (const auto value = number_in(peer, kind.member))
                family.samples.push_back(
                    {{{"peer", text_in(peer, "overlay_address")}, {"tier", text_in(peer, "tier")}},
                     *value});
        families.push_back(std::move(family));
    }
}

static void add_tiers(std::vector<MetricFamily>& families, const Json& status) {
    MetricFamily family{"fortros_peers", MetricType::Gauge, "Peers, by tier and by path."};
    std::map<std::pair<std::string, std::string>, std::int64_t> counts;
    for (const Json& peer : array_in(status, "peers"))
        ++counts[{text_in(peer, "tier"), text_in(peer, "path")}];
    for (const auto& [kind, count] : counts)
        family.samples.push_back({{{"tier", kind.first}, {"path", kind.second}}, count});
    families.push_back(std::move(family));
}

std::string metrics_text(const Json& status) {
    std::vector<MetricFamily> families;
    const Json none{Json::Object{}};
    const Json* found = status.find("membership");
    const Json& membership = found ? *found : none;
    const Json* said = status.find("datagrams");
    const Json& datagrams = said ? *said : none;
    add(families, "fortros_members", MetricType::Gauge, "Members that this node knows.",
        number_in(membership, "members"));
    add(families, "fortros_members_unchecked", MetricType::Gauge,
        "Claims of membership that wait to be checked.", number_in(membership, "unchecked"));
    add(families, "fortros_members_refused_total", MetricType::Counter,
        "Claims of membership that did not check.", number_in(membership, "refused"));
    add(families, "fortros_membership_heard_seconds_ago", MetricType::Gauge,
        "Since membership was known to be up to date.", number_in(membership, "heard_seconds_ago"));
    add(families, "fortros_datagrams_sent_total", MetricType::Counter, "Said to other maintainers.",
        number_in(datagrams, "sent"));
    add(families, "fortros_datagrams_received_total", MetricType::Counter,
        "Heard from other maintainers.", number_in(datagrams, "received"));
    add(families, "fortros_datagrams_refused_total", MetricType::Counter,
        "Datagrams that were not authentic, or not a member's.", number_in(datagrams, "refused"));
    add(families, "fortros_warnings", MetricType::Gauge, "What status warns of.",
        static_cast<std::int64_t>(array_in(status, "warnings").size()));
    add_tiers(families, status);
    add_peers(families, status);
    return to_text(families, Exposition::OpenMetrics);
}

}  // namespace fortros
