// The member feed: what has changed among the members since a node last asked, and, for who asks to
// wait, as soon as something has. What it costs depends on the change, not on how many members there
// are; whoever is up to date costs a place in a list.
//
//   GET /v1/members?since=REVISION&document=SERIAL&wait=SECONDS&boot=ID
//
// The same changes are asked for by many at once: they are made into an answer once, which all of them
// share, and which is only sealed for each. It is news of who is there; what makes a member one is its attestation.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "gateway/backbone.h"
#include "gateway/exchange.h"
#include "gateway/feed_query.h"
#include "gateway/issuer.h"
#include "gateway/proof_gate.h"
#include "gateway/registry.h"
#include "os/loop.h"

namespace fortros::gateway {

class MemberFeed {
public:
    struct Parts {
        Loop& loop;
        Registry& registry;
        Issuer& issuer;
        Backbone& backbone;
        Random& random;
        std::function<void(const PublicKey& node, std::string_view boot_id)> boot_seen;
    };

    // All borrowed; must outlive the feed.
    explicit MemberFeed(Parts parts) : m_parts(std::move(parts)) {}

    // To members_target.
    void handle(const Proved& proved, Reply reply, WallTime now);

    // The registry may have changed: whoever waits for that is answered, little by little.
    void look(WallTime now);

    // Nobody waits any more, nor from now on.
    void stop();

    // Whoever has given up does not wait any more. Looks at each.
    void forget_gone();

    std::size_t waiting() const { return m_waiting.size(); }

private:
    struct Page {
        std::shared_ptr<const std::string> body;
        std::shared_ptr<const std::string> compressed{};  // empty: does not pay
    };
    struct Waiting {
        PublicKey node;
        std::shared_ptr<const std::atomic<bool>> gone;
        Reply reply;
        FeedPosition since;
        bool takes_gzip = false;
        Loop::Timer deadline{};
    };

    Result<FeedPosition> position(WallTime now);
    Result<std::optional<Answer>> refusal_for(const PublicKey& node);
    Result<const Page*> page(const FeedPosition& since, WallTime now);
    Result<Page> make_page(const FeedPosition& since, WallTime now);
    Answer answer(const FeedPosition& since, bool takes_gzip, WallTime now);
    Answer answer_for(const PublicKey& node, const FeedPosition& since, bool takes_gzip,
                      WallTime now);
    Answer too_busy();
    void answer_some();
    void tell(std::list<Waiting>::iterator waiting, Answer answer);

    Parts m_parts;
    History m_history{};
    FeedPosition m_newest{};                 // of the pages
    FeedPosition m_told{};                   // of whoever has waited
    SignerId m_signer{};                     // of the pages
    std::map<FeedPosition, Page> m_pages{};  // by where those are who want them
    bool m_has_stopped = false;
    std::list<Waiting> m_waiting{};                                 // the oldest first
    std::map<PublicKey, std::list<Waiting>::iterator> m_by_node{};  // each waits once
    Loop::Timer m_turn{};
};

}  // namespace fortros::gateway
