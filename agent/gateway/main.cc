// fortros-gateway: admits nodes into an organisation's overlay.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <variant>

#include "core/crypto.h"
#include "gateway/admin.h"
#include "gateway/arguments.h"
#include "gateway/gateway.h"
#include "gateway/log.h"
#include "gateway/relay.h"
#include "os/confinement.h"

using namespace fortros;
using namespace fortros::gateway;

namespace {

constexpr OptionSpec json_only[] = {{"--json", "", "for programs"}};

constexpr OptionSpec create_options[] = {
    {"--uses", "N", "how many nodes may come with it (default 1)"},
    {"--expires", "SPAN", "when it ends: 12h, 7d (default: [Invites] DefaultLifetime=)"},
    {"--role", "ROLE", "what they become: node (default) or lighthouse"},
    {"--hostname", "NAME", "the node's name, whatever it wishes itself"},
    {"--approval", "yes|no", "whether an admin must approve each (default: [Invites] Approval=)"},
    {"--output", "FILE", "write it into a new file (mode 0600) instead of showing it"},
    {"--json", "", "for programs"},
};

constexpr OptionSpec init_options[] = {
    {"--endpoint", "ADDR:PORT", "where nodes reach this gateway's WireGuard; may be given again",
     Times::Several},
};

constexpr OptionSpec lighthouse_options[] = {
    {"--endpoint", "ADDR:PORT", "where everybody reaches its WireGuard; may be given again",
     Times::Several},
};

constexpr OptionSpec policy_options[] = {
    {"--sources", "LIST",
     "what may name a gateway to enrolled nodes: \"cached dhcp-dns\"; image: as each image says"},
    {"--disown-older-signers", "",
     "what older signers than this gateway's have signed is worth nothing any more"},
};

constexpr OptionSpec audit_options[] = {
    {"--limit", "N", "the newest N entries (default 50)"},
    {"--json", "", "for programs"},
};

constexpr OptionSpec verify_options[] = {
    {"--head", "HEAD", "a head of former times, which must be in the chain still"},
};

constexpr OptionSpec overwrite_only[] = {{"--overwrite", "", "replace what is there"}};

constexpr CommandSpec commands[] = {
    {"serve",
     "",
     "serve nodes until SIGTERM",
     "SIGHUP has certificates, the TLS key and the signer read again; connections go on. Operators "
     "ask\n"
     "/healthz, /readyz and /metrics at [Operate] Listen=. A service manager may hand over "
     "sockets\n"
     "called nodes and operate, and is told when this is ready, reloads and stops.",
     {}},
    {"init", "", "make what a new gateway needs, and say what is missing",
     "The settings file, which needs --endpoint, the WireGuard key, and, once the org's file is "
     "there,\n"
     "the registry. What is there already stays as it is.",
     init_options},
    {"check", "", "check the settings, certificates and keys, and change nothing", "", {}},
    {"allow-relay",
     "",
     "let nodes talk to each other through this host",
     "Switches on net.ipv6.conf.all.forwarding, and accept_ra=2 wherever accept_ra is 1, so that "
     "the\n"
     "host keeps its routers. Nothing if [WireGuard] Relay=no. serve does it where it may; under "
     "the\n"
     "unit it may not, and the unit calls this first.",
     {}},
    {"invite create", "", "make an invite",
     "The invite is shown this once; the registry keeps its hash. Put it into an image:\n"
     "    fortros-gateway invite create --output invite\n"
     "    initramfs/build-image --invite invite ...\n\n"
     "Whoever can read the image can use the invite. A single-use invite is spent by the first "
     "node\n"
     "that comes. Of one with several uses each newcomer waits for an admin's word by default: "
     "see\n"
     "fortros-gateway node waiting.",
     create_options},
    {"invite list", "", "list all invites", "", json_only},
    {"invite revoke",
     "ID",
     "let nobody else in with an invite",
     "Nodes that came with it before stay members; those who wait with it do not wait any more.",
     {}},
    {"node list", "", "list all nodes",
     "The last handshake is what this host's kernel knows: a node that only joins leaves no\n"
     "trace in the registry.",
     json_only},
    {"node revoke",
     "NODE",
     "throw a node out, for ever",
     "NODE is an overlay address, a public key, or a hostname that only one node has. Its tunnel\n"
     "to a gateway that serves is closed at once; its key stays refused and its address taken.",
     {}},
    {"node retire",
     "NODE",
     "give up the place of a node that will not come back",
     "For a machine that is gone, or has lost its key and enrolled anew. As with revoke its "
     "tunnel\n"
     "is closed, its key refused, by every node that hears of it, and its address taken for ever;\n"
     "but it is listed as retired, and its refusals do not say that it was thrown out.",
     {}},
    {"node waiting", "", "list the nodes that wait for approval",
     "And those that were rejected of late. Who waits holds a use of its invite for a day: until "
     "he\n"
     "is approved or rejected, or the invite is revoked.",
     json_only},
    {"node approve",
     "ADDRESS",
     "let a waiting node in",
     "ADDRESS is the whole overlay address, which the node shows on its console: compare them "
     "there.\n"
     "It follows from the node's key; a hostname is only what somebody wished to be called.",
     {}},
    {"node reject",
     "ADDRESS",
     "refuse a waiting node, and free its use of the invite",
     "Its key is refused for a day. Who has the invite can come with another key: revoke the "
     "invite\n"
     "if strangers have it. An admin who has erred approves the node all the same.",
     {}},
    {"lighthouse set", "NODE", "make a member a lighthouse",
     "NODE is as in node revoke. Every node is told of it with its endpoints, the best first: by "
     "the\n"
     "member feed at once, and with each answer. The host needs WireGuard's port open, and "
     "forwards\n"
     "for others. Given again it changes the endpoints; at most 16 members may have some.",
     lighthouse_options},
    {"lighthouse unset", "NODE", "make a lighthouse a node like others", "", {}},
    {"lighthouse list", "", "list the lighthouses",
     "One without endpoints, which has come with an invite for a lighthouse, is told to nobody.",
     json_only},
    {"policy show", "", "show what the org document says", "", json_only},
    {"policy set", "", "change what the org document says",
     "The document goes to every node with its next join, which takes nothing older from then on.\n"
     "It cannot widen what a node's image allows.",
     policy_options},
    {"policy publish",
     "",
     "publish the org document anew, after a backup was restored",
     "Nodes refuse a document or an attestation that is older than one they have seen. This gives\n"
     "the document, and at their next joins all attestations, newer serials.",
     {}},
    {"audit show", "", "show the newest entries of the audit log, the oldest of them first", "",
     audit_options},
    {"audit verify", "", "check that nobody has changed the audit log",
     "Each entry has a hash over itself and over the hash of the one before it. Says the first "
     "entry\n"
     "that does not fit (exit code 9), or the head of the chain: its number and hash. Who can "
     "write\n"
     "the whole database can make the whole chain anew, but not one with a head that you wrote "
     "down\n"
     "elsewhere: give it as --head.",
     verify_options},
    {"backup", "FILE", "write the whole registry into a file, while a gateway serves",
     "The file (mode 0600) is as of one moment and is on the disk when this has ended. It holds "
     "no\n"
     "invite and no key: keep the gateway's keys as well. For a registry in etcd use etcd's own:\n"
     "etcdctl snapshot save.",
     overwrite_only},
    {"restore", "FILE", "begin with a backup where the database is lost",
     "Only while no gateway serves from this database. Checks the file, and that it is of this\n"
     "organisation; then does what policy publish does. Nodes that enrolled since the backup was\n"
     "made are unknown (401), who was revoked since is a member, and an invite that was spent "
     "since\n"
     "is open: revoke them again. For a registry in etcd use etcdutl snapshot restore, then\n"
     "fortros-gateway policy publish.",
     overwrite_only},
};

Outcome<Said> run_serve(const Arguments&, const GatewaySettings& settings) {
    LogfmtLog log;
    TRY(serve(settings, log));
    return Said{};
}

// What a command is given: the settings, or where they are, if it is the one that makes them.
using WithSettings = Outcome<Said> (*)(const Arguments&, const GatewaySettings&);
using WithPath = Outcome<Said> (*)(const Arguments&, const std::string& path);

// In the order of the table above.
constexpr std::variant<WithSettings, WithPath> runs[] = {
    run_serve,      init,           check_config,     allow_relay,      create_invite, list_invites,
    revoke_invite,  list_nodes,     revoke_node,      retire_node,      list_waiting,  approve_node,
    reject_node,    set_lighthouse, unset_lighthouse, list_lighthouses, show_policy,   set_policy,
    publish_policy, show_audit,     check_audit,      backup,           restore};
static_assert(std::size(runs) == std::size(commands));

Outcome<Said> run(int argc, char** argv) {
    const std::vector<std::string_view> words(argv + std::min(argc, 1), argv + argc);
    const auto arguments = TRY(or_exit(ExitCode::Usage, parse_arguments(words, commands)));
    if (arguments.version) return Said{.out = SecretBytes("fortros-gateway " FORTROS_VERSION "\n")};
    if (arguments.help)
        return Said{.out = SecretBytes(arguments.command == nullptr ? help_of_program(commands)
                                                                    : help_of(*arguments.command))};
    TRY(or_exit(ExitCode::Failure, crypto::initialise()));
    const auto path =
        arguments.value("--config").value_or(std::string(default_gateway_settings_path));
    const auto& command = runs[arguments.command - commands];
    if (const auto* with_path = std::get_if<WithPath>(&command))
        return (*with_path)(arguments, path);
    const auto settings = TRY(or_exit(ExitCode::Settings, load_gateway_settings(path)));
    return std::get<WithSettings>(command)(arguments, settings);
}

}  // namespace

int main(int argc, char** argv) {
    forbid_core_dumps();  // of commands too: init and invite create hold what nobody may read
    auto outcome = run(argc, argv);
    if (outcome) {
        std::fputs(outcome->note.c_str(), stderr);
        const auto& out = outcome->out;
        if (std::fwrite(out.view().data(), 1, out.size(), stdout) != out.size() ||
            std::fflush(stdout) != 0)
            outcome = std::unexpected(Failure{
                ExitCode::Failure, fail_errno(errno, "cannot write to standard output").error()});
    }
    if (outcome) return static_cast<int>(ExitCode::Ok);
    std::fprintf(stderr, "fortros-gateway: %s\n", outcome.error().error.text().c_str());
    return static_cast<int>(outcome.error().code);
}
