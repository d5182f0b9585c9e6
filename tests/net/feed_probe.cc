// maintainer/member_feed with a roster, as a program: follows the feed of a real gateway as the node
// whose key is made from SEED, and tells what it hears, a JSON object a line. It touches no interface.
//
//   usage: feed-probe CA.pem PREFIX GATEWAY_NAME SEED [renew] ADDRESS:PORT...
//
//   {"event": "org", "serial": N} {"event": "members", "keys": [...]} {"event": "cast-out"}
//   {"event": "renewed", "serial": N, "bootstrap": true}
//
// `members` comes with every change: all that are known then. On "moved" on standard input the underlay
// is said to have changed.
#include <sys/epoll.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <set>
#include <string>

#include "base/text.h"
#include "core/crypto.h"
#include "maintainer/member_feed.h"
#include "maintainer/roster.h"
#include "os/clock.h"
#include "os/files.h"
#include "os/log_sink.h"
#include "os/random.h"

using namespace fortros;

namespace {

class Listener final : public MembershipListener {
public:
    explicit Listener(Roster& roster) : m_roster(roster) {}
    MemberFeed* feed = nullptr;

    void heard_org(const std::vector<Bytes>& signers, ByteView document) override {
        if (Status status = m_roster.take_org(signers, document, wall_now()); !status)
            return complain(status.error());
        feed->document_taken(m_roster.floor());
        Json json{Json::Object{}};
        json.set("event", "org");
        json.set("serial", static_cast<std::int64_t>(m_roster.document_serial()));
        tell(json);
        if (m_roster.is_revoked()) cast_out("the org document revokes this node");
    }
    void heard_gateways(std::vector<MeshPeer> gateways) override {
        std::set<PublicKey> keys;
        for (const MeshPeer& gateway : gateways) {
            keys.insert(gateway.key);
            if (Status status = m_roster.admit({gateway}, wall_now()); !status)
                complain(status.error());
        }
        m_roster.keep_only(Role::Gateway, keys);
        members();
    }
    void heard(std::vector<MemberNews> news) override {
        for (MemberNews& one : news) m_roster.claim(std::move(one));
        if (m_roster.check_some(roster_claims_limit, wall_now()) > 0)
            complain({ErrorCode::Untrusted, m_roster.last_refusal()});
        members();
    }
    void removed(const std::vector<PublicKey>& keys) override {
        for (const PublicKey& key : keys) m_roster.remove(key);
        members();
    }
    void starts_anew() override { m_roster.begin_anew(); }
    void caught_up() override {
        m_roster.end_anew();
        members();
    }
    void renewed(const Joined& joined, const GatewayIdentity&, const Endpoint&) override {
        Json json{Json::Object{}};
        json.set("event", "renewed");
        json.set("serial", static_cast<std::int64_t>(joined.attestation.serial));
        json.set("bootstrap", joined.bootstrap.has_value());
        tell(json);
    }
    void cast_out(const std::string& why) override {
        Json json{Json::Object{}};
        json.set("event", "cast-out");
        json.set("why", why);
        tell(json);
    }

private:
    void members() {
        if (m_roster.members().revision() == m_told) return;
        m_told = m_roster.members().revision();
        Json keys{Json::Array{}};
        for (const mesh::Member* member : m_roster.members().all()) keys.push(member->key.base64());
        Json json{Json::Object{}};
        json.set("event", "members");
        json.set("keys", std::move(keys));
        tell(json);
    }
    static void tell(const Json& json) {
        std::printf("%s\n", json.dump().c_str());
        std::fflush(stdout);
    }
    static void complain(const Error& error) {
        std::fprintf(stderr, "feed-probe: %s\n", error.text().c_str());
    }

    Roster& m_roster;
    std::uint64_t m_told = 0;
};

Status run(int argc, char** argv) {
    if (argc < 6) return fail(ErrorCode::InvalidArgument, "see the head of this file");
    TRY(crypto::initialise());
    const auto anchors = TRY(TrustAnchors::load(argv[1]));
    const auto prefix = OrgPrefix::parse(argv[2]);
    const auto seed = parse_number<std::uint64_t>(argv[4]);
    if (!prefix || !seed) return fail(ErrorCode::InvalidArgument, "no prefix, or no seed");
    SeededRandom seeded(*seed);
    const auto key = crypto::make_private_key(seeded);
    MemberFeedSelf self{.node = TRY(crypto::public_key_of(key)),
                        .prefix = *prefix,
                        .gateway_name = argv[3],
                        .agent = "feed-probe",
                        .boot_id = std::string(32, 'f'),
                        .renew_at = WallTime::max()};
    for (int i = 5; i < argc; ++i) {
        if (std::string_view(argv[i]) == "renew")
            self.renew_at = {};
        else if (std::string_view(argv[i]).starts_with("boot="))
            self.boot_id = std::string(32, argv[i][5]);
        else if (const auto endpoint = Endpoint::parse(argv[i]))
            self.gateways.push_back(*endpoint);
        else
            return fail(ErrorCode::InvalidArgument, std::string("no endpoint: ") + argv[i]);
    }
    self.https_port = self.gateways.front().port;

    StderrLog log("feed-probe");
    KernelRandom random;
    auto loop = TRY(Loop::create());
    Roster roster(*prefix, self.node, *anchors);
    Listener listener(roster);
    const auto feed = TRY(MemberFeed::create({.loop = *loop,
                                              .log = log,
                                              .random = random,
                                              .key = key,
                                              .anchors = *anchors,
                                              .listener = listener},
                                             std::move(self)));
    listener.feed = feed.get();
    auto watch = TRY(loop->watch(STDIN_FILENO, EPOLLIN, [&](std::uint32_t) {
        char buffer[64];
        if (::read(STDIN_FILENO, buffer, sizeof buffer) <= 0) return loop->stop();
        feed->moved();
    }));
    feed->start();
    return loop->run();
}

}  // namespace

int main(int argc, char** argv) {
    const Status status = run(argc, argv);
    if (status) return 0;
    std::fprintf(stderr, "feed-probe: %s\n", status.error().text().c_str());
    return 1;
}
