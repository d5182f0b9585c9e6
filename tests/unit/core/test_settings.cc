#include "core/settings.h"

#include <doctest/doctest.h>

using namespace fortros;

static constexpr std::string_view minimal = "[Organisation]\nGatewayName=gw.example.org\n";

static Result<Settings> with(std::string_view more) {
    return parse_settings(std::string(minimal).append(more), "p.conf");
}

// The error's text, less the file's name.
static std::string error_of(const Result<Settings>& settings) {
    if (settings) return "none";
    CHECK(settings.error().code == ErrorCode::InvalidSettings);
    std::string text = settings.error().text();
    for (std::string_view where : {"p.conf:", "kernel command line: "})
        if (text.starts_with(where)) return text.substr(where.size());
    return "without a place: " + text;
}

static std::string error_with(std::string_view more) { return error_of(with(more)); }

static Result<Settings> narrowed(std::string_view command_line, std::string_view more = {}) {
    auto settings = with(more);
    REQUIRE(settings);
    return narrow_by_command_line(std::move(*settings), command_line);
}

static std::string texts(const auto& list) {
    std::string text;
    for (const auto& element : list) text += (text.empty() ? "" : " ") + element.text();
    return text;
}

// One line must be enough to join: everything else has a default that the README names.
TEST_CASE("only the gateway's name is required") {
    const auto settings = with("");
    REQUIRE(settings);
    CHECK(settings->gateway_name == "gw.example.org");
    CHECK(settings->domain == "example.org");
    CHECK(settings->ca_file == "/etc/fortros/org-ca.pem");
    CHECK(settings->invite_file == "/etc/fortros/invite");
    CHECK(settings->sources == SourceSet::all());
    CHECK(texts(settings->public_resolvers) == "9.9.9.9 2620:fe::fe 1.1.1.1 2606:4700:4700::1111");
    CHECK(settings->interfaces == std::vector<std::string>{"*"});
    CHECK(settings->port == 443);
    CHECK(error_of(parse_settings("", "p.conf")) == " [Organisation] GatewayName=: is required");
}

// A node that could look nowhere after its enrolment would not boot a second time.
TEST_CASE("AfterEnrollment= narrows Sources= and leaves something of it") {
    CHECK(!with("[Discovery]\nSources=cached dhcp-dns\n")->sources_enrolled);
    CHECK(error_with("[Discovery]\nSources=public-dns\nAfterEnrollment=cached\n") ==
          " [Discovery] AfterEnrollment=: leaves no source of Sources=");
    CHECK(error_with("[Discovery]\nAfterEnrollment=\n") ==
          " [Discovery] AfterEnrollment=: leaves no source of Sources=");
    CHECK(
        error_of(narrowed("fortros.sources=public-dns", "[Discovery]\nAfterEnrollment=cached\n")) ==
        "[Discovery] AfterEnrollment=: leaves no source of Sources=");
}

// Each key does what the README says, or an operator's intention is silently dropped.
TEST_CASE("every key reaches its setting") {
    const auto settings = with(R"(
Domain=Example.NET
CA=/etc/ca.pem
Invite=/run/credentials/invite
Gateways=192.0.2.1 [2001:db8::1]:8443
Gateways=2001:db8::2
Prefix=fd12:3456:789a::/48
[Discovery]
Sources=dhcp-dns cached
AfterEnrollment=cached
Race=no
HeadStart=0
Port=444
PublicResolvers=9.9.9.10 2620:fe::10
LookupTimeout=700ms
AttemptTimeout=3s
[Network]
Mode=static
Interfaces=en* eth0
Address=192.0.2.7/24 2001:db8::7/64
Gateway=192.0.2.1 fe80::1
DNS=192.0.2.53
LinkTimeout=1min
[Node]
Hostname=Node-7
KeyStore=file:/persist/key
StateStore=ephemeral
[WireGuard]
ListenPort=51820
MTU=1280
HandshakeTimeout=0
FastStart=no
Guard=none
[Clock]
BuildTime=2026-11-22T10:00:00Z
RtcWindow=2d
[Failure]
TotalTimeout=5min
ApprovalTimeout=2h
RetryMin=2s
RetryMax=2s
OnFailure=hold
[Log]
Debug=yes
)");
    CHECK(error_of(settings) == "none");
    REQUIRE(settings);
    CHECK(settings->domain == "example.net");
    CHECK(settings->sources_enrolled == SourceSet::only(Source::Cached));
    CHECK(!settings->race);
    CHECK(settings->head_start == 0s);
    CHECK(!settings->fast_start);
    CHECK(settings->approval_timeout == 2h);
    CHECK(settings->ca_file == "/etc/ca.pem");
    CHECK(settings->invite_file == "/run/credentials/invite");
    CHECK(texts(settings->gateways) == "192.0.2.1:444 [2001:db8::1]:8443 [2001:db8::2]:444");
    CHECK(settings->prefix->text() == "fd12:3456:789a::/48");
    CHECK(settings->sources.text() == "cached dhcp-dns");
    CHECK(settings->port == 444);
    CHECK(texts(settings->public_resolvers) == "9.9.9.10 2620:fe::10");
    CHECK(settings->lookup_timeout == 700ms);
    CHECK(settings->attempt_timeout == 3s);
    CHECK(settings->link_mode == LinkMode::Static);
    CHECK(settings->interfaces == std::vector<std::string>{"en*", "eth0"});
    CHECK(texts(settings->static_addresses) == "192.0.2.7/24 2001:db8::7/64");
    CHECK(texts(settings->static_gateways) == "192.0.2.1 fe80::1");
    CHECK(texts(settings->static_resolvers) == "192.0.2.53");
    CHECK(settings->link_timeout == 1min);
    CHECK(settings->hostname == "node-7");
    CHECK(settings->key_store == StoreSetting{StoreKind::File, "/persist/key"});
    CHECK(settings->state_store == StoreSetting{StoreKind::Ephemeral});
    CHECK(settings->listen_port == 51820);
    CHECK(settings->mtu == 1280);
    CHECK(settings->handshake_timeout == 0s);
    CHECK(settings->guard == GuardMode::None);
    CHECK(settings->build_time == from_rfc3339("2026-11-22T10:00:00Z"));
    CHECK(settings->rtc_window == std::chrono::days{2});
    CHECK(settings->total_timeout == 5min);
    CHECK(settings->retry_min == 2s);
    CHECK(settings->retry_max == 2s);
    CHECK(settings->on_failure == OnFailure::Hold);
    CHECK(settings->debug);
}

// A drop-in or an image builder appends to what is there; systemd's users expect exactly this.
TEST_CASE("a repeated key replaces, a repeated list grows, an empty one empties it") {
    CHECK(with("[Discovery]\nPort=1\nPort=2\n")->port == 2);
    CHECK(with("[Discovery]\nSources=cached\nSources=dhcp-dns\n")->sources.text() ==
          "cached dhcp-dns");
    CHECK(with("[Discovery]\nSources=cached\nSources=\nSources=dhcp-dns\n")->sources.text() ==
          "dhcp-dns");
    CHECK(texts(with("Gateways=192.0.2.1\nGateways=\nGateways=192.0.2.2\n")->gateways) ==
          "192.0.2.2:443");
}

// Who mistypes a setting must learn the line and what would have been right, at the build already.
TEST_CASE("a value that is none is an error with file, line, key and reason") {
    CHECK(error_with("[Discovery]\nSources=dns\n") ==
          "4: [Discovery] Sources=: unknown source 'dns' (cached, public-dns, dhcp-dns)");
    CHECK(error_with("Nonsense=1\n") == "3: [Organisation] Nonsense=: unknown key");
    CHECK(error_with("[Nonsense]\n") == "3: [Nonsense]: unknown section");

    const auto bad = [](std::string_view section, std::string_view key, std::string_view value) {
        const std::string head = "[" + std::string(section) + "]\n" + std::string(key) + "=";
        const std::string error = error_with(head + std::string(value) + "\n");
        const std::string place = "4: [" + std::string(section) + "] " + std::string(key) + "=: ";
        CAPTURE(error);
        return error.starts_with(place) && error.size() > place.size();
    };
    CHECK(bad("Organisation", "GatewayName", "192.0.2.1"));
    CHECK(bad("Organisation", "GatewayName", ""));
    CHECK(bad("Organisation", "GatewayName", "*.example.org"));
    CHECK(bad("Organisation", "Domain", "a b"));
    CHECK(bad("Organisation", "CA", "org-ca.pem"));
    CHECK(bad("Organisation", "Invite", "/etc/"));
    for (auto value : {"gw.example.org", "192.0.2.1:0", "0.0.0.0", "224.0.0.1:443", "fe80::1"})
        CHECK(bad("Organisation", "Gateways", value));
    for (auto value : {"fd12:3456:789a::/64", "2001:db8::/48", "fd12:3456:789a::1/48", "x"})
        CHECK(bad("Organisation", "Prefix", value));
    for (auto value : {"0", "65536", "-1", "https", ""}) CHECK(bad("Discovery", "Port", value));
    for (auto value : {"dns.example", "0.0.0.0", "ff02::1", "fe80::1%eth0"})
        CHECK(bad("Discovery", "PublicResolvers", value));
    for (auto value : {"0", "99ms", "25h", "fast", "-1s", ""})
        CHECK(bad("Discovery", "LookupTimeout", value));
    CHECK(bad("Discovery", "AttemptTimeout", "0"));
    CHECK(bad("Network", "Mode", "Static"));
    CHECK(bad("Network", "Interfaces", "eth0/1"));
    CHECK(bad("Network", "Interfaces", std::string(65, 'x')));
    for (auto value : {"192.0.2.7", "192.0.2.7/0", "0.0.0.0/8", "ff02::1/64", "192.0.2.7/33"})
        CHECK(bad("Network", "Address", value));
    for (auto value : {"0.0.0.0", "ff02::1", "router"}) CHECK(bad("Network", "Gateway", value));
    CHECK(bad("Network", "DNS", "x"));
    CHECK(bad("Network", "LinkTimeout", "0"));
    CHECK(bad("Node", "Hostname", "a b"));
    CHECK(bad("Node", "Hostname", std::string(40, 'a') + "." + std::string(40, 'a')));
    for (auto value : {"", "file", "file:", "file:key", "file:/", "UEFI", "tpm"})
        CHECK(bad("Node", "KeyStore", value));
    CHECK(bad("Node", "StateStore", "x"));
    CHECK(bad("WireGuard", "ListenPort", "65536"));
    for (auto value : {"1279", "9001", "1420b"}) CHECK(bad("WireGuard", "MTU", value));
    CHECK(bad("WireGuard", "HandshakeTimeout", "25h"));
    CHECK(bad("WireGuard", "Guard", "iptables"));
    for (auto value : {"2026-11-22", "yesterday", ""}) CHECK(bad("Clock", "BuildTime", value));
    for (auto value : {"0", "12h", "36h", "-1d"}) CHECK(bad("Clock", "RtcWindow", value));
    CHECK(bad("Failure", "TotalTimeout", "0"));
    CHECK(bad("Failure", "RetryMin", "0"));
    CHECK(bad("Failure", "RetryMax", "x"));
    CHECK(bad("Failure", "OnFailure", "shell"));
    CHECK(bad("Log", "Debug", "2"));
}

// Who writes the invite itself where its file's name belongs must not see it on the console.
TEST_CASE("a path that is none is not repeated") {
    CHECK(error_with("Invite=SECRET\n") ==
          "3: [Organisation] Invite=: not an absolute path of a file (/...)");
}

// Such a node would burn its whole budget at every boot: say it before the first.
TEST_CASE("settings that can't work together are refused") {
    CHECK(error_of(parse_settings("[Organisation]\nGatewayName=gw\n", "p.conf")) ==
          " [Organisation] Domain=: is required when GatewayName= has no dot");
    CHECK(error_with("[Discovery]\nSources=\n") ==
          " [Discovery] Sources=: no source is left, so no gateway can be found");
    CHECK(error_with("[Discovery]\nPublicResolvers=\n") ==
          " [Discovery] Sources=: public-dns needs PublicResolvers=");
    CHECK(error_with("[Discovery]\nPublicResolvers=\nSources=cached\n") == "none");
    CHECK(error_with("[Discovery]\nSources=cached\n[Node]\nStateStore=ephemeral\n") ==
          " [Discovery] Sources=: cached alone needs [Organisation] Gateways= or a [Node] "
          "StateStore= that lasts");
    CHECK(error_with("Gateways=192.0.2.1\n[Discovery]\nSources=cached\n[Node]\n"
                     "StateStore=ephemeral\n") == "none");
    CHECK(error_with("[Discovery]\nSources=cached\n") == "none");
    CHECK(error_with("[Network]\nMode=static\nAddress=192.0.2.7/24\n[Discovery]\n"
                     "Sources=dhcp-dns\n") ==
          " [Discovery] Sources=: dhcp-dns alone needs [Network] DNS= in Mode=static");
    CHECK(error_with("[Network]\nMode=static\nAddress=192.0.2.7/24\nDNS=192.0.2.53\n"
                     "[Discovery]\nSources=dhcp-dns\n") == "none");
    CHECK(error_with("[Discovery]\nSources=dhcp-dns\n") == "none");
    CHECK(error_with("[Network]\nMode=static\n") ==
          " [Network] Address=: is required in Mode=static");
    CHECK(error_with("[Network]\nMode=static\nAddress=192.0.2.7/24\nGateway=fe80::1\n") ==
          " [Network] Gateway=: fe80::1 needs an Address= of its family");
    CHECK(error_with("[Network]\nAddress=192.0.2.7/24\n") ==
          " [Network] Address=: needs Mode=static");
    CHECK(error_with("[Network]\nGateway=192.0.2.1\n") == " [Network] Gateway=: needs Mode=static");
    CHECK(error_with("[Network]\nDNS=192.0.2.1\n") ==
          " [Network] DNS=: needs Mode=static or adopt");
    CHECK(with("[Network]\nMode=adopt\nDNS=192.0.2.1\n")->static_resolvers.size() == 1);
    CHECK(error_with("[Network]\nMode=adopt\nAddress=192.0.2.7/24\n") ==
          " [Network] Address=: needs Mode=static");
    CHECK(error_with("[Network]\nMode=adopt\nVLAN=eth0.7\n") ==
          " [Network] VLAN=: cannot be in Mode=adopt, which makes none");
    CHECK(error_with("[Network]\nVLAN=eth0.7 lan7:eth0:7\n") ==
          " [Network] VLAN=: lan7 and eth0.7 are the same link");
    CHECK(error_with("[Network]\nInterfaces=\n") == " [Network] Interfaces=: allows no interface");
    CHECK(error_with("[Failure]\nRetryMin=16s\n") ==
          " [Failure] RetryMin=: is longer than RetryMax=");
    CHECK(error_with("[Node]\nKeyStore=file:/a\nStateStore=file:/a\n") ==
          " [Node] StateStore=: is the file of KeyStore=");
    CHECK(error_with("[Node]\nKeyStore=uefi\nStateStore=uefi\n") == "none");
}

// More addresses than discovery tries would be addresses that are never tried.
TEST_CASE("lists are bounded") {
    std::string gateways;
    for (int i = 1; i <= 17; ++i) gateways += " 192.0.2." + std::to_string(i);
    CHECK(error_with("Gateways=" + gateways + "\n") ==
          " [Organisation] Gateways=: more than 16 gateways");
    std::string patterns;
    for (int i = 0; i < 65; ++i) patterns += " eth" + std::to_string(i);
    CHECK(error_with("[Network]\nInterfaces=" + patterns + "\n") ==
          "4: [Network] Interfaces=: more than 64 values");
}

// The boot menu may take sources away; if it could add one, anybody at the keyboard could.
TEST_CASE("the command line narrows the sources and never widens them") {
    CHECK(narrowed("fortros.sources=cached,public-dns")->sources.text() == "cached public-dns");
    CHECK(narrowed("fortros.sources=cached,dhcp-dns", "[Discovery]\nSources=cached public-dns\n")
              ->sources.text() == "cached");
    CHECK(narrowed("fortros.sources=cached,dhcp-dns fortros.sources=dhcp-dns")->sources.text() ==
          "dhcp-dns");
    CHECK(error_of(narrowed("fortros.sources=dhcp-dns", "[Discovery]\nSources=cached\n")) ==
          "[Discovery] Sources=: no source is left, so no gateway can be found");
    CHECK(narrowed("quiet root=/dev/vda1")->sources == SourceSet::all());
}

// A set that the file allowed may become one that can never work, and must be refused as well.
TEST_CASE("narrowed settings are checked again") {
    CHECK(error_of(narrowed("fortros.sources=cached", "[Node]\nStateStore=ephemeral\n")) ==
          "[Discovery] Sources=: cached alone needs [Organisation] Gateways= or a [Node] "
          "StateStore= that lasts");
}

// A limit that is misspelt and ignored leaves open what its author has closed.
TEST_CASE("a word of ours that means nothing is an error") {
    const std::string known =
        "unknown word (fortros.sources, .interfaces, .timeout, .link_timeout, .debug)";
    CHECK(error_of(narrowed("fortros.source=cached")) == "fortros.source=: " + known);
    CHECK(error_of(narrowed("fortros.link-timeout=5s")) == "fortros.link-timeout=: " + known);
    CHECK(error_of(narrowed("fortros.gateway=192.0.2.1")) == "fortros.gateway=: " + known);
    CHECK(error_of(narrowed("fortros.")) == "fortros.=: " + known);
    CHECK(error_of(narrowed("fortros.sources=")) ==
          "fortros.sources=: unknown source '' (cached, public-dns, dhcp-dns)");
    CHECK(error_of(narrowed("fortros.sources")) ==
          "fortros.sources=: unknown source '' (cached, public-dns, dhcp-dns)");
    CHECK(error_of(narrowed("fortros.sources=cached,")) ==
          "fortros.sources=: unknown source '' (cached, public-dns, dhcp-dns)");
    for (auto word :
         {"fortros.interfaces", "fortros.interfaces=", "fortros.interfaces=a,,b", "fortros.timeout",
          "fortros.timeout=0", "fortros.link_timeout=x", "fortros.debug=maybe"}) {
        CAPTURE(word);
        CHECK(error_of(narrowed(word)) != "none");
    }
    CHECK(error_of(narrowed("-- fortros.nonsense=1")) == "fortros.nonsense=: " + known);
    CHECK(narrowed("nofortros.sources=x fortros=1"));
    CHECK(error_of(narrowed(std::string(command_line_limit + 1, 'x'))) == "larger than 64 KiB");
}

// A second cable in the wrong network is kept out by this.
TEST_CASE("an interface must match the file and every narrowing") {
    const auto allowed = [](std::string_view line, std::string_view name) {
        return interface_allowed(*narrowed(line, "[Network]\nInterfaces=en* eth[0-3]\n"), name);
    };
    CHECK(allowed("", "enp0s3"));
    CHECK(allowed("", "eth3"));
    CHECK_FALSE(allowed("", "eth4"));
    CHECK_FALSE(allowed("", "wlan0"));
    CHECK_FALSE(allowed("", ""));
    CHECK(allowed("fortros.interfaces=eth*,enp1*", "eth0"));
    CHECK(allowed("fortros.interfaces=eth*,enp1*", "enp1s0"));
    CHECK_FALSE(allowed("fortros.interfaces=eth*,enp1*", "enp0s3"));
    CHECK_FALSE(allowed("fortros.interfaces=*", "wlan0"));
    CHECK_FALSE(allowed("fortros.interfaces=eth* fortros.interfaces=en*", "eth0"));
    CHECK(interface_allowed(*with(""), "anything"));
}

// Someone in front of a machine that hangs must be able to shorten or lengthen the wait.
TEST_CASE("the command line sets timeouts and debugging") {
    const auto settings = narrowed("fortros.timeout=30 fortros.link_timeout=5s fortros.debug");
    REQUIRE(settings);
    CHECK(settings->total_timeout == 30s);
    CHECK(settings->link_timeout == 5s);
    CHECK(settings->debug);
    CHECK_FALSE(narrowed("fortros.debug=no", "[Log]\nDebug=yes\n")->debug);
    CHECK(narrowed("\"fortros.timeout=1min 30s\"")->total_timeout == 90s);
}

// The node would speak untagged, or on somebody else's network.
TEST_CASE("a VLAN is named after its parent, or by a name of its own") {
    const auto vlan_of = [](std::string_view text) -> std::optional<VlanSetting> {
        const auto settings = with(std::string("[Network]\nVLAN=").append(text).append("\n"));
        return settings ? std::optional{settings->vlans.at(0)} : std::nullopt;
    };
    CHECK(vlan_of("eth0.7") == VlanSetting{"eth0.7", "eth0", 7});
    CHECK(vlan_of("lan7:eth0:7") == VlanSetting{"lan7", "eth0", 7});
    CHECK(vlan_of("eth0.7.8") == VlanSetting{"eth0.7.8", "eth0.7", 8});  // a tag in a tag
    CHECK(vlan_of("eth0.4094") == VlanSetting{"eth0.4094", "eth0", 4094});
    for (const std::string_view bad :
         {"eth0", "eth0.0", "eth0.4095", "eth0.x", "eth0.", ".7", "eth0:7", "lan:eth0:7:8", "::7",
          "lan7:eth0:", "eth0:eth0:7", "a/b:eth0:7", "..:eth0:7", "sixteen-bytes.12",
          "lan7:much-too-long-name:7"}) {
        CAPTURE(bad);
        CHECK_FALSE(vlan_of(bad).has_value());
    }
}

// What the operator has excluded would be touched, or what he has asked for would be left.
TEST_CASE("a VLAN's name need not be among Interfaces=, and its parent is only a carrier") {
    auto settings = with("[Network]\nVLAN=eth0.7 lan8:eth1:8\nInterfaces=en* eth1\n");
    REQUIRE(settings);
    CHECK(interface_allowed(*settings, "eth0.7"));
    CHECK(interface_allowed(*settings, "lan8"));
    CHECK_FALSE(interface_allowed(*settings, "eth0"));
    CHECK_FALSE(interface_allowed(*settings, "eth0.8"));
    CHECK(only_carries_vlans(*settings, "eth0"));
    CHECK_FALSE(only_carries_vlans(*settings, "eth1"));  // named: it is a link as well
    CHECK_FALSE(only_carries_vlans(*settings, "eth0.7"));
    const auto less = narrow_by_command_line(*settings, "fortros.interfaces=lan*");
    REQUIRE(less);
    CHECK(interface_allowed(*less, "lan8"));
    CHECK_FALSE(interface_allowed(*less, "eth0.7"));
}
