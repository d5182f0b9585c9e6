#include "core/settings.h"

#include <fnmatch.h>

#include <algorithm>

#include "core/command_line.h"
#include "core/setting_values.h"

namespace fortros {

namespace {

// What the file says, while it is read: a list that was never assigned gets its default at the end,
// one that was assigned and emptied does not.
struct Draft : Settings {
    std::optional<std::vector<Source>> some_sources{};
    std::optional<std::vector<Source>> some_sources_enrolled{};
    std::optional<std::vector<std::string>> some_interfaces{};
    std::optional<std::vector<IpAddress>> some_public_resolvers{};
    std::vector<std::string> gateway_texts{};  // their default port may come later in the file
};

}  // namespace

static constexpr std::size_t interface_pattern_limit = 64;
static constexpr std::size_t interface_name_limit = 15;  // IFNAMSIZ
static constexpr std::size_t hostname_limit = 63;        // bytes: HOST_NAME_MAX is 64

// Quad9 and Cloudflare, IPv4 and IPv6 of each.
static std::vector<IpAddress> default_public_resolvers() {
    return {
        IpAddress::v4({9, 9, 9, 9}),
        IpAddress::v6({0x26, 0x20, 0, 0xfe, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfe}),
        IpAddress::v4({1, 1, 1, 1}),
        IpAddress::v6({0x26, 0x06, 0x47, 0, 0x47, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11, 0x11}),
    };
}

// Whether a packet can be sent to the address without naming a link.
static bool is_destination(const IpAddress& address) {
    return !address.is_unspecified() && !address.is_multicast() &&
           (address.is_v4() || !address.is_link_local());
}

static Result<std::string> parse_hostname(std::string_view text) {
    if (text.size() > hostname_limit) return not_a("a host name of at most 63 characters", text);
    return host_name_setting(text);
}

// The text of a gateway's endpoint, checked as far as is possible before the port is known.
static Result<std::string> parse_gateway(std::string_view text) {
    const auto endpoint = Endpoint::parse(text, 1);
    if (!endpoint || !is_destination(endpoint->address))
        return not_a("a gateway's address (192.0.2.1, 192.0.2.1:443, [2001:db8::1]:443)", text);
    return std::string(text);
}

static Result<OrgPrefix> parse_prefix(std::string_view text) {
    const auto prefix = OrgPrefix::parse(text);
    if (!prefix) return not_a("an org's prefix (fdXX:XXXX:XXXX::/48)", text);
    return *prefix;
}

static Result<Source> parse_source(std::string_view text) {
    const auto source = source_from(text);
    if (!source)
        return fail(ErrorCode::InvalidSettings,
                    "unknown source '" + printable(text, 40) + "' (cached, public-dns, dhcp-dns)");
    return *source;
}

static SourceSet set_of(const std::vector<Source>& sources) {
    SourceSet set;
    for (Source source : sources) set.add(source);
    return set;
}

static Result<std::uint16_t> parse_port(std::string_view text) {
    return static_cast<std::uint16_t>(TRY(number_setting(text, 1, UINT16_MAX)));
}

static Result<std::uint16_t> parse_listen_port(std::string_view text) {
    return static_cast<std::uint16_t>(TRY(number_setting(text, 0, UINT16_MAX)));
}

// 1280 is what IPv6 needs (RFC 8200 section 5).
static Result<std::uint32_t> parse_mtu(std::string_view text) {
    return number_setting(text, 1280, 9000);
}

static Result<IpAddress> parse_resolver(std::string_view text) {
    const auto address = IpAddress::parse(text);
    if (!address || !is_destination(*address)) return not_a("a resolver's address", text);
    return *address;
}

static Result<Duration> parse_timeout(std::string_view text) {
    return duration_setting(text, 100ms, one_day);
}

static Result<Duration> parse_timeout_or_none(std::string_view text) {
    return duration_setting(text, 0s, one_day);
}

static Result<Duration> parse_boot_timeout(std::string_view text) {
    return duration_setting(text, 1s, 366 * one_day);
}

static Result<LinkMode> parse_link_mode(std::string_view text) {
    return choice_setting<LinkMode>(
        text, {{"auto", LinkMode::Auto}, {"static", LinkMode::Static}, {"adopt", LinkMode::Adopt}});
}

static Result<std::string> parse_interface_pattern(std::string_view text) {
    if (text.empty() || text.size() > interface_pattern_limit || text.contains('/') ||
        text != printable(text))
        return not_a("an interface's name or pattern (eth0, en*)", text);
    return std::string(text);
}

static bool is_interface_name(std::string_view text) {
    return !text.empty() && text.size() <= interface_name_limit && text != "." && text != ".." &&
           text.find_first_of("/: \t") == std::string_view::npos && text == printable(text);
}

// eth0.7 (as ip(8) and ifupdown name it), or NAME:PARENT:ID.
static Result<VlanSetting> parse_vlan(std::string_view text) {
    VlanSetting vlan;
    std::string_view id;
    const auto parts = split(text, ':');
    const std::size_t dot = text.rfind('.');
    if (parts.size() == 3) {
        vlan = {.name = std::string(parts[0]), .parent = std::string(parts[1])};
        id = parts[2];
    } else if (parts.size() == 1 && dot != std::string_view::npos) {
        vlan = {.name = std::string(text), .parent = std::string(text.substr(0, dot))};
        id = text.substr(dot + 1);
    }
    vlan.id = parse_number<std::uint16_t>(id).value_or(0);
    if (!is_interface_name(vlan.name) || !is_interface_name(vlan.parent) || vlan.id < 1 ||
        vlan.id > 4094 || vlan.name == vlan.parent)
        return not_a("a VLAN (eth0.7, or NAME:PARENT:ID as lan7:eth0:7)", text);
    return vlan;
}

// A forgotten prefix length would cut the node off from its router: it must be there.
static Result<IpNetwork> parse_link_address(std::string_view text) {
    const auto network = IpNetwork::parse(text);
    if (!network || !text.contains('/') || network->length == 0 ||
        network->address.is_unspecified() || network->address.is_multicast())
        return not_a("an address with its prefix length (192.0.2.7/24)", text);
    return *network;
}

static Result<IpAddress> parse_router(std::string_view text) {
    const auto address = IpAddress::parse(text);
    if (!address || address->is_unspecified() || address->is_multicast())
        return not_a("a router's address", text);
    return *address;
}

Result<StoreSetting> store_setting(std::string_view text) {
    if (text == "uefi") return StoreSetting{StoreKind::Uefi};
    if (text == "ephemeral") return StoreSetting{StoreKind::Ephemeral};
    if (!text.starts_with("file:")) return not_a("one of uefi, file:/PATH, ephemeral", text);
    return StoreSetting{StoreKind::File, TRY(path_setting(text.substr(5)))};
}

std::string text_of(const StoreSetting& setting) {
    switch (setting.kind) {
        case StoreKind::Uefi: return "uefi";
        case StoreKind::File: return "file:" + setting.path;
        case StoreKind::Ephemeral: break;
    }
    return "ephemeral";
}

static Result<GuardMode> parse_guard(std::string_view text) {
    return choice_setting<GuardMode>(
        text, {{"nftables", GuardMode::Nftables}, {"none", GuardMode::None}});
}

static Result<WallTime> parse_time(std::string_view text) {
    const auto time = from_rfc3339(text);
    if (!time) return not_a("a time in UTC (2026-11-22T10:00:00Z)", text);
    return *time;
}

static Result<std::chrono::days> parse_days(std::string_view text) {
    const auto span = parse_duration(text);
    if (!span || *span < one_day || *span % one_day != Duration{})
        return not_a("a number of days (400d)", text);
    return std::chrono::duration_cast<std::chrono::days>(*span);
}

static Result<OnFailure> parse_on_failure(std::string_view text) {
    return choice_setting<OnFailure>(
        text,
        {{"exit", OnFailure::Exit}, {"reboot", OnFailure::Reboot}, {"hold", OnFailure::Hold}});
}

static constexpr IniKey<Draft> keys[] = {
    {"Organisation", "GatewayName", assign_setting<&Draft::gateway_name, host_name_setting>},
    {"Organisation", "Domain", assign_setting<&Draft::domain, host_name_setting>},
    {"Organisation", "CA", assign_setting<&Draft::ca_file, path_setting>},
    {"Organisation", "Invite", assign_setting<&Draft::invite_file, path_setting>},
    {"Organisation", "Gateways", append_setting<&Draft::gateway_texts, parse_gateway>},
    {"Organisation", "Prefix", assign_setting<&Draft::prefix, parse_prefix>},
    {"Discovery", "Sources", append_setting<&Draft::some_sources, parse_source>},
    {"Discovery", "AfterEnrollment", append_setting<&Draft::some_sources_enrolled, parse_source>},
    {"Discovery", "Race", assign_setting<&Draft::race, boolean_setting>},
    {"Discovery", "HeadStart", assign_setting<&Draft::head_start, parse_timeout_or_none>},
    {"Discovery", "Port", assign_setting<&Draft::port, parse_port>},
    {"Discovery", "PublicResolvers", append_setting<&Draft::some_public_resolvers, parse_resolver>},
    {"Discovery", "LookupTimeout", assign_setting<&Draft::lookup_timeout, parse_timeout>},
    {"Discovery", "AttemptTimeout", assign_setting<&Draft::attempt_timeout, parse_timeout>},
    {"Network", "Mode", assign_setting<&Draft::link_mode, parse_link_mode>},
    {"Network", "Interfaces", append_setting<&Draft::some_interfaces, parse_interface_pattern>},
    {"Network", "VLAN", append_setting<&Draft::vlans, parse_vlan>},
    {"Network", "Address", append_setting<&Draft::static_addresses, parse_link_address>},
    {"Network", "Gateway", append_setting<&Draft::static_gateways, parse_router>},
    {"Network", "DNS", append_setting<&Draft::static_resolvers, parse_resolver>},
    {"Network", "LinkTimeout", assign_setting<&Draft::link_timeout, parse_timeout>},
    {"Node", "Hostname", assign_setting<&Draft::hostname, parse_hostname>},
    {"Node", "KeyStore", assign_setting<&Draft::key_store, store_setting>},
    {"Node", "StateStore", assign_setting<&Draft::state_store, store_setting>},
    {"WireGuard", "ListenPort", assign_setting<&Draft::listen_port, parse_listen_port>},
    {"WireGuard", "MTU", assign_setting<&Draft::mtu, parse_mtu>},
    {"WireGuard", "HandshakeTimeout",
     assign_setting<&Draft::handshake_timeout, parse_timeout_or_none>},
    {"WireGuard", "FastStart", assign_setting<&Draft::fast_start, boolean_setting>},
    {"WireGuard", "Guard", assign_setting<&Draft::guard, parse_guard>},
    {"Clock", "BuildTime", assign_setting<&Draft::build_time, parse_time>},
    {"Clock", "RtcWindow", assign_setting<&Draft::rtc_window, parse_days>},
    {"Failure", "TotalTimeout", assign_setting<&Draft::total_timeout, parse_boot_timeout>},
    {"Failure", "ApprovalTimeout", assign_setting<&Draft::approval_timeout, parse_boot_timeout>},
    {"Failure", "RetryMin", assign_setting<&Draft::retry_min, parse_timeout>},
    {"Failure", "RetryMax", assign_setting<&Draft::retry_max, parse_timeout>},
    {"Failure", "OnFailure", assign_setting<&Draft::on_failure, parse_on_failure>},
    {"Log", "Debug", assign_setting<&Draft::debug, boolean_setting>},
};

// Gives what was left out its default, where that depends on something else.
static void fill_in(Draft& draft) {
    if (draft.domain.empty()) {
        const auto dot = draft.gateway_name.find('.');
        if (dot != std::string::npos) draft.domain = draft.gateway_name.substr(dot + 1);
    }
    for (const auto& text : draft.gateway_texts)
        if (auto endpoint = Endpoint::parse(text, draft.port)) draft.gateways.push_back(*endpoint);
    if (draft.some_sources) draft.sources = set_of(*draft.some_sources);
    if (draft.some_sources_enrolled) draft.sources_enrolled = set_of(*draft.some_sources_enrolled);
    if (draft.some_interfaces) draft.interfaces = std::move(*draft.some_interfaces);
    draft.public_resolvers = draft.some_public_resolvers.value_or(default_public_resolvers());
}

Result<Settings> parse_settings(std::string_view text, std::string_view file) {
    Draft draft;
    TRY(read_ini<Draft>(text, file, keys, draft));
    fill_in(draft);
    if (Status status = check_settings(draft); !status)
        return std::unexpected(std::move(status.error()).in(file));
    return Settings(std::move(draft));
}

static Status check_organisation(const Settings& settings) {
    if (settings.gateway_name.empty())
        return fail(ErrorCode::InvalidSettings, "[Organisation] GatewayName=: is required");
    if (settings.domain.empty())
        return fail(ErrorCode::InvalidSettings,
                    "[Organisation] Domain=: is required when GatewayName= has no dot");
    if (settings.gateways.size() > candidates_per_source_limit)
        return fail(ErrorCode::InvalidSettings, "[Organisation] Gateways=: more than " +
                                                    std::to_string(candidates_per_source_limit) +
                                                    " gateways");
    return {};
}

static Status check_discovery(const Settings& settings) {
    const auto bad = [](std::string_view why) {
        return fail(ErrorCode::InvalidSettings, "[Discovery] Sources=: " + std::string(why));
    };
    const SourceSet sources = settings.sources;
    if (sources.empty()) return bad("no source is left, so no gateway can be found");
    if (settings.sources_enrolled && (sources & *settings.sources_enrolled).empty())
        return fail(ErrorCode::InvalidSettings,
                    "[Discovery] AfterEnrollment=: leaves no source of Sources=");
    if (sources.has(Source::PublicDns) && settings.public_resolvers.empty())
        return bad("public-dns needs PublicResolvers=");
    if (sources == SourceSet::only(Source::Cached) && settings.gateways.empty() &&
        settings.state_store.kind == StoreKind::Ephemeral)
        return bad(
            "cached alone needs [Organisation] Gateways= or a [Node] StateStore= that lasts");
    if (sources == SourceSet::only(Source::DhcpDns) && settings.link_mode == LinkMode::Static &&
        settings.static_resolvers.empty())
        return bad("dhcp-dns alone needs [Network] DNS= in Mode=static");
    return {};
}

static Status check_network(const Settings& settings) {
    const auto bad = [](std::string_view key, std::string_view why) {
        return fail(ErrorCode::InvalidSettings,
                    std::string("[Network] ").append(key).append("=: ").append(why));
    };
    if (settings.interfaces.empty()) return bad("Interfaces", "allows no interface");
    for (std::size_t i = 0; i < settings.vlans.size(); ++i)
        for (std::size_t j = 0; j < i; ++j) {
            const VlanSetting& a = settings.vlans[i];
            const VlanSetting& b = settings.vlans[j];
            if (a.name == b.name || (a.parent == b.parent && a.id == b.id))
                return bad("VLAN", a.name + " and " + b.name + " are the same link");
        }
    if (settings.link_mode == LinkMode::Static) {
        if (settings.static_addresses.empty()) return bad("Address", "is required in Mode=static");
        for (const auto& router : settings.static_gateways)
            if (std::ranges::none_of(settings.static_addresses, [&](const IpNetwork& network) {
                    return network.address.family() == router.family();
                }))
                return bad("Gateway", router.text() + " needs an Address= of its family");
        return {};
    }
    if (!settings.static_addresses.empty()) return bad("Address", "needs Mode=static");
    if (!settings.static_gateways.empty()) return bad("Gateway", "needs Mode=static");
    if (settings.link_mode == LinkMode::Adopt) {
        if (!settings.vlans.empty())
            return bad("VLAN", "cannot be in Mode=adopt, which makes none");
        return {};
    }
    if (!settings.static_resolvers.empty()) return bad("DNS", "needs Mode=static or adopt");
    return {};
}

Status check_settings(const Settings& settings) {
    TRY(check_organisation(settings));
    TRY(check_discovery(settings));
    TRY(check_network(settings));
    if (settings.key_store.kind == StoreKind::File && settings.key_store == settings.state_store)
        return fail(ErrorCode::InvalidSettings, "[Node] StateStore=: is the file of KeyStore=");
    if (settings.retry_min > settings.retry_max)
        return fail(ErrorCode::InvalidSettings, "[Failure] RetryMin=: is longer than RetryMax=");
    return {};
}

static bool matches_any(const std::vector<std::string>& patterns, const std::string& name) {
    return std::ranges::any_of(patterns, [&](const std::string& pattern) {
        return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
    });
}

bool interface_allowed(const Settings& settings, std::string_view name) {
    const std::string text(name);
    return (matches_any(settings.interfaces, text) ||
            std::ranges::contains(settings.vlans, text, &VlanSetting::name)) &&
           std::ranges::all_of(settings.narrowed_interfaces,
                               [&](const auto& patterns) { return matches_any(patterns, text); });
}

bool only_carries_vlans(const Settings& settings, std::string_view name) {
    return std::ranges::contains(settings.vlans, name, &VlanSetting::parent) &&
           !std::ranges::contains(settings.interfaces, name);
}

// The elements of "a,b,c", each parsed; none is empty.
template <auto Parse>
static auto parse_list(std::string_view text)
    -> Result<std::vector<typename decltype(Parse(text))::value_type>> {
    std::vector<typename decltype(Parse(text))::value_type> list;
    for (std::string_view part : split(text, ',')) {
        if (list.size() == setting_list_limit)
            return fail(ErrorCode::InvalidSettings, "too many values");
        list.push_back(TRY(Parse(part)));
    }
    return list;
}

static Status narrow(Settings& settings, std::string_view key,
                     const std::optional<std::string>& value) {
    if (key == "debug") {
        settings.debug = value ? TRY(boolean_setting(*value)) : true;
        return {};
    }
    const std::string_view text = value ? std::string_view(*value) : std::string_view();
    if (key == "sources")
        settings.sources = settings.sources & set_of(TRY(parse_list<parse_source>(text)));
    else if (key == "interfaces")
        settings.narrowed_interfaces.push_back(TRY(parse_list<parse_interface_pattern>(text)));
    else if (key == "timeout")
        settings.total_timeout = TRY(parse_boot_timeout(text));
    else if (key == "link_timeout")
        settings.link_timeout = TRY(parse_timeout(text));
    else
        return fail(ErrorCode::InvalidSettings,
                    "unknown word (fortros.sources, .interfaces, .timeout, .link_timeout, .debug)");
    return {};
}

Result<Settings> narrow_by_command_line(Settings settings, std::string_view command_line) {
    static constexpr std::string_view where = "kernel command line";
    static constexpr std::string_view prefix = "fortros.";
    if (command_line.size() > command_line_limit)
        return fail(ErrorCode::InvalidSettings, std::string(where) + ": larger than 64 KiB");
    for (const auto& [key, value] : parse_command_line(command_line)) {
        if (!key.starts_with(prefix)) continue;
        if (Status status = narrow(settings, key.substr(prefix.size()), value); !status)
            return std::unexpected(
                std::move(status.error()).in(printable(key, 40) + "=").in(where));
    }
    if (Status status = check_settings(settings); !status)
        return std::unexpected(std::move(status.error()).in(where));
    return settings;
}

}  // namespace fortros
