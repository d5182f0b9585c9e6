#include "gateway/settings.h"

#include <filesystem>

#include "core/ini.h"
#include "core/overlay_plan.h"
#include "core/setting_values.h"
#include "os/files.h"

namespace fortros::gateway {

static constexpr Duration shortest_invite = 1min;
static constexpr Duration longest_invite = 366 * one_day;
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

static Result<Endpoint> wireguard_endpoint_setting(std::string_view text) {
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

// The name is fixed: network managers are told to leave it alone.
static Status check_interface(GatewaySettings&, std::string_view text) {
    if (text != direct_interface)
        return fail(ErrorCode::InvalidSettings,
                    "the overlay's interface is always " + std::string(direct_interface));
    return {};
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
    {"WireGuard", "Interface", check_interface},
    {"WireGuard", "PrivateKey", assign_setting<&G::private_key, file_setting>},
    {"WireGuard", "ListenPort", assign_setting<&G::listen_port, port_setting>},
    {"WireGuard", "Endpoints", append_setting<&G::endpoints, wireguard_endpoint_setting>},
    {"WireGuard", "MTU", assign_setting<&G::mtu, mtu_setting>},
    {"WireGuard", "Keepalive", assign_setting<&G::keepalive_seconds, keepalive_setting>},
    {"WireGuard", "Manage", assign_setting<&G::manage, boolean_setting>},
    {"WireGuard", "Guard", assign_setting<&G::guard, guard_setting>},
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

Result<GatewaySettings> parse_gateway_settings(std::string_view text, const std::string& path) {
    GatewaySettings settings;
    TRY(read_ini<GatewaySettings>(text, path, gateway_keys, settings));
    if (settings.listen.empty()) settings.listen = {*Endpoint::parse("[::]:443")};
    if (settings.endpoints.empty())
        return bad(path,
                   "[WireGuard] Endpoints= is required: the addresses at which nodes reach "
                   "this gateway's WireGuard");
    if (settings.endpoints.size() > endpoints_limit)
        return bad(path, "[WireGuard] Endpoints= names more than " +
                             std::to_string(endpoints_limit) + " addresses");
    for (auto file : {&G::certificate, &G::certificate_key, &G::ca, &G::database, &G::org_file,
                      &G::signer_certificate, &G::signer_key, &G::private_key})
        make_absolute(settings.*file, path);
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
