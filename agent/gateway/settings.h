// The settings of fortros-gateway: its own INI file, and the org's that it names. Text in, checked
// values out; every error names its file and line. It opens nothing but these two files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "core/address.h"
#include "core/overlay.h"
#include "core/settings.h"
#include "gateway/etcd_settings.h"

namespace fortros::gateway {

inline constexpr std::string_view default_gateway_settings_path = "/etc/fortros/gateway.conf";

// Which invites need an admin's approval of each newcomer, where the command does not say.
enum class ApprovalRule { Always, Never, SeveralUses };

// Where the operating lane listens: an address, or a path.
using OperateAddress = std::variant<Endpoint, std::string>;
std::string text_of(const OperateAddress& address);

// Files are named by absolute paths, or relative to the folder of the settings file: a folder that
// holds everything can be moved.
struct GatewaySettings {
    // [Gateway]
    std::string name{};                       // Name=, default: the org's GatewayName=
    std::vector<Endpoint> listen{};           // Listen=, default [::]:443, which is IPv4 as well
    std::string certificate = "gateway.pem";  // Certificate=, the leaf and what links it to the CA
    std::string certificate_key = "gateway.key";  // CertificateKey=
    std::string ca = "ca.pem";                    // CA=, one or more
    std::string database{};  // Database=, default /var/lib/fortros/gateway.db; empty with etcd
    std::string org_file = "org.conf";              // OrgFile=, as certs/make-org writes it
    std::string signer_certificate = "signer.pem";  // SignerCertificate=
    std::string signer_key = "signer.key";          // SignerKey=

    // [WireGuard]
    std::string private_key = "wireguard.key";  // PrivateKey=, a file as `wg genkey` writes it
    std::uint16_t listen_port = 51820;          // ListenPort=
    std::vector<Endpoint> endpoints{};          // Endpoints=, as nodes reach it; required
    std::uint32_t mtu = 1420;                   // MTU=
    std::uint16_t keepalive_seconds = 25;       // Keepalive=, that nodes are told; 0: none
    bool manage = true;                         // Manage=; no: leaves the kernel alone, for tests
    GuardMode guard = GuardMode::Nftables;      // Guard=
    bool relay = true;                          // Relay=; no: nodes can't talk through this host

    // [PreviousWireGuard], for as long as the key is rotated
    std::string previous_private_key{};      // PrivateKey=; empty: there is none
    std::uint16_t previous_listen_port = 0;  // ListenPort=

    // [Invites]
    Duration invite_lifetime = std::chrono::days{7};    // DefaultLifetime=
    ApprovalRule approval = ApprovalRule::SeveralUses;  // Approval=, default several-uses

    // [Operate]
    std::vector<OperateAddress> operate_listen{};  // Listen=, default 127.0.0.1:9543

    // [Etcd], in the place of Database=
    EtcdSettings etcd{};

    // Of the org's file: [Organisation]
    OrgPrefix prefix;      // Prefix=
    std::string domain{};  // Domain=
};

// What the org's file says.
struct OrgSettings {
    std::optional<OrgPrefix> prefix{};
    std::string domain{};
    std::string gateway_name{};
};

// `path` is for error messages, and its folder for relative paths. The org's values are absent.
Result<GatewaySettings> parse_gateway_settings(std::string_view text, const std::string& path);
Result<OrgSettings> parse_org_settings(std::string_view text, const std::string& path);

// An address at which nodes can reach a WireGuard: "192.0.2.1:51820", or with that port "192.0.2.1".
Result<Endpoint> wireguard_endpoint_setting(std::string_view text);

// Reads and joins both files.
Result<GatewaySettings> load_gateway_settings(const std::string& path);

}  // namespace fortros::gateway
