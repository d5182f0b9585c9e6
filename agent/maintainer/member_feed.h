// Membership from the gateways' own feed: one request at a time waits at one gateway, over TLS, until
// something changes; when the gateway does not answer, the next is asked. In between this node's own
// membership is renewed at half its life. It judges no member (roster.h does).
//
//   connect ─▶ authenticated ─▶ GET /v1/members ... ─▶ page ─▶ at once again, while there is more
//                            └▶ POST /v1/join, when renewal is due
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "base/log.h"
#include "base/random.h"
#include "core/bootstrap_set.h"
#include "core/enrolment.h"
#include "core/feed.h"
#include "maintainer/gateway_rota.h"
#include "maintainer/membership.h"
#include "os/loop.h"
#include "os/tls.h"
#include "os/trust.h"

namespace fortros {

// What the feed works with; all of it must outlive it.
struct MemberFeedParts {
    Loop& loop;
    Log& log;
    Random& random;
    const PrivateKey& key;
    const TrustAnchors& anchors;
    MembershipListener& listener;
};

// Who asks, and what is known when it begins.
struct MemberFeedSelf {
    PublicKey node;
    OrgPrefix prefix;
    std::string gateway_name;
    std::string hostname{};
    std::string agent{};                // name and version
    std::string boot_id{};              // 32 hexadecimal digits
    std::vector<Endpoint> gateways{};   // HTTPS, the best first
    std::uint16_t https_port = 443;     // of gateways that the feed names
    std::uint64_t document_serial = 0;  // of the one that the roster has
    OrgFloor floor{};
    std::uint64_t attestation_serial = 0;
    WallTime renew_at{};  // this node's membership
    WallTime clock_floor{};
};

// When a membership of that life is renewed: at half of it, and at half of the life of the bootstrap set
// that comes with it.
inline std::chrono::seconds renewal_of(std::chrono::seconds life) {
    return std::min<std::chrono::seconds>(life, bootstrap_set_life) / 2;
}

class MemberFeed final : public Membership, private TlsHandler {
public:
    static Result<std::unique_ptr<MemberFeed>> create(MemberFeedParts parts, MemberFeedSelf self);
    ~MemberFeed() override;

    void start() override;
    MembershipStatus status() const override;

    // What the roster has come to since: it is not asked for again.
    void document_taken(const OrgFloor& floor) { m_self.floor = floor; }
    // This node's membership is renewed within that time, at a moment of chance.
    void renew_within(std::chrono::seconds time);
    // The underlay has changed: what hangs is given up, and what was out of reach tried again.
    void moved();

private:
    MemberFeed(MemberFeedParts parts, MemberFeedSelf self);

    void schedule();
    void ask(const Endpoint& endpoint);
    void give_up(Error error, std::optional<Duration> retry_after = {});
    void hang_up();
    bool is_renewal_due() const;

    // TlsHandler
    void authenticated(GatewayIdentity identity) override;
    void answered(HttpAnswer answer) override;
    void failed(Error error) override;

    Result<PendingRequest> make_renewal();
    Status take_renewal(const HttpAnswer& answer);
    Status take_page(const HttpAnswer& answer);
    Status refuse(const Rejected& rejected);
    void take(FeedPage page);
    void heard_from();

    MemberFeedParts m_parts;
    MemberFeedSelf m_self;
    std::unique_ptr<TlsConnector> m_connector;
    GatewayRota m_rota;
    FeedPosition m_position{};
    bool m_catching_up = false;  // pages follow, or all is said anew

    struct Conversation {
        Endpoint endpoint;
        Instant began{};
        std::unique_ptr<TlsConnection> connection{};
        std::optional<GatewayIdentity> gateway{};
        std::optional<PendingRequest> pending{};
        bool renews = false;
        std::optional<Duration> patience{};  // that the gateway has asked for
    };
    std::optional<Conversation> m_conversation;
    Loop::Timer m_next;
    Loop::Timer m_deadline;
    Instant m_last_poll{};
    Instant m_renew_not_before{};

    std::optional<Instant> m_heard{};
    std::string m_source;
    std::string m_problem = "no gateway has been asked yet";
    bool m_complained = false;
};

}  // namespace fortros
