// What nodes ask, on its way from the edge, where it was proved, to the desk, where it is decided, and the
// answers on their way back: within a bound, in their order, and only for those who still wait. It
// decides nothing.
//
//   edge ─▶ full? 503 ─▶ mailbox ─▶ gone? nothing; too late? 503 ─▶ desk
//   edge ◀────────────── mailbox ◀───────────────────────── answer ──┘
#pragma once

#include <atomic>
#include <functional>

#include "base/random.h"
#include "gateway/exchange.h"
#include "gateway/mailbox.h"
#include "gateway/proof_gate.h"

namespace fortros::gateway {

class HandOver {
public:
    // At the desk: answers once, then or later.
    using Decide = std::function<void(Proved, Reply)>;

    // Borrowed. The random numbers are taken at the edge and at the desk.
    struct Parts {
        Mailbox& to_desk;
        Mailbox& to_edge;
        Random& random;
    };

    HandOver(Parts parts, Decide decide) : m_parts(parts), m_decide(std::move(decide)) {}
    HandOver(const HandOver&) = delete;
    HandOver& operator=(const HandOver&) = delete;

    // At the edge, where the answer comes back.
    void add(Proved proved, Reply reply);

private:
    void take(Proved proved, Reply reply);

    Parts m_parts;
    Decide m_decide;
    std::atomic<std::size_t> m_waiting = 0;  // for the desk
};

}  // namespace fortros::gateway
