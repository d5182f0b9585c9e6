// The links that carry everything else: brings up those that the settings allow, makes the VLANs
// that they name, gets them addresses (or takes what others give them), and tells who asks which of them work. It never touches a link outside of the settings,
// never waits for one once another works, and leaves everything as it is when it goes.
//
//   rtnetlink events, leases ──▶ observe everything ──▶ each link takes its next step ──▶ tell
//
// An event is only a reason to look again, so a lost one costs nothing and the order of events does
// not matter.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "core/link_state.h"
#include "core/settings.h"
#include "os/adopted_files.h"
#include "os/link.h"
#include "os/link_control.h"
#include "os/link_monitor.h"
#include "os/loop.h"

namespace fortros {

// What Links tells. All of it is told from within the loop, trouble also from within start(); none
// of it may destroy the Links.
struct LinkEvents {
    // A link works, or what is known of one that works has changed.
    std::function<void(const LinkReport& report)> usable;
    // A link that worked does not any more; what it had stays configured.
    std::function<void(unsigned ifindex, const std::string& why)> lost;
    // Why the links that do not work do not, in words: "eth0: no carrier; eth1: no DHCP answer,
    // asked 5 times". Empty: all work. Told whenever it changes.
    std::function<void(const std::string& why)> trouble;
};

class Links {
public:
    // Starts at once. The arguments but `settings` must outlive the Links. An error means that
    // rtnetlink itself does not work; that there is no interface is trouble, not an error, for one
    // may yet appear.
    static Result<std::unique_ptr<Links>> start(Loop& loop, Log& log, Random& random,
                                                const Settings& settings, LinkEvents events);
    Links(const Links&) = delete;
    Links& operator=(const Links&) = delete;
    // Configures nothing any more, and leaves addresses and routes to the real root.
    ~Links();

    // From now on the routes prefer this link to all others of ours. Links of others stay as they are.
    Status prefer(unsigned ifindex);
    // By which link the routes lead to an address now.
    Result<unsigned> link_towards(const IpAddress& address) {
        return m_control.link_towards(address);
    }

    // As told by LinkEvents::trouble last.
    const std::string& problems() const { return m_problems; }

private:
    struct Entry {
        std::unique_ptr<Link> link;
        std::optional<LinkReport> told{};  // absent: it does not work
    };

    Links(Loop& loop, Log& log, Random& random, Settings settings, LinkControl control,
          LinkEvents events);

    void observe_soon();
    void observe_again();
    void observe(std::vector<LinkState> states);
    void advertised(unsigned ifindex, ByteView options);
    void missed();
    void drop_gone();
    Link* take_up(const LinkState& state);
    void choose_static_link();
    Status follow_preferred();
    void make_vlans();
    void tell();
    std::string describe() const;

    Loop& m_loop;
    Log& m_log;
    Settings m_settings;
    LinkEvents m_events;
    LinkControl m_control;
    LinkParts m_parts;
    std::unique_ptr<AdoptedFiles> m_adopted;  // with Mode=adopt only
    std::unique_ptr<LinkMonitor> m_monitor;
    std::vector<LinkState> m_states;    // as observed last
    std::map<unsigned, Entry> m_links;  // those that are ours, by ifindex
    struct VlanProgress {
        std::uint32_t tries = 0;                // since it was there
        std::optional<Loop::Timer> next_try{};  // not to be made before
        std::string trouble{};
    };
    std::map<std::string, VlanProgress> m_vlans;  // those that were tried, by name
    std::uint32_t m_next_metric;
    unsigned m_preferred = 0;  // by prefer(); 0: none was
    Loop::Timer m_routers_age;
    Loop::Timer m_soon;
    std::string m_problems;
};

}  // namespace fortros
