// Keeps the overlay for as long as the node runs: observes the kernel, lets the mesh decide, sends the
// difference, reports, again and again. Level-triggered: an event only makes the next round come early.
// It never ends by itself, but for a node that is cast out, and never takes anything down when it ends.
//
//   engine: members ─▶ roster ─┐
//   kernel: peers, links ──────┼─▶ mesh ─▶ wanted overlay ─▶ difference ─▶ kernel
//   overlay: datagrams ────────┘      └──▶ datagrams
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "core/handoff.h"
#include "core/key.h"
#include "maintainer/beacons.h"
#include "maintainer/member_feed.h"
#include "maintainer/messenger.h"
#include "maintainer/reconcile.h"
#include "maintainer/roster.h"
#include "maintainer/serf_membership.h"
#include "maintainer/settings.h"
#include "mesh/mesh.h"
#include "os/demand_counter.h"
#include "os/efi_vars.h"
#include "os/link_control.h"
#include "os/link_monitor.h"
#include "os/loop.h"
#include "os/overlay_links.h"
#include "os/stores.h"
#include "os/trust.h"

namespace fortros {

// What the keeper works with; all of it must outlive it.
struct KeeperParts {
    Loop& loop;
    Log& log;
    Random& random;
    const TrustAnchors& anchors;
    std::string directory;
    std::string agent;               // name and version
    std::function<void()> cast_out;  // the organisation has thrown this node out: all is taken down
};

// In the run directory, mode 0600; what `fortros-maintainer status` shows.
inline constexpr std::string_view status_file = "maintainer.json";
// Likewise, OpenMetrics: for a collector that reads files.
inline constexpr std::string_view metrics_file = "maintainer.prom";
// Likewise; maintainer/member_cache.h.
inline constexpr std::string_view members_file = "members.jsonl";

class Keeper final : private MembershipListener {
public:
    // `key` is the node's, as the kernel has it.
    static Result<std::unique_ptr<Keeper>> create(KeeperParts parts, MaintainerSettings settings,
                                                  HandOff hand_off, PrivateKey key,
                                                  OverlayLinks links);
    ~Keeper();

    void start();
    // Before the end: what is known is kept for the next one.
    void save();

private:
    Keeper(KeeperParts parts, MaintainerSettings settings, HandOff hand_off, PrivateKey key,
           OverlayLinks links, LinkControl link_control);

    // keeper.cc: the rounds
    Status prepare();
    Status prepare_serf();
    void begin_mesh();
    void send_beacons();
    void round();
    Status reconcile();
    Status observe();
    Status observe_everything();
    void tell_mesh();
    Status observe_underlay();
    Status check_own_interfaces() const;
    Status mend_guard();
    Status serve_as_lighthouse();
    void seek_path_filters();
    std::vector<mesh::Observation::Demand> demand();
    std::set<PublicKey> other_lighthouses() const;
    Status apply();
    void send(const std::vector<mesh::Outgoing>& messages);
    void soon();
    void next_round(Instant at);
    void schedule();
    bool is_busy() const;
    void report(const OverlayLinks::Applied& applied);
    std::vector<std::string> warnings() const;
    void write_status();
    void write(std::string_view event, std::string_view file, const std::string& text);
    void complain(std::string_view event, const Error& error);

    // keeper_members.cc: what is heard of members, and remembered of them
    Status remember();
    void received(const PublicKey& from, mesh::Via via, const mesh::LinkMessage& message);
    void meet(const PublicKey& stranger, const mesh::LinkMessage& message);
    void remember_cached();
    void remember_for_boot(const Joined& joined, const GatewayIdentity& gateway,
                           const Endpoint& endpoint);
    void check_claims();
    void members_changed();
    void remove_expired();
    void relays_changed();
    void introduce_serf();
    void take_own(const Attestation& own, const Bytes& bytes);
    void heard_org(const std::vector<Bytes>& signers, ByteView document) override;
    void heard_gateways(std::vector<MeshPeer> gateways) override;
    void heard(std::vector<MemberNews> members) override;
    void removed(const std::vector<PublicKey>& members) override;
    void starts_anew() override;
    void caught_up() override;
    void renewed(const Joined& joined, const GatewayIdentity& gateway,
                 const Endpoint& endpoint) override;
    void cast_out(const std::string& why) override;
    Status remember_revocation();
    MemberFeedSelf feed_self() const;

    KeeperParts m_parts;
    MaintainerSettings m_settings;
    HandOff m_hand_off;
    PrivateKey m_key;
    OverlaySelf m_self;
    OverlayLinks m_links;
    LinkControl m_link_control;
    Roster m_roster;
    std::optional<mesh::Mesh> m_mesh;
    std::unique_ptr<Messenger> m_messenger;
    std::unique_ptr<LinkMonitor> m_monitor;
    std::optional<Beacons> m_beacons;
    std::unique_ptr<MemberFeed> m_feed;
    std::optional<SerfMembership> m_serf;   // where the settings say so
    std::optional<DemandCounter> m_demand;  // absent: the kernel can't count
    FirmwareVariables m_variables;
    std::unique_ptr<StateStore> m_state_store;

    std::vector<InterfaceState> m_have;  // as observed last
    std::vector<IpAddress> m_underlay;
    std::vector<BeaconLink> m_beacon_links;
    std::map<PublicKey, Endpoint> m_endpoints;  // that the mesh has asked for
    std::uint64_t m_applied = 0;                // overlay_revision()
    bool m_must_apply = true;                   // whether or not the mesh has changed its mind
    bool m_links_changed = true;
    bool m_adopted = false;
    std::uint64_t m_members_seen = 0;                     // revision
    std::map<PublicKey, std::vector<Endpoint>> m_relays;  // as seen then
    bool m_is_first_look = true;                          // at them
    std::size_t m_changes = 0;                            // of the last application
    std::vector<std::string> m_path_filters;              // that would drop the overlay's answers
    Instant m_path_filters_sought{};
    Instant m_observed{};
    Instant m_observed_everything{};
    Instant m_busy_until{};
    Instant m_expired_removed{};
    Instant m_status_written{};
    Instant m_saved{};
    std::uint64_t m_saved_revision = 0;
    struct Complaint {
        std::string words;
        Instant at{};
    };
    std::map<std::string, Complaint, std::less<>> m_complaints;  // the last of each event
    Instant m_next_round = Instant::max();
    Loop::Timer m_next;
    Loop::Timer m_next_claims;
};

}  // namespace fortros
