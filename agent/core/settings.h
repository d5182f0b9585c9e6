// The settings of fortros-preboot: one INI file in the image, and the few words on the kernel
// command line that may narrow it. Pure: text in, a checked value out. Every error names its file
// and line; an unknown section or key is an error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "core/address.h"
#include "core/ini.h"
#include "core/overlay.h"
#include "core/source.h"

namespace fortros {

enum class StoreKind { Uefi, File, Ephemeral };

// Where a value is kept across boots: "uefi", "file:/absolute/path", "ephemeral".
struct StoreSetting {
    StoreKind kind = StoreKind::Uefi;
    std::string path{};  // for File
    bool operator==(const StoreSetting&) const = default;
};
Result<StoreSetting> store_setting(std::string_view text);
std::string text_of(const StoreSetting& setting);

enum class OnFailure { Exit, Reboot, Hold };
enum class LinkMode {
    Auto,    // DHCP and IPv6 routers
    Static,  // the settings' addresses
    Adopt,   // what somebody else in the initramfs configures
};

// An 802.1Q link: tagged `id` on `parent`.
struct VlanSetting {
    std::string name;
    std::string parent;
    std::uint16_t id = 0;  // 1 to 4094
    bool operator==(const VlanSetting&) const = default;
};

enum class GuardMode { Nftables, None };

struct Settings {
    // [Organisation]
    std::string gateway_name;  // GatewayName=, required
    std::string domain;        // Domain=, default: gateway_name less its first label
    std::string ca_file = "/etc/fortros/org-ca.pem";  // CA=
    std::string invite_file = "/etc/fortros/invite";  // Invite=, need not exist once enrolled
    std::vector<Endpoint> gateways{};   // Gateways=, addresses baked in; count as cached
    std::optional<OrgPrefix> prefix{};  // Prefix=, when pinned

    // [Discovery]
    SourceSet sources = SourceSet::all();         // Sources=
    std::optional<SourceSet> sources_enrolled{};  // AfterEnrollment=; absent: all of Sources=
    bool race = true;                             // Race=
    Duration head_start = 500ms;                  // HeadStart=
    std::uint16_t port = 443;                     // Port=
    std::vector<IpAddress> public_resolvers{};    // PublicResolvers=, default Quad9 and Cloudflare
    Duration lookup_timeout = 5s;                 // LookupTimeout=
    Duration attempt_timeout = 5s;                // AttemptTimeout=

    // [Network]
    LinkMode link_mode = LinkMode::Auto;                          // Mode=
    std::vector<std::string> interfaces{"*"};                     // Interfaces=, shell patterns
    std::vector<std::vector<std::string>> narrowed_interfaces{};  // each fortros.interfaces=
    std::vector<VlanSetting> vlans{};                             // VLAN=
    std::vector<IpNetwork> static_addresses{};                    // Address=
    std::vector<IpAddress> static_gateways{};                     // Gateway=
    std::vector<IpAddress> static_resolvers{};                    // DNS=; count as DHCP-provided
    Duration link_timeout = 30s;                                  // LinkTimeout=

    // [Node]
    std::string hostname{};      // Hostname=
    StoreSetting key_store{};    // KeyStore=
    StoreSetting state_store{};  // StateStore=

    // [WireGuard]
    std::uint16_t listen_port = 0;          // ListenPort=, of fortros0; 0: the kernel's choice
    std::uint32_t mtu = 1420;               // MTU=
    Duration handshake_timeout = 10s;       // HandshakeTimeout=; 0: do not wait
    bool fast_start = true;                 // FastStart=
    GuardMode guard = GuardMode::Nftables;  // Guard=

    // [Clock]
    std::optional<WallTime> build_time{};  // BuildTime=, RFC 3339, written by the image builder
    std::chrono::days rtc_window{400};     // RtcWindow=

    // [Failure]
    Duration total_timeout = 2min;           // TotalTimeout=
    Duration approval_timeout = 30min;       // ApprovalTimeout=
    Duration retry_min = 1s;                 // RetryMin=
    Duration retry_max = 15s;                // RetryMax=
    OnFailure on_failure = OnFailure::Exit;  // OnFailure=

    // [Log]
    bool debug = false;  // Debug=
};

inline constexpr std::size_t settings_file_limit = ini_size_limit;
inline constexpr std::size_t command_line_limit = std::size_t{64} * 1024;
inline constexpr std::string_view default_settings_path = "/etc/fortros/preboot.conf";

// `file` is only for error messages. A key that repeats replaces its value; of a list it appends,
// and without a value it empties the list, as in systemd.
Result<Settings> parse_settings(std::string_view text, std::string_view file);

// Applies fortros.* of a kernel command line: fortros.sources=cached,public-dns (what both allow),
// fortros.interfaces=eth*,en* (must match both), fortros.timeout=, fortros.link_timeout=,
// fortros.debug[=yes|no]. Double quotes hold blanks together, as the kernel reads them. Anything
// else that begins with "fortros." is an error, as is a set of sources that becomes empty: a word
// meant to narrow may never be ignored. Words after "--", which the kernel leaves to init, count
// for the same reason.
Result<Settings> narrow_by_command_line(Settings settings, std::string_view command_line);

// Whether the settings can work together: InvalidSettings if a boot with them must fail. Both
// functions above end with it.
Status check_settings(const Settings& settings);

// Whether an interface's name matches the settings (and the command line, if it narrowed). VLAN=
// allows the links that it makes, and the command line may take them away like any other.
bool interface_allowed(const Settings& settings, std::string_view name);
// Whether an interface is there to carry a VLAN only: it is the parent of one, and Interfaces= does
// not have its very name.
bool only_carries_vlans(const Settings& settings, std::string_view name);

}  // namespace fortros
