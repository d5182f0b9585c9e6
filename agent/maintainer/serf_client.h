// The connection to the Serf agent of this node (its RPC listener on this host): made again whenever it
// breaks, for an agent may be restarted at any time. What it hears it tells; it decides nothing.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "maintainer/serf_conversation.h"
#include "os/fd.h"
#include "os/loop.h"

namespace fortros {

class SerfClient {
public:
    // Called from the loop.
    using Hear = std::function<void(SerfHeard)>;

    // Begins to connect. `loop`, `random` and `log` must outlive it.
    SerfClient(Loop& loop, Random& random, Log& log, const Endpoint& agent, std::string password,
               Hear hear);
    SerfClient(const SerfClient&) = delete;
    SerfClient& operator=(const SerfClient&) = delete;

    // What this node announces from now on, also by an agent that is restarted.
    void announce(Bytes attestation);
    // Where there are others, to be joined at each connection to the agent. Serf itself keeps trying
    // who has failed; these are for an agent that knows nobody.
    void introduce(std::vector<IpAddress> overlay_addresses);
    // Answered by a SerfCoordinateHeard; not at all while there is no connection.
    void ask_coordinate(const PublicKey& node);

    bool connected() const { return m_conversation.has_value(); }

private:
    void connect();
    void ready(std::uint32_t events);
    Status advance(std::uint32_t events);
    Status begin();
    Status send();
    Status receive();
    void queue(const Result<Bytes>& request);
    void say(const Result<Bytes>& request);
    void lose(const Error& error);

    Loop& m_loop;
    Random& m_random;
    Log& m_log;
    Endpoint m_agent;
    std::string m_password;
    Hear m_hear;
    Bytes m_attestation{};
    std::vector<IpAddress> m_others{};
    Fd m_socket{};
    std::optional<SerfConversation> m_conversation{};  // while connected
    Bytes m_unsent{};
    unsigned m_failures = 0;  // since it was connected last
    Loop::Watch m_watch{};    // after the socket: it goes first
    Loop::Timer m_retry{};
};

}  // namespace fortros
