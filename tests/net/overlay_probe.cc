// The overlay's edges as verbs, for tests in network namespaces and guests: each does one thing to
// the kernel that it runs on and prints one JSON object. An error ends it with status 1.
//
// All in the agent's cage (os/confinement.h).
//
//   overlay-probe guard PREFIX              install the guard
//   overlay-probe apply FILE                a plan, see read_plan()
//   overlay-probe status NAME               one interface as the kernel has it
//   overlay-probe take-down                 remove every overlay interface
//   overlay-probe peers NAME COUNT NETWORKS give an interface exactly COUNT peers, made up, with
//                                           NETWORKS allowed IPs each, and read them back
//   overlay-probe give-up NAME              read NAME, stop at the first message, read it again
//   overlay-probe same-key NAME FILE        whether the kernel gives back the plan's private key
#include <linux/wireguard.h>

#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/encoding.h"
#include "base/text.h"
#include "core/crypto.h"
#include "core/overlay_state.h"
#include "os/confinement.h"
#include "os/files.h"
#include "os/guard.h"
#include "os/overlay_links.h"
#include "os/wireguard.h"
#include "os/wireguard_codec.h"

using namespace fortros;

static constexpr std::size_t plan_size_limit = std::size_t{256} * 1024;

struct Wanted {
    OverlayPlan plan;
    PrivateKey key;
};

// {"private_key": "...", "prefix": "fd..::/48", "address": "fd..", "interfaces": [...]}, the
// interfaces as in the hand-off.
static Result<Wanted> read_plan(const std::string& path) {
    const Json json = TRY(Json::parse(TRY(read_file(path, plan_size_limit))));
    const JsonReader in(json, "plan");
    const auto key = from_base64(TRY(in.string("private_key", 44)));
    if (!key || key->size() != key_size) return in.bad("private_key", "is no key");
    const auto prefix = OrgPrefix::parse(TRY(in.string("prefix", 64)));
    if (!prefix) return in.bad("prefix", "is no prefix");
    const auto address = IpAddress::parse(TRY(in.string("address", 64)));
    if (!address) return in.bad("address", "is no address");
    Wanted wanted{.plan = {.address = *address, .prefix = *prefix},
                  .key = PrivateKey(std::span(*key).first<key_size>())};
    for (const Json& item : *TRY(in.array("interfaces", 64)))
        wanted.plan.interfaces.push_back(TRY(interface_plan_from(item, "interface")));
    return wanted;
}

static Result<Json> apply(const std::string& path) {
    Wanted wanted = TRY(read_plan(path));
    OverlayLinks links = TRY(OverlayLinks::create());
    const auto applied = TRY(links.apply(std::move(wanted.plan), wanted.key));
    Json out;
    Json changes{Json::Array{}};
    for (const OverlayChange& change : applied.changes) changes.push(change.text());
    out.set("changes", std::move(changes));
    Json interfaces{Json::Array{}};
    for (const InterfaceHandOff& interface : applied.interfaces) {
        Json item = to_json(interface.plan);
        item.set("ifindex", interface.ifindex);
        interfaces.push(std::move(item));
    }
    out.set("interfaces", std::move(interfaces));
    return out;
}

static Result<Json> status(const std::string& name) {
    WireGuard wireguard = TRY(WireGuard::create());
    const WireGuardStatus status = TRY(wireguard.status(name));
    Json out;
    out.set("ifindex", status.ifindex);
    out.set("listen_port", int{status.listen_port});
    if (status.public_key) out.set("public_key", status.public_key->base64());
    Json peers{Json::Array{}};
    for (const WireGuardPeerStatus& peer : status.peers) {
        Json item;
        item.set("public_key", peer.peer.key.base64());
        if (peer.peer.endpoint) item.set("endpoint", peer.peer.endpoint->text());
        Json allowed_ips{Json::Array{}};
        for (const IpNetwork& network : peer.peer.allowed_ips) allowed_ips.push(network.text());
        item.set("allowed_ips", std::move(allowed_ips));
        item.set("keepalive_seconds", int{peer.peer.keepalive_seconds});
        item.set("handshake", peer.last_handshake.has_value());
        item.set("received", static_cast<std::int64_t>(peer.rx_bytes));
        peers.push(std::move(item));
    }
    out.set("peers", std::move(peers));
    return out;
}

// Peer number `n`: a key and networks that follow from the number.
static WireGuardPeer made_up_peer(std::uint32_t n, unsigned networks) {
    WireGuardPeer peer;
    peer.key.bytes = crypto::sha256({as_bytes("peer " + std::to_string(n))});
    peer.key.bytes.back() &= 0x7f;
    peer.keepalive_seconds = static_cast<std::uint16_t>(n % 60);
    for (unsigned i = 0; i < networks; ++i) {
        ByteArray<16> address{0xfd, 0x12};
        address[8] = static_cast<std::uint8_t>(i >> 8);
        address[9] = static_cast<std::uint8_t>(i);
        for (std::size_t byte = 0; byte < 4; ++byte)
            address[12 + byte] = static_cast<std::uint8_t>(n >> (24 - 8 * byte));
        peer.allowed_ips.push_back(IpNetwork::host(IpAddress::v6(address)));
    }
    return peer;
}

static Result<Json> peers(const std::string& name, std::uint32_t count, unsigned networks) {
    WireGuard wireguard = TRY(WireGuard::create());
    TRY(wireguard.ensure_interface(name, 1420));
    std::vector<WireGuardPeer> want;
    for (std::uint32_t n = 0; n < count; ++n) want.push_back(made_up_peer(n, networks));
    const auto changes = difference(want, TRY(wireguard.status(name)).peers);
    TRY(wireguard.apply(name, changes));
    const WireGuardStatus read_back = TRY(wireguard.status(name));
    Json out;
    out.set("changes", static_cast<std::int64_t>(changes.size()));
    out.set("peers", static_cast<std::int64_t>(read_back.peers.size()));
    out.set("left", static_cast<std::int64_t>(difference(want, read_back.peers).size()));
    return out;
}

static Result<Json> give_up(const std::string& name) {
    Netlink netlink = TRY(Netlink::create(NETLINK_GENERIC));
    const auto family = TRY(generic_netlink_family(netlink, WG_GENL_NAME));
    auto request = wireguard_message(family, WG_CMD_GET_DEVICE, name);
    const auto given_up =
        netlink.dump<int>(request, "cannot read it", [](int&, const nlmsghdr&) -> Status {
            return fail(ErrorCode::InvalidData, "not this one");
        });
    Json out;
    out.set("error", given_up ? "" : given_up.error().text());
    out.set("messages", TRY(netlink.dump<int>(request, "cannot read it again",
                                              [](int& count, const nlmsghdr&) -> Status {
                                                  return ++count, Status{};
                                              })));
    return out;
}

static Result<Json> same_key(const std::string& name, const std::string& path) {
    const Wanted wanted = TRY(read_plan(path));
    WireGuard wireguard = TRY(WireGuard::create());
    const PrivateKey key = TRY(wireguard.private_key(name));
    Json out;
    out.set("same", equal_in_constant_time(key.view(), wanted.key.view()));
    return out;
}

static Result<Json> run(const std::vector<std::string>& words) {
    TRY(crypto::initialise());
    const auto is = [&](std::string_view verb, std::size_t arguments) {
        return words.size() == arguments + 1 && words[0] == verb;
    };
    if (is("apply", 1)) return apply(words[1]);
    if (is("status", 1)) return status(words[1]);
    if (is("give-up", 1)) return give_up(words[1]);
    if (is("same-key", 2)) return same_key(words[1], words[2]);
    if (is("peers", 3))
        return peers(words[1], parse_number<std::uint32_t>(words[2]).value_or(0),
                     parse_number<unsigned>(words[3]).value_or(0));
    if (is("guard", 1)) {
        const auto prefix = OrgPrefix::parse(words[1]);
        if (!prefix) return fail(ErrorCode::InvalidArgument, "no prefix: " + words[1]);
        TRY(install_guard(*prefix));
        return Json{Json::Object{}};
    }
    if (is("take-down", 0)) {
        OverlayLinks links = TRY(OverlayLinks::create());
        Json out;
        out.set("removed", static_cast<std::int64_t>(TRY(links.take_down())));
        return out;
    }
    return fail(ErrorCode::InvalidArgument, "unknown verb: see the head of overlay_probe.cc");
}

int main(int count, char** arguments) {
    const Status caged = confine({.capabilities = capabilities_of_a_boot(OnFailure::Exit)});
    const auto result =
        caged ? run({arguments + 1, arguments + count}) : std::unexpected(caged.error());
    if (!result) {
        std::fprintf(stderr, "%s\n", result.error().text().c_str());
        return 1;
    }
    std::puts(result->dump().c_str());
    return 0;
}
