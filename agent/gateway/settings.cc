#include "gateway/settings.h"

#include <filesystem>

#include "core/ini.h"
#include "core/overlay_plan.h"
#include "core/setting_values.h"
#include "os/files.h"

namespace fortros::gateway {

static constexpr Duration shortest_invite = 1min;
static constexpr Duration longest_invite = 366 * one_day;
// Nobody but this host: there is no TLS.
static constexpr std::string_view default_operate_address = "127.0.0.1:9543";
static constexpr std::uint16_t default_operate_port = 9543;
static constexpr std::string_view default_database = "/var/lib/fortros/gateway.db";
static constexpr std::size_t etcd_endpoints_limit = 9;
static constexpr std::size_t etcd_prefix_limit = 128;
static constexpr std::size_t endpoints_limit = 8;  // as in core/messages.cc: an answer's

// --- values ---

static Result<std::string> file_setting(std::string_view text) {
    if (text.empty() || text.ends_with('/'))
        return fail(ErrorCode::InvalidSettings, "must be the name of a file");
    return std::string(text);
}

static Result<Endpoint> listen_setting(std::string_view text) {
    const auto endpoint = Endpoint::parse(text, 443);
    if (!endpoint || endpoint->address.is_multicast())
        return not_a("an address to listen on (192.0.2.1:443, [::]:443)", text);
    return *endpoint;
}

static Result<OperateAddress> operate_setting(std::string_view text) {
    if (text.starts_with('/')) return TRY(file_setting(text));
    const auto endpoint = Endpoint::parse(text, default_operate_port);
    if (!endpoint || endpoint->address.is_multicast())
        return not_a("an address or a path to listen at (127.0.0.1:9543, /run/gateway.sock)", text);
    return *endpoint;
}

Result<Endpoint> wireguard_endpoint_setting(std::string_view text) {
    const auto endpoint = Endpoint::parse(text, 51820);
    // A node refuses these, too: they are no address of another host.
    if (!endpoint || endpoint->address.is_unspecified() || endpoint->address.is_multicast() ||
        endpoint->address.is_loopback() || endpoint->address.is_link_local())
        return not_a("an address that nodes can reach (192.0.2.1:51820, [2001:db8::1]:51820)",
                     text);
    return *endpoint;
}

static Result<std::uint16_t> port_setting(std::string_view text) {
    return static_cast<std::uint16_t>(TRY(number_setting(text, 1, UINT16_MAX)));
}

static Result<std::uint16_t> keepalive_setting(std::string_view text) {
    return static_cast<std::uint16_t>(TRY(number_setting(text, 0, UINT16_MAX)));
}

static Result<std::uint32_t> mtu_setting(std::string_view text) {
    return number_setting(text, 1280, 9000);
}

static Result<Duration> lifetime_setting(std::string_view text) {
    return duration_setting(text, shortest_invite, longest_invite);
}

static Result<ApprovalRule> approval_setting(std::string_view text) {
    return choice_setting<ApprovalRule>(text, {{"yes", ApprovalRule::Always},
                                               {"no", ApprovalRule::Never},
                                               {"several-uses", ApprovalRule::SeveralUses}});
}

static Result<GuardMode> guard_setting(std::string_view text) {
    return choice_setting<GuardMode>(
        text, {{"nftables", GuardMode::Nftables}, {"none", GuardMode::None}});
}

static Result<OrgPrefix> prefix_setting(std::string_view text) {
    const auto prefix = OrgPrefix::parse(text);
    if (!prefix) return not_a("an org's prefix (fdXX:XXXX:XXXX::/48)", text);
    return *prefix;
}

// Without TLS only on this host: what passes here decides who is a member.
static Result<EtcdEndpoint> etcd_endpoint_setting(std::string_view text) {
    static constexpr std::string_view tls = "https://", plain = "http://";
    const bool has_tls = text.starts_with(tls);
    if (has_tls || text.starts_with(plain)) {
        const auto address = text.substr(has_tls ? tls.size() : plain.size());
        const auto endpoint = Endpoint::parse(address, 2379);
        if (endpoint && !has_tls && !endpoint->address.is_loopback())
            return fail(ErrorCode::InvalidSettings,
                        endpoint->text() + " is on another host, and needs https://");
        if (endpoint && !endpoint->address.is_multicast() && !endpoint->address.is_unspecified())
            return EtcdEndpoint{has_tls ? EtcdTransport::Tls : EtcdTransport::Plain, *endpoint};
    }
    return not_a("a member of etcd (https://192.0.2.1:2379, https://[2001:db8::1]:2379)", text);
}

static Result<std::string> etcd_prefix_setting(std::string_view text) {
    const bool is_plain = text.find_first_not_of(
                              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                              "0123456789-_./") == std::string_view::npos;
    if (!text.starts_with('/') || text.ends_with('/') || text.size() > etcd_prefix_limit ||
        !is_plain)
        return not_a("the prefix of keys in etcd (/fortros)", text);
    return std::string(text);
}

template <auto Member, auto Parse>
static Status assign_etcd(GatewaySettings& settings, std::string_view text) {
    return assign_setting<Member, Parse>(settings.etcd, text);
}

static Status append_etcd_endpoint(GatewaySettings& settings, std::string_view text) {
    return append_setting<&EtcdSettings::endpoints, etcd_endpoint_setting>(settings.etcd, text);
}

std::string text_of(const OperateAddress& address) {
    const auto* endpoint = std::get_if<Endpoint>(&address);
    return endpoint != nullptr ? endpoint->text() : std::get<std::string>(address);
}

// --- files ---

using G = GatewaySettings;

static constexpr IniKey<G> gateway_keys[] = {
    {"Gateway", "Name", assign_setting<&G::name, host_name_setting>},
    {"Gateway", "Listen", append_setting<&G::listen, listen_setting>},
    {"Gateway", "Certificate", assign_setting<&G::certificate, file_setting>},
    {"Gateway", "CertificateKey", assign_setting<&G::certificate_key, file_setting>},
    {"Gateway", "CA", assign_setting<&G::ca, file_setting>},
    {"Gateway", "Database", assign_setting<&G::database, file_setting>},
    {"Gateway", "OrgFile", assign_setting<&G::org_file, file_setting>},
    {"Gateway", "SignerCertificate", assign_setting<&G::signer_certificate, file_setting>},
    {"Gateway", "SignerKey", assign_setting<&G::signer_key, file_setting>},
    {"WireGuard", "PrivateKey", assign_setting<&G::private_key, file_setting>},
    {"WireGuard", "ListenPort", assign_setting<&G::listen_port, port_setting>},
    {"WireGuard", "Endpoints", append_setting<&G::endpoints, wireguard_endpoint_setting>},
    {"WireGuard", "MTU", assign_setting<&G::mtu, mtu_setting>},
    {"WireGuard", "Keepalive", assign_setting<&G::keepalive_seconds, keepalive_setting>},
    {"WireGuard", "Manage", assign_setting<&G::manage, boolean_setting>},
    {"WireGuard", "Guard", assign_setting<&G::guard, guard_setting>},
    {"WireGuard", "Relay", assign_setting<&G::relay, boolean_setting>},
    {"Etcd", "Endpoints", append_etcd_endpoint},
    {"Etcd", "CA", assign_etcd<&EtcdSettings::ca, file_setting>},
    {"Etcd", "Certificate", assign_etcd<&EtcdSettings::certificate, file_setting>},
    {"Etcd", "CertificateKey", assign_etcd<&EtcdSettings::certificate_key, file_setting>},
    {"Etcd", "Prefix", assign_etcd<&EtcdSettings::prefix, etcd_prefix_setting>},
    {"PreviousWireGuard", "PrivateKey", assign_setting<&G::previous_private_key, file_setting>},
    {"PreviousWireGuard", "ListenPort", assign_setting<&G::previous_listen_port, port_setting>},
    {"Operate", "Listen", append_setting<&G::operate_listen, operate_setting>},
    {"Invites", "DefaultLifetime", assign_setting<&G::invite_lifetime, lifetime_setting>},
    {"Invites", "Approval", assign_setting<&G::approval, approval_setting>},
};

static constexpr IniKey<OrgSettings> org_keys[] = {
    {"Organisation", "Prefix", assign_setting<&OrgSettings::prefix, prefix_setting>},
    {"Organisation", "Domain", assign_setting<&OrgSettings::domain, host_name_setting>},
    {"Organisation", "GatewayName", assign_setting<&OrgSettings::gateway_name, host_name_setting>},
};

static std::unexpected<Error> bad(const std::string& path, std::string_view why) {
    return fail(ErrorCode::InvalidSettings, path + ": " + std::string(why));
}

static void make_absolute(std::string& file, const std::string& settings_path) {
    const std::filesystem::path path(file);
    if (!path.is_relative()) return;
    std::error_code failed;  // then the path stays as it is, relative to wherever we are
    const auto settings = std::filesystem::absolute(settings_path, failed);
    file = (settings.parent_path() / path).string();
}

// One registry: which of two would be meant, nobody could tell.
static Status check_store(GatewaySettings& settings, const std::string& path) {
    EtcdSettings& etcd = settings.etcd;
    if (etcd.endpoints.empty()) {
        if (!etcd.ca.empty() || !etcd.certificate.empty() || !etcd.certificate_key.empty())
            return bad(path, "[Etcd] needs Endpoints=: the members of the cluster");
        if (settings.database.empty()) settings.database = default_database;
        make_absolute(settings.database, path);
        return {};
    }
    if (!settings.database.empty())
        return bad(path,
                   "[Gateway] Database= and [Etcd] Endpoints=: the registry is in one of them");
    if (etcd.endpoints.size() > etcd_endpoints_limit)
        return bad(path, "[Etcd] Endpoints= names more than " +
                             std::to_string(etcd_endpoints_limit) + " members");
    if (etcd.certificate.empty() != etcd.certificate_key.empty())
        return bad(path, "[Etcd] Certificate= and CertificateKey= belong together");
    for (const auto& endpoint : etcd.endpoints)
        if (endpoint.transport == EtcdTransport::Tls && etcd.ca.empty())
            return bad(path, "[Etcd] CA= is required for " + endpoint.text());
    for (auto* file : {&etcd.ca, &etcd.certificate, &etcd.certificate_key})
        if (!file->empty()) make_absolute(*file, path);
    return {};
}

// Two keys are two tunnels; what nodes are told must lead to the new one.
static Status check_previous(const GatewaySettings& settings, const std::string& path) {
    if (settings.previous_private_key.empty() && settings.previous_listen_port == 0) return {};
    const std::string port = std::to_string(settings.previous_listen_port);
    if (settings.previous_private_key.empty())
        return bad(path, "[PreviousWireGuard] PrivateKey= is required");
    if (settings.previous_listen_port == 0)
        return bad(path, "[PreviousWireGuard] ListenPort= is required: the port of the old key");
    if (settings.previous_private_key == settings.private_key)
        return bad(path, "[PreviousWireGuard] PrivateKey= is that of [WireGuard]");
    if (settings.previous_listen_port == settings.listen_port)
        return bad(path, "[PreviousWireGuard] ListenPort=" + port +
                             " is that of [WireGuard]: each key needs a port of its own");
    for (const auto& endpoint : settings.endpoints)
        if (endpoint.port == settings.previous_listen_port)
            return bad(path,
                       "[WireGuard] Endpoints=: at " + endpoint.text() +
                           " is the key of [PreviousWireGuard], and nodes need the new one's");
    return {};
}

Result<GatewaySettings> parse_gateway_settings(std::string_view text, const std::string& path) {
    GatewaySettings settings;
    TRY(read_ini<GatewaySettings>(text, path, gateway_keys, settings));
    TRY(check_store(settings, path));
    if (settings.listen.empty()) settings.listen = {*Endpoint::parse("[::]:443")};
    if (settings.operate_listen.empty())
        settings.operate_listen = {*Endpoint::parse(default_operate_address)};
    if (settings.endpoints.empty())
        return bad(path,
                   "[WireGuard] Endpoints= is required: the addresses at which nodes reach "
                   "this gateway's WireGuard");
    if (settings.endpoints.size() > endpoints_limit)
        return bad(path, "[WireGuard] Endpoints= names more than " +
                             std::to_string(endpoints_limit) + " addresses");
    for (auto file : {&G::certificate, &G::certificate_key, &G::ca, &G::org_file,
                      &G::signer_certificate, &G::signer_key, &G::private_key})
        make_absolute(settings.*file, path);
    if (!settings.previous_private_key.empty()) make_absolute(settings.previous_private_key, path);
    TRY(check_previous(settings, path));
    return settings;
}

Result<OrgSettings> parse_org_settings(std::string_view text, const std::string& path) {
    OrgSettings org;
    TRY(read_ini<OrgSettings>(text, path, org_keys, org));
    if (!org.prefix) return bad(path, "[Organisation] Prefix= is required");
    if (org.domain.empty()) return bad(path, "[Organisation] Domain= is required");
    if (org.gateway_name.empty()) return bad(path, "[Organisation] GatewayName= is required");
    return org;
}

static Result<std::string> read_settings(const std::string& path, std::string_view remedy) {
    auto text = read_file(path, settings_file_limit);
    if (text) return std::move(*text);
    Error error = std::move(text).error();
    error.code = ErrorCode::InvalidSettings;
    error.what += " (" + std::string(remedy) + ")";
    return std::unexpected(std::move(error));
}

Result<GatewaySettings> load_gateway_settings(const std::string& path) {
    auto settings = TRY(
        parse_gateway_settings(TRY(read_settings(path, "name another file with --config")), path));
    const auto org = TRY(parse_org_settings(
        TRY(read_settings(settings.org_file, "OrgFile= names it; certs/make-org makes it")),
        settings.org_file));
    settings.prefix = *org.prefix;
    settings.domain = org.domain;
    if (settings.name.empty()) settings.name = org.gateway_name;
    if (settings.name != org.gateway_name)
        return bad(path, "[Gateway] Name=" + settings.name + " is not the GatewayName=" +
                             org.gateway_name + " of " + settings.org_file);
    for (const auto& endpoint : settings.endpoints)
        if (settings.prefix.contains(endpoint.address))
            return bad(path, "[WireGuard] Endpoints=: " + endpoint.text() +
                                 " lies inside the overlay that it should carry");
    return settings;
}

}  // namespace fortros::gateway
