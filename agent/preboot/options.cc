#include "preboot/options.h"

namespace fortros {

const std::string_view preboot_help =
    R"(fortros-preboot - bring this machine into its organisation's encrypted overlay

usage:
  fortros-preboot [run] [OPTION...]     boot: links, discovery, TLS, enrolment, WireGuard, hand-off
  fortros-preboot probe [--json]        links, discovery and authentication only: what every source
                                        and candidate answered, with times, and what a boot would
                                        do. Stores and sends nothing; links stay as it leaves them
  fortros-preboot check-config [FILE]   read the settings, the pinned CA and the invite that they
                                        name, say what is wrong with them, and change nothing
  fortros-preboot --help | --version

It runs once, as root, in an initramfs, before the real root is mounted. It finds the gateway by the
addresses that it has cached, by public DNS and by the DNS that DHCP or router advertisements name,
believes only a gateway whose certificate ends at the pinned CA, enrols its WireGuard key there or
joins with it, and leaves WireGuard interfaces that stay up across switch_root.

options:
  --config FILE          settings (default /etc/fortros/preboot.conf)
  --kernel-command-line FILE
                         where fortros.* words are read from (default for run and probe:
                         /proc/cmdline; for check-config: none)
  --json                 probe: print JSON; times are microseconds since its start
  --run-directory DIR    where run puts the hand-off and the events (default /run/fortros)

words on the kernel command line; they may narrow the settings, never widen them:
  fortros.sources=LIST   of cached, public-dns, dhcp-dns: use only these
  fortros.interfaces=LIST
                         shell patterns: use only links that these match, too
  fortros.timeout=TIME   total time for the boot ("90s", "5min")
  fortros.link_timeout=TIME
                         time for a link to come up
  fortros.debug          log more

files:
  /etc/fortros/preboot.conf    settings; every key is in the README
  /etc/fortros/org-ca.pem      the pinned CA: one to four certificates
  /etc/fortros/invite          the invite, while the node is not enrolled
  /run/fortros/bootstrap.json  the hand-off to fortros-maintainer
  /run/fortros/events.jsonl    what happened, one JSON object a line

exit status:
  0 joined               6 no link             12 key or state not stored; no invite was spent
  1 internal failure     7 no gateway          13 WireGuard, routes or guard not configured
  2 usage                8 gateway untrusted   14 no handshake answered (all else is done)
  3 settings invalid     9 refused             15 hand-off not written
  4 CA invalid          10 revoked             16 key without its state: cached addresses only
  5 invite missing      11 approval pending    17 gateways busy
                                               18 forbidden system call
)";

static std::unexpected<Error> usage(std::string what) {
    return fail(ErrorCode::InvalidArgument, std::move(what), "see fortros-preboot --help");
}

Result<PrebootOptions> parse_preboot_options(std::span<const char* const> arguments) {
    PrebootOptions options;
    bool verb_given = false;
    bool file_given = false;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view argument = arguments[i];
        std::string* value = nullptr;
        if (argument == "--help" || argument == "-h") {
            options.verb = PrebootOptions::Verb::Help;
            return options;
        }
        if (argument == "--version") {
            options.verb = PrebootOptions::Verb::Version;
            return options;
        }
        if (argument == "--config") value = &options.config;
        if (argument == "--kernel-command-line") value = &options.kernel_command_line.emplace();
        if (argument == "--run-directory") value = &options.run_directory;
        if (value != nullptr) {
            if (i + 1 == arguments.size())
                return usage("option '" + std::string(argument) + "' needs a value");
            *value = arguments[++i];
        } else if (!verb_given && argument == "run") {
            verb_given = true;
        } else if (!verb_given && argument == "probe") {
            verb_given = true;
            options.verb = PrebootOptions::Verb::Probe;
        } else if (options.verb == PrebootOptions::Verb::Probe && argument == "--json") {
            options.json = true;
        } else if (!verb_given && argument == "check-config") {
            verb_given = true;
            options.verb = PrebootOptions::Verb::CheckConfig;
        } else if (options.verb == PrebootOptions::Verb::CheckConfig && !file_given &&
                   !argument.starts_with("-")) {
            file_given = true;
            options.config = argument;
        } else {
            return usage("'" + std::string(argument) + "' is not understood");
        }
    }
    return options;
}

}  // namespace fortros
