#include "preboot/check.h"

#include <fnmatch.h>

#include <algorithm>

namespace fortros {

namespace {

using Kind = Finding::Kind;

// Time enough to build and roll out an image with the next CA.
constexpr auto renewal_time = std::chrono::days{30};

class Check {
public:
    Check(const Settings& settings, const CheckFacts& facts)
        : m_settings(settings), m_facts(facts) {}

    std::vector<Finding> run() {
        check_ca();
        check_clock();
        check_invite();
        check_store("KeyStore", m_settings.key_store, m_facts.key_folder);
        check_store("StateStore", m_settings.state_store, m_facts.state_folder);
        check_what_lasts();
        check_sources();
        check_prefix();
        check_links();
        check_times();
        std::ranges::stable_sort(m_findings, {}, &Finding::kind);
        return std::move(m_findings);
    }

private:
    void error(ExitStatus status, std::string what, std::string act) {
        m_findings.push_back({Kind::Error, status, std::move(what), std::move(act)});
    }
    void warn(std::string what, std::string act) {
        m_findings.push_back({Kind::Warning, {}, std::move(what), std::move(act)});
    }
    void hint(std::string what, std::string act) {
        m_findings.push_back({Kind::Hint, {}, std::move(what), std::move(act)});
    }

    void check_ca() {
        const std::string file = "the pinned CA in '" + m_settings.ca_file + "'";
        if (m_facts.latest_not_after < m_facts.now)
            return error(ExitStatus::TrustAnchorInvalid,
                         file + " ended on " + to_rfc3339(m_facts.latest_not_after),
                         "pin the organisation's new CA: certs/README.md, \"Rotating the CA\"");
        if (m_facts.latest_not_after < m_facts.now + renewal_time)
            warn(file + " ends on " + to_rfc3339(m_facts.latest_not_after),
                 "pin the next CA beside it before then: certs/README.md, \"Rotating the CA\"");
        if (m_facts.newest_not_before <= m_facts.now) return;
        const std::string begins = file + " begins on " + to_rfc3339(m_facts.newest_not_before) +
                                   ", later than it is here";
        const std::string act =
            "a node takes this for the earliest time that it can be: set the clock of the CA's "
            "machine, or of this one, and issue the CA again if it was the former";
        if (m_facts.anchors == 1)
            error(ExitStatus::TrustAnchorInvalid, begins, act);
        else
            warn(begins, act);
    }

    void check_clock() {
        if (m_settings.build_time && *m_settings.build_time > m_facts.now + 1h)
            error(ExitStatus::GatewayUntrusted,
                  "[Clock] BuildTime=" + to_rfc3339(*m_settings.build_time) +
                      " is later than it is here, and no node believes an earlier time",
                  "set the clock of the build machine, or SOURCE_DATE_EPOCH, and build again");
    }

    void check_invite() {
        if (!m_facts.has_invite)
            return warn("there is no invite in '" + m_settings.invite_file +
                            "': only a node that is enrolled already can boot with this",
                        "fortros-gateway invite create --output FILE, unless that is meant");
        if (m_facts.invite_is_public)
            warn("the invite in '" + m_settings.invite_file + "' can be read by others",
                 "chmod 600: whoever reads it can enrol a machine of his own");
    }

    static bool is_below(std::string_view path, std::string_view folder) {
        return path.starts_with(folder) && path.substr(folder.size()).starts_with('/');
    }

    void check_store(const std::string& key, const StoreSetting& store, StoreFolder folder) {
        if (store.kind != StoreKind::File) return;
        const std::string name = "[Node] " + key + "=file:" + store.path;
        for (const std::string_view lost : {"/run", "/tmp", "/dev", "/proc", "/sys"})
            if (is_below(store.path, lost))
                return error(
                    ExitStatus::KeyStoreFailed,
                    name + " does not last: " + std::string(lost) + " is made anew at each boot",
                    "name a file on a disk that is mounted before the agent starts");
        if (folder == StoreFolder::NotRoots)
            error(ExitStatus::KeyStoreFailed,
                  name + ": its folder is not root's, or others may write there",
                  "chown root and chmod 700: the agent keeps no right to pass over an owner");
        if (folder == StoreFolder::Absent)
            hint(name + ": its folder is not here",
                 "have it mounted, writable, before the agent starts");
    }

    // The key and what is remembered belong together.
    void check_what_lasts() {
        if (m_settings.key_store.kind == StoreKind::Ephemeral)
            warn("[Node] KeyStore=ephemeral: the node enrols anew at each boot",
                 "let its invite have as many uses, or store the key");
        if (m_settings.state_store.kind != StoreKind::Ephemeral) return;
        if (m_settings.sources_enrolled == SourceSet::only(Source::Cached) &&
            m_settings.gateways.empty())
            error(ExitStatus::NoGateway,
                  "[Discovery] AfterEnrollment=cached with [Node] StateStore=ephemeral: the second "
                  "boot remembers no address and may ask nobody",
                  "set [Organisation] Gateways=, or a StateStore= that lasts");
        hint(
            "[Node] StateStore=ephemeral: no boot starts fast, and none is narrower than the image",
            "a StateStore= that lasts gives both");
    }

    void check_sources() {
        const SourceSet sources = m_settings.sources;
        const bool is_cached_only = sources == SourceSet::only(Source::Cached);
        if (is_cached_only && m_settings.gateways.empty()) {
            const std::string what =
                "[Discovery] Sources=cached without [Organisation] Gateways=: a node that has no "
                "state yet can't find a gateway";
            const std::string act =
                "set Gateways=, or allow a resolver until it is enrolled: "
                "AfterEnrollment=cached";
            if (m_facts.has_invite)
                error(ExitStatus::NoGateway, what, act);
            else
                warn(what, act);
        }
        if (sources.has(Source::DhcpDns) && m_settings.link_mode == LinkMode::Static &&
            m_settings.static_resolvers.empty())
            warn(
                "[Discovery] Sources= has dhcp-dns, which with [Network] Mode=static has nobody to "
                "ask",
                "set [Network] DNS=, or take dhcp-dns out");
        if (is_cached_only && m_settings.gateways.size() == 1)
            hint("[Organisation] Gateways= has one address, and nobody else may be asked",
                 "a second gateway's address keeps nodes from being lost with the first");
    }

    void check_prefix() {
        if (!m_settings.prefix) return;
        const OrgPrefix& prefix = *m_settings.prefix;
        const auto inside = [&](const Endpoint& it) { return prefix.contains(it.address); };
        if (std::ranges::any_of(m_settings.gateways, inside))
            error(ExitStatus::NoGateway,
                  "[Organisation] Gateways= has an address within Prefix=: a gateway can't be "
                  "reached by way of itself",
                  "name its address on the underlay");
        if (std::ranges::any_of(m_settings.static_addresses,
                                [&](const IpNetwork& it) { return prefix.contains(it.address); }))
            error(ExitStatus::OverlayFailed,
                  "[Network] Address= lies within [Organisation] Prefix=, which is the overlay's",
                  "give the link an address of its own network");
        if (m_facts.remembered_prefix && *m_facts.remembered_prefix != prefix)
            error(ExitStatus::GatewayUntrusted,
                  "[Organisation] Prefix= is not the one that this node is enrolled in",
                  "org.conf of the organisation has the right one; a node that changes its "
                  "organisation needs its key and state removed, and an invite");
    }

    void check_links() {
        if (m_facts.links.empty()) return;
        for (const auto& pattern : m_settings.interfaces)
            if (std::ranges::none_of(m_facts.links, [&](const std::string& name) {
                    return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
                }))
                hint("[Network] Interfaces=" + pattern + " matches no interface of this machine",
                     "in an initramfs they often still have the kernel's names: eth0");
    }

    void check_times() {
        if (m_settings.link_timeout >= m_settings.total_timeout)
            warn("[Network] LinkTimeout= is not shorter than [Failure] TotalTimeout=",
                 "a link that comes late leaves no time to find a gateway");
    }

    const Settings& m_settings;
    const CheckFacts& m_facts;
    std::vector<Finding> m_findings;
};

}  // namespace

std::vector<Finding> check(const Settings& settings, const CheckFacts& facts) {
    return Check(settings, facts).run();
}

ExitStatus status_of(const std::vector<Finding>& findings) {
    const auto error = std::ranges::find(findings, Finding::Kind::Error, &Finding::kind);
    return error == findings.end() ? ExitStatus::Joined : error->status;
}

std::string to_text(const std::vector<Finding>& findings) {
    static constexpr std::string_view names[] = {"error:   ", "warning: ", "hint:    "};
    std::string text;
    for (const Finding& finding : findings)
        text += std::string(names[static_cast<int>(finding.kind)]) + finding.what + "\n         " +
                finding.act + "\n";
    return text;
}

}  // namespace fortros
