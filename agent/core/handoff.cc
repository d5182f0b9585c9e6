#include "core/handoff.h"

#include <algorithm>
#include <cmath>

#include "base/encoding.h"

namespace fortros {

static constexpr std::size_t interfaces_limit = 64;
static constexpr std::size_t addresses_limit = 64;
static constexpr std::size_t stages_limit = 32;
static constexpr std::size_t text_limit = 4096;
static constexpr std::size_t document_text_limit = (document_size_limit + 2) / 3 * 4;
static constexpr std::int64_t latest_time = 253402300799;  // 9999-12-31
static constexpr std::string_view remembered_source = "remembered";

template <typename Values>
static Json texts_of(const Values& values) {
    Json json{Json::Array{}};
    for (const auto& value : values) json.push(value.text());
    return json;
}

static Json certificates_of(const std::vector<Bytes>& certificates) {
    Json json{Json::Array{}};
    for (const auto& certificate : certificates) json.push(to_base64(certificate));
    return json;
}

static Json node_of(const HandOff& hand_off) {
    Json json{Json::Object{}};
    json.set("public_key", hand_off.node.base64());
    json.set("overlay_address", hand_off.overlay_address.text());
    json.set("role", name_of(hand_off.role));
    json.set("hostname", hand_off.hostname);
    json.set("attestation", to_base64(hand_off.attestation));
    return json;
}

static Json gateway_of(const HandOff& hand_off) {
    Json json{Json::Object{}};
    if (!hand_off.remembered) {
        json.set("endpoint", hand_off.gateway.text());
        json.set("public_key", hand_off.gateway_key.base64());
    }
    json.set("source", hand_off.remembered ? remembered_source : name_of(hand_off.source));
    json.set("handshake_answered", hand_off.handshake_answered);
    return json;
}

// What leases of both families have. CLOCK_BOOTTIME goes on through the pivot and nobody sets it.
template <typename Lease>
static void set_lease(Json& json, const Lease& lease) {
    using std::chrono::milliseconds;
    json.set("client_id", to_hex(lease.client_id));
    json.set("lease_seconds", std::int64_t{lease.lifetime.count()});
    json.set("renew_seconds", std::int64_t{lease.renew_after.count()});
    json.set("rebind_seconds", std::int64_t{lease.rebind_after.count()});
    const auto acquired = lease.acquired.time_since_epoch();
    json.set("acquired_ms",
             std::int64_t{std::chrono::duration_cast<milliseconds>(acquired).count()});
    json.set("resolvers", texts_of(lease.resolvers));
    json.set("ntp_servers", texts_of(lease.ntp_servers));
}

static Json lease_json_of(const DhcpLease& lease) {
    Json json{Json::Object{}};
    json.set("server", lease.server.text());
    json.set("address", lease.address.text());
    if (lease.broadcast) json.set("broadcast", lease.broadcast->text());
    Json routes{Json::Array{}};
    for (const DhcpRoute& route : lease.routes) {
        Json item{Json::Object{}};
        item.set("destination", route.destination.text());
        if (!route.gateway.is_unspecified()) item.set("gateway", route.gateway.text());
        routes.push(std::move(item));
    }
    json.set("routes", std::move(routes));
    if (lease.mtu) json.set("mtu", std::int64_t{*lease.mtu});
    set_lease(json, lease);
    return json;
}

static Json lease_json_of(const Dhcp6Lease& lease) {
    Json json{Json::Object{}};
    json.set("server_id", to_hex(lease.server_id));
    json.set("iaid", std::int64_t{lease.iaid});
    if (lease.address) json.set("address", lease.address->text());
    json.set("preferred_seconds", std::int64_t{lease.preferred.count()});
    json.set("refresh_seconds", std::int64_t{lease.refresh_after.count()});
    set_lease(json, lease);
    return json;
}

static Json uplink_of(const UplinkHandOff& uplink) {
    Json json{Json::Object{}};
    json.set("ifindex", uplink.ifindex);
    json.set("name", uplink.name);
    json.set("mac", uplink.mac);
    if (uplink.vlan) {
        Json vlan{Json::Object{}};
        vlan.set("parent", uplink.vlan->parent);
        vlan.set("id", int{uplink.vlan->id});
        json.set("vlan", std::move(vlan));
    }
    json.set("addresses", texts_of(uplink.addresses));
    json.set("gateways", texts_of(uplink.gateways));
    json.set("resolvers", texts_of(uplink.resolvers));
    if (uplink.dhcp) json.set("dhcp", lease_json_of(*uplink.dhcp));
    if (uplink.reached_gateway) json.set("reached_gateway", true);
    if (uplink.dhcp6) json.set("dhcp6", lease_json_of(*uplink.dhcp6));
    return json;
}

static constexpr Source all_sources[] = {Source::Cached, Source::PublicDns, Source::DhcpDns};

static Json sources_of(SourceSet set) {
    Json json{Json::Array{}};
    for (const Source source : all_sources)
        if (set.has(source)) json.push(name_of(source));
    return json;
}

std::string to_json_text(const HandOff& hand_off) {
    Json org{Json::Object{}};
    org.set("prefix", hand_off.prefix.text());
    org.set("domain", hand_off.domain);
    org.set("gateway_name", hand_off.gateway_name);
    org.set("authorities", certificates_of(hand_off.authorities));
    org.set("signers", certificates_of(hand_off.signers));
    if (!hand_off.document.empty()) org.set("document", to_base64(hand_off.document));
    org.set("document_serial",
            static_cast<std::int64_t>(std::min<std::uint64_t>(hand_off.floor.serial, INT64_MAX)));
    org.set("signers_since", std::int64_t{hand_off.floor.signers_since.time_since_epoch().count()});

    Json interfaces{Json::Array{}};
    for (const auto& interface : hand_off.interfaces) {
        Json item = to_json(interface.plan);
        item.set("ifindex", interface.ifindex);
        interfaces.push(std::move(item));
    }
    Json peers{Json::Array{}};
    for (const auto& peer : hand_off.peers) peers.push(to_json(peer));
    Json uplinks{Json::Array{}};
    for (const auto& uplink : hand_off.uplinks) uplinks.push(uplink_of(uplink));
    Json timeline{Json::Array{}};
    for (const auto& stage : hand_off.timeline) {
        Json item{Json::Object{}};
        item.set("stage", stage.stage);
        item.set("microseconds", std::int64_t{std::llround(stage.milliseconds * 1000)});
        timeline.push(std::move(item));
    }

    Json json{Json::Object{}};
    json.set("version", 1);
    json.set("time", std::int64_t{hand_off.time.time_since_epoch().count()});
    if (!hand_off.boot_id.empty()) json.set("boot_id", hand_off.boot_id);
    json.set("node", node_of(hand_off));
    json.set("org", std::move(org));
    json.set("gateway", gateway_of(hand_off));
    json.set("gateways", texts_of(hand_off.gateways));
    json.set("state_store", text_of(hand_off.state_store));
    if (hand_off.sources) json.set("sources", sources_of(*hand_off.sources));
    json.set("guard", hand_off.guard == GuardMode::Nftables ? "nftables" : "none");
    json.set("interfaces", std::move(interfaces));
    json.set("peers", std::move(peers));
    json.set("uplinks", std::move(uplinks));
    json.set("timeline", std::move(timeline));
    return json.dump(2) + "\n";
}

// A member that must parse as a T of ours.
template <typename T>
static Result<T> read(const JsonReader& in, std::string_view name) {
    auto value = T::parse(TRY(in.string(name, text_limit)));
    if (!value) return in.bad(name, "does not parse");
    return *value;
}

template <typename T>
static Result<std::optional<T>> read_optional(const JsonReader& in, std::string_view name) {
    const auto text = TRY(in.optional_string(name, text_limit));
    if (!text) return std::nullopt;
    return TRY(read<T>(in, name));
}

template <typename T>
static Result<std::vector<T>> read_all(const JsonReader& in, std::string_view name) {
    std::vector<T> values;
    for (const Json& item : *TRY(in.array(name, addresses_limit))) {
        const auto* text = item.string();
        auto value = text ? T::parse(*text) : std::nullopt;
        if (!value) return in.bad(name, "holds something that does not parse");
        values.push_back(*value);
    }
    return values;
}

static Result<PublicKey> read_key(const JsonReader& in) {
    auto key = PublicKey::from_base64(TRY(in.string("public_key", 44)));
    if (!key) return in.bad("public_key", "is not a WireGuard key");
    return *key;
}

static Status read_node(const JsonReader& in, HandOff& out) {
    out.node = TRY(read_key(in));
    out.overlay_address = TRY(read<IpAddress>(in, "overlay_address"));
    auto role = role_from(TRY(in.string("role", 16)));
    if (!role) return in.bad("role", "is unknown");
    out.role = *role;
    out.hostname = TRY(in.string("hostname", 253));
    auto attestation = from_base64(TRY(in.string("attestation", text_limit)));
    if (!attestation) return in.bad("attestation", "is not base64");
    out.attestation = std::move(*attestation);
    return {};
}

static Status read_org(const JsonReader& in, HandOff& out) {
    out.prefix = TRY(read<OrgPrefix>(in, "prefix"));
    out.domain = TRY(in.string("domain", 253));
    out.gateway_name = TRY(in.string("gateway_name", 253));
    out.authorities = TRY(read_certificates(in, "authorities"));
    out.signers = TRY(read_certificates(in, "signers"));
    const auto document = TRY(in.optional_string("document", document_text_limit)).value_or("");
    auto bytes = from_base64(document);
    if (!bytes) return in.bad("document", "is not base64");
    out.document = std::move(*bytes);
    // Younger than version 1, too.
    out.floor.serial = static_cast<std::uint64_t>(
        TRY(in.optional_number("document_serial", 0, INT64_MAX)).value_or(0));
    out.floor.signers_since = WallTime{
        std::chrono::seconds{TRY(in.optional_number("signers_since", 0, latest_time)).value_or(0)}};
    return {};
}

static Status read_gateway(const JsonReader& in, HandOff& out) {
    const auto source_name = TRY(in.string("source", 16));
    out.handshake_answered = TRY(in.boolean("handshake_answered", false));
    out.remembered = source_name == remembered_source;
    if (out.remembered) return {};
    auto endpoint = Endpoint::parse(TRY(in.string("endpoint", text_limit)));
    if (!endpoint) return in.bad("endpoint", "is not ADDRESS:PORT");
    out.gateway = *endpoint;
    out.gateway_key = TRY(read_key(in));
    auto source = source_from(source_name);
    if (!source) return in.bad("source", "is unknown");
    out.source = *source;
    return {};
}

static Result<Bytes> read_hex(const JsonReader& in, std::string_view name) {
    auto bytes = from_hex(TRY(in.string(name, 512)));
    if (!bytes) return in.bad(name, "is not hexadecimal");
    return *std::move(bytes);
}

static Result<std::chrono::seconds> read_seconds(const JsonReader& in, std::string_view name) {
    return std::chrono::seconds{TRY(in.number(name, 0, UINT32_MAX))};
}

template <typename Lease>
static Status read_lease(const JsonReader& in, Lease& lease) {
    lease.client_id = TRY(read_hex(in, "client_id"));
    lease.lifetime = TRY(read_seconds(in, "lease_seconds"));
    lease.renew_after = TRY(read_seconds(in, "renew_seconds"));
    lease.rebind_after = TRY(read_seconds(in, "rebind_seconds"));
    constexpr std::int64_t end_of_time = INT64_MAX / 1000;  // in milliseconds
    lease.acquired =
        Instant{} + std::chrono::milliseconds{TRY(in.number("acquired_ms", 0, end_of_time))};
    lease.resolvers = TRY(read_all<IpAddress>(in, "resolvers"));
    lease.ntp_servers = TRY(read_all<IpAddress>(in, "ntp_servers"));
    return {};
}

static Result<DhcpLease> read_dhcp_lease(const JsonReader& in) {
    DhcpLease lease;
    lease.server = TRY(read<IpAddress>(in, "server"));
    lease.address = TRY(read<IpNetwork>(in, "address"));
    lease.broadcast = TRY(read_optional<IpAddress>(in, "broadcast"));
    for (const Json& json : *TRY(in.array("routes", dhcp_routes_limit))) {
        const JsonReader item(json, in.where() + ".routes");
        DhcpRoute route;
        route.destination = TRY(read<IpNetwork>(item, "destination"));
        route.gateway = TRY(read_optional<IpAddress>(item, "gateway")).value_or(IpAddress{});
        lease.routes.push_back(route);
    }
    if (const auto mtu = TRY(in.optional_number("mtu", 0, UINT16_MAX)))
        lease.mtu = static_cast<std::uint16_t>(*mtu);
    TRY(read_lease(in, lease));
    return lease;
}

static Result<Dhcp6Lease> read_dhcp6_lease(const JsonReader& in) {
    Dhcp6Lease lease;
    lease.server_id = TRY(read_hex(in, "server_id"));
    lease.iaid = static_cast<std::uint32_t>(TRY(in.number("iaid", 0, UINT32_MAX)));
    lease.address = TRY(read_optional<IpAddress>(in, "address"));
    lease.preferred = TRY(read_seconds(in, "preferred_seconds"));
    lease.refresh_after = TRY(read_seconds(in, "refresh_seconds"));
    TRY(read_lease(in, lease));
    return lease;
}

static Result<UplinkHandOff> read_uplink(const JsonReader& in) {
    UplinkHandOff uplink;
    uplink.ifindex = static_cast<unsigned>(TRY(in.number("ifindex", 1, INT32_MAX)));
    uplink.name = TRY(in.string("name", 16));
    uplink.mac = TRY(in.string("mac", 64));
    uplink.addresses = TRY(read_all<IpNetwork>(in, "addresses"));
    uplink.gateways = TRY(read_all<IpAddress>(in, "gateways"));
    uplink.resolvers = TRY(read_all<IpAddress>(in, "resolvers"));
    uplink.reached_gateway = TRY(in.boolean("reached_gateway", false));
    if (auto json = in.object("vlan")) {
        const JsonReader vlan(**json, in.where() + ".vlan");
        VlanSetting setting{.name = uplink.name};
        setting.parent = TRY(vlan.string("parent", 16));
        setting.id = static_cast<std::uint16_t>(TRY(vlan.number("id", 1, 4094)));
        uplink.vlan = std::move(setting);
    }
    if (auto json = in.object("dhcp"))
        uplink.dhcp = TRY(read_dhcp_lease(JsonReader(**json, in.where() + ".dhcp")));
    if (auto json = in.object("dhcp6"))
        uplink.dhcp6 = TRY(read_dhcp6_lease(JsonReader(**json, in.where() + ".dhcp6")));
    return uplink;
}

static Result<GuardMode> read_guard(const JsonReader& in) {
    const std::string mode = TRY(in.string("guard", 16));
    if (mode == "nftables") return GuardMode::Nftables;
    if (mode == "none") return GuardMode::None;
    return in.bad("guard", "is unknown");
}

// Younger than version 1: an older preboot does not write them.
static Status read_maintenance(const JsonReader& in, HandOff& out) {
    out.boot_id = TRY(in.optional_string("boot_id", text_limit)).value_or("");
    if (!out.boot_id.empty() && !is_boot_id(out.boot_id))
        return in.bad("boot_id", "is not 32 hexadecimal digits");
    for (const Json& item : *TRY(in.array("gateways", handoff_gateways_limit))) {
        const auto* text = item.string();
        auto endpoint = text ? Endpoint::parse(*text) : std::nullopt;
        if (!endpoint) return in.bad("gateways", "holds something that is not ADDRESS:PORT");
        out.gateways.push_back(*endpoint);
    }
    SourceSet sources;
    for (const Json& item : *TRY(in.array("sources", std::size(all_sources)))) {
        const auto* text = item.string();
        const auto source = text ? source_from(*text) : std::nullopt;
        if (!source) return in.bad("sources", "holds something that is unknown");
        sources.add(*source);
    }
    if (!sources.empty()) out.sources = sources;
    const auto store = TRY(in.optional_string("state_store", text_limit));
    if (!store) return {};
    auto setting = store_setting(*store);
    if (!setting) return in.bad("state_store", setting.error().what);
    out.state_store = std::move(*setting);
    return {};
}

static Status read_lists(const JsonReader& in, HandOff& out) {
    const auto* interfaces = TRY(in.array("interfaces", interfaces_limit));
    for (std::size_t i = 0; i < interfaces->size(); ++i) {
        const std::string where = "interfaces[" + std::to_string(i) + "]";
        const JsonReader item((*interfaces)[i], where);
        InterfaceHandOff interface;
        interface.ifindex = static_cast<unsigned>(TRY(item.number("ifindex", 1, INT32_MAX)));
        interface.plan = TRY(interface_plan_from((*interfaces)[i], where));
        out.interfaces.push_back(std::move(interface));
    }
    const auto* peers = TRY(in.array("peers", answer_peers_limit));
    for (std::size_t i = 0; i < peers->size(); ++i)
        out.peers.push_back(TRY(mesh_peer_from((*peers)[i], "peers[" + std::to_string(i) + "]")));
    const auto* uplinks = TRY(in.array("uplinks", uplinks_limit));
    for (std::size_t i = 0; i < uplinks->size(); ++i)
        out.uplinks.push_back(
            TRY(read_uplink(JsonReader((*uplinks)[i], "uplinks[" + std::to_string(i) + "]"))));
    for (const Json& json : *TRY(in.array("timeline", stages_limit))) {
        const JsonReader item(json, "timeline");
        const auto microseconds = TRY(item.number("microseconds", 0, INT64_MAX));
        auto stage = TRY(item.string("stage", 64));
        out.timeline.push_back({std::move(stage), static_cast<double>(microseconds) / 1000});
    }
    return {};
}

Result<HandOff> parse_hand_off(std::string_view text) {
    const auto json =
        TRY(Json::parse(text, {.bytes = handoff_size_limit, .depth = 8, .values = 65536}));
    const JsonReader in(json, "hand-off");
    TRY(in.number("version", 1, 1));
    HandOff out;
    out.time = WallTime{std::chrono::seconds{TRY(in.number("time", 0, latest_time))}};
    TRY(read_node(JsonReader(*TRY(in.object("node")), "node"), out));
    TRY(read_org(JsonReader(*TRY(in.object("org")), "org"), out));
    TRY(read_gateway(JsonReader(*TRY(in.object("gateway")), "gateway"), out));
    TRY(read_maintenance(in, out));
    out.guard = TRY(read_guard(in));
    TRY(read_lists(in, out));
    return out;
}

}  // namespace fortros
