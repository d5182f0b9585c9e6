// What will happen in virtual time, in order; what happens at the same instant goes by when it was
// planned, so that the same seed gives the same run.
#pragma once

#include <cstdint>
#include <queue>
#include <vector>

#include "base/time.h"
#include "meshsim/world.h"

namespace fortros::meshsim {

enum class EventKind : std::uint8_t {
    Wake,        // of a node's maintainer
    Initiation,  // of a handshake, from a, arrives at b; `what`: its number
    Response,    // of a handshake, from a, arrives at b
    Retry,       // a has had no response from b
    Parcel,      // `what` arrives at b from a
    Keepalive,   // of all of a's tunnels that have one
    Beacon,      // of all nodes of the site a
    Traffic,     // one interval of all flows
    Plan,        // numbered `what`
    News,        // of members, at a
    Boot,        // of a node
};

struct Event {
    Instant at{};
    std::uint64_t order = 0;
    EventKind kind = EventKind::Wake;
    NodeId a = no_node;
    NodeId b = no_node;
    std::uint32_t what = 0;
};

class EventQueue {
public:
    void push(Instant at, EventKind kind, NodeId a = no_node, NodeId b = no_node,
              std::uint32_t what = 0) {
        m_events.push({at, m_pushed++, kind, a, b, what});
    }
    bool empty() const { return m_events.empty(); }
    Instant next() const { return m_events.top().at; }
    Event pop() {
        Event event = m_events.top();
        m_events.pop();
        return event;
    }
    std::uint64_t pushed() const { return m_pushed; }

private:
    struct Later {
        bool operator()(const Event& a, const Event& b) const {
            return a.at != b.at ? a.at > b.at : a.order > b.order;
        }
    };
    std::priority_queue<Event, std::vector<Event>, Later> m_events;
    std::uint64_t m_pushed = 0;
};

}  // namespace fortros::meshsim
