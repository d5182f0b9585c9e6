#include "gateway/settings.h"

#include <doctest/doctest.h>

#include <fstream>

#include "unit/os/temporary_directory.h"

using namespace fortros;
using namespace fortros::gateway;

namespace {

const std::string smallest = "[WireGuard]\nEndpoints=192.0.2.1\n";

std::string error_of(const std::string& text) {
    const auto settings = parse_gateway_settings(text, "/etc/fortros/gateway.conf");
    REQUIRE_MESSAGE(!settings, text);
    CHECK(settings.error().code == ErrorCode::InvalidSettings);
    return settings.error().what;
}

}  // namespace

// A gateway in a folder of its own would need a line for every file in it.
TEST_CASE("gateway settings: one line is enough, and files lie beside the settings") {
    const auto settings = parse_gateway_settings(smallest, "/srv/gw/gateway.conf");
    REQUIRE(settings);
    CHECK(settings->listen == std::vector{*Endpoint::parse("[::]:443")});
    CHECK(settings->endpoints == std::vector{*Endpoint::parse("192.0.2.1:51820")});
    CHECK(settings->certificate == "/srv/gw/gateway.pem");
    CHECK(settings->private_key == "/srv/gw/wireguard.key");
    CHECK(settings->previous_private_key.empty());
    CHECK(settings->database == "/var/lib/fortros/gateway.db");
    CHECK(settings->listen_port == 51820);
    CHECK(settings->mtu == 1420);
    CHECK(settings->manage);
    CHECK(settings->guard == GuardMode::Nftables);
    CHECK(settings->invite_lifetime == std::chrono::days{7});
    // Nobody but this host.
    CHECK(settings->operate_listen ==
          std::vector<OperateAddress>{*Endpoint::parse("127.0.0.1:9543")});
}

// An operator would ask where nobody listens, or strangers could.
TEST_CASE("gateway settings: operators have addresses and paths of their own") {
    const auto settings = parse_gateway_settings(
        smallest + "[Operate]\nListen=/run/a.sock [::1]:81\nListen=127.0.0.2\n", "/gateway.conf");
    REQUIRE(settings);
    CHECK(settings->operate_listen ==
          std::vector<OperateAddress>{"/run/a.sock", *Endpoint::parse("[::1]:81"),
                                      *Endpoint::parse("127.0.0.2:9543")});
    CHECK(text_of(settings->operate_listen[0]) == "/run/a.sock");
    CHECK(text_of(settings->operate_listen[1]) == "[::1]:81");
    for (const char* wrong : {"run/a.sock", "/run/", "localhost:81", "[ff02::1]:81"})
        CHECK(error_of(smallest + "[Operate]\nListen=" + wrong + "\n").contains("to listen at") ==
              (std::string_view(wrong) != "/run/"));
}

// A documented key would not do what it says.
TEST_CASE("gateway settings: every key is read") {
    const auto settings = parse_gateway_settings(
        "[Gateway]\nName=gw.example.org\nListen=192.0.2.1:8443 [2001:db8::1]\nListen=127.0.0.1\n"
        "Certificate=a\nCertificateKey=b\nCA=/c\nDatabase=d\nOrgFile=e\nSignerCertificate=f\n"
        "SignerKey=g\n"
        "[WireGuard]\nPrivateKey=h\nListenPort=1\nMTU=1380\nKeepalive=0\n"
        "Endpoints=192.0.2.1:5 [2001:db8::1]:6\nManage=no\nGuard=none\n"
        "[PreviousWireGuard]\nPrivateKey=i\nListenPort=2\n"
        "[Invites]\nDefaultLifetime=12h\n",
        "/x/gateway.conf");
    if (!settings) FAIL(settings.error().text());
    CHECK(settings->name == "gw.example.org");
    CHECK(settings->listen == std::vector{*Endpoint::parse("192.0.2.1:8443"),
                                          *Endpoint::parse("[2001:db8::1]:443"),
                                          *Endpoint::parse("127.0.0.1:443")});
    CHECK(settings->certificate == "/x/a");
    CHECK(settings->certificate_key == "/x/b");
    CHECK(settings->ca == "/c");
    CHECK(settings->database == "/x/d");
    CHECK(settings->org_file == "/x/e");
    CHECK(settings->signer_certificate == "/x/f");
    CHECK(settings->signer_key == "/x/g");
    CHECK(settings->private_key == "/x/h");
    CHECK(settings->listen_port == 1);
    CHECK(settings->previous_private_key == "/x/i");
    CHECK(settings->previous_listen_port == 2);
    CHECK(settings->mtu == 1380);
    CHECK(settings->keepalive_seconds == 0);
    CHECK(settings->endpoints.size() == 2);
    CHECK(!settings->manage);
    CHECK(settings->guard == GuardMode::None);
    CHECK(settings->invite_lifetime == 12h);
}

// An org's registry would be where nobody looks for it, or travel in the clear.
TEST_CASE("gateway settings: the registry may be in etcd, and then it is nowhere else") {
    const auto settings = parse_gateway_settings(
        smallest +
            "[Etcd]\nEndpoints=https://192.0.2.1 https://[2001:db8::1]:2381\n"
            "CA=etcd.pem\nCertificate=a\nCertificateKey=/b\nPrefix=/org/a\n",
        "/x/gateway.conf");
    if (!settings) FAIL(settings.error().text());
    const EtcdSettings& etcd = settings->etcd;
    REQUIRE(etcd.endpoints.size() == 2);
    CHECK(etcd.endpoints[0].text() == "https://192.0.2.1:2379");
    CHECK(etcd.endpoints[1].text() == "https://[2001:db8::1]:2381");
    CHECK(etcd.ca == "/x/etcd.pem");
    CHECK(etcd.certificate == "/x/a");
    CHECK(etcd.certificate_key == "/b");
    CHECK(etcd.prefix == "/org/a");
    CHECK(settings->database.empty());
    const auto local =
        parse_gateway_settings(smallest + "[Etcd]\nEndpoints=http://127.0.0.1\n", "x");
    REQUIRE(local);
    CHECK(local->etcd.endpoints[0].text() == "http://127.0.0.1:2379");
    CHECK(local->etcd.prefix == "/fortros");

    const auto refused = [](const std::string& text) { return error_of(smallest + text); };
    CHECK(refused("[Etcd]\nEndpoints=http://127.0.0.1\n[Gateway]\nDatabase=x\n")
              .contains("in one of them"));
    CHECK(refused("[Etcd]\nEndpoints=http://192.0.2.1\n").contains("needs https://"));
    CHECK(refused("[Etcd]\nEndpoints=https://192.0.2.1\n").contains("CA= is required"));
    CHECK(refused("[Etcd]\nEndpoints=https://etcd.example.org\n").contains("Endpoints="));
    CHECK(refused("[Etcd]\nEndpoints=192.0.2.1:2379\n").contains("Endpoints="));
    CHECK(refused("[Etcd]\nCA=x\n").contains("needs Endpoints="));
    CHECK(refused("[Etcd]\nEndpoints=http://[::1]\nCertificate=x\n").contains("belong together"));
    CHECK(refused("[Etcd]\nEndpoints=http://[::1]\nPrefix=org\n").contains("Prefix="));
}

// An admin would search a file for a mistake that the program has seen.
TEST_CASE("gateway settings: errors name file, line and key") {
    CHECK(error_of("").contains("Endpoints= is required"));
    CHECK(error_of("[Gateway]\nListn=443\n")
              .starts_with("/etc/fortros/gateway.conf:2: [Gateway] Listn="));
    CHECK(error_of("[Gatway]\n").contains(":1: [Gatway]"));
    CHECK(error_of("[Gateway]\nListen=gateway:443\n").contains(":2: [Gateway] Listen="));
    CHECK(error_of("[WireGuard]\nEndpoints=127.0.0.1\n").contains("nodes can reach"));
    CHECK(error_of("[WireGuard]\nEndpoints=0.0.0.0\n").contains("nodes can reach"));
    CHECK(error_of("[WireGuard]\nMTU=100\n").contains("MTU="));
    CHECK(error_of("[WireGuard]\nManage=maybe\n").contains("Manage="));
    CHECK(error_of("[Invites]\nDefaultLifetime=1s\n").contains("DefaultLifetime="));
    CHECK(error_of("[WireGuard]\nEndpoints=192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5 "
                   "192.0.2.6 192.0.2.7 192.0.2.8 192.0.2.9\n")
              .contains("more than 8"));
}

// Nodes would be sent to the wrong key, or two keys would fight for one port.
TEST_CASE("gateway settings: a key that is rotated has a port of its own and is told to nobody") {
    const std::string rotating = "[WireGuard]\nListenPort=2\nEndpoints=192.0.2.1:2\n";
    const std::string previous = "[PreviousWireGuard]\nPrivateKey=old.key\nListenPort=1\n";
    CHECK(parse_gateway_settings(rotating + previous, "/etc/fortros/gateway.conf"));
    CHECK(parse_gateway_settings(rotating + "[PreviousWireGuard]\n", "/etc/fortros/gateway.conf"));
    CHECK(error_of(rotating + "[PreviousWireGuard]\nPrivateKey=old.key\n")
              .contains("[PreviousWireGuard] ListenPort= is required"));
    CHECK(error_of(rotating + "[PreviousWireGuard]\nListenPort=1\n")
              .contains("[PreviousWireGuard] PrivateKey= is required"));
    CHECK(error_of(rotating + "[PreviousWireGuard]\nPrivateKey=wireguard.key\nListenPort=1\n")
              .contains("PrivateKey= is that of [WireGuard]"));
    CHECK(error_of(rotating + "[PreviousWireGuard]\nPrivateKey=old.key\nListenPort=2\n")
              .contains("ListenPort=2 is that of [WireGuard]"));
    CHECK(error_of("[WireGuard]\nListenPort=2\nEndpoints=192.0.2.1:2 192.0.2.1:1\n" + previous)
              .contains("at 192.0.2.1:1 is the key of [PreviousWireGuard]"));
}

// A gateway would serve under a name that no node asks for, or lead its tunnel into itself.
TEST_CASE("gateway settings: the org's file joins them and may contradict them") {
    const TemporaryDirectory folder;
    const auto write = [&](const std::string& name, const std::string& text) {
        std::ofstream(folder.path(name)) << text;
    };
    const auto load = [&] { return load_gateway_settings(folder.path("gateway.conf")); };
    CHECK(load().error().text().contains("--config"));
    write("gateway.conf", smallest);
    CHECK(load().error().text().contains("make-org"));
    const std::string org =
        "[Organisation]\nPrefix=fd12:3456:789a::/"
        "48\nDomain=example.org\nGatewayName=gw.example.org\n";
    write("org.conf", org);
    const auto settings = load();
    if (!settings) FAIL(settings.error().text());
    CHECK(settings->name == "gw.example.org");
    CHECK(settings->domain == "example.org");
    CHECK(settings->prefix == OrgPrefix::parse("fd12:3456:789a::/48"));

    write("gateway.conf", "[Gateway]\nName=other.example.org\n" + smallest);
    CHECK(load().error().what.contains("is not the GatewayName="));
    write("gateway.conf", "[WireGuard]\nEndpoints=[fd12:3456:789a::1]:5\n");
    CHECK(load().error().what.contains("inside the overlay"));
    write("gateway.conf", smallest);
    write("org.conf", "[Organisation]\nPrefix=fe80::/48\n");
    CHECK(load().error().what.contains("org.conf:2"));
    write("org.conf", "[Organisation]\nDomain=example.org\n");
    CHECK(load().error().what.contains("Prefix= is required"));
}
