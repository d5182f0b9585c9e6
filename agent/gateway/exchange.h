// One HTTP exchange as values: what the edge has read, and what it shall write. The edge knows
// nothing of members, the admission nothing of sockets.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/secret.h"
#include "base/time.h"
#include "core/address.h"
#include "core/messages.h"
#include "core/proof.h"

namespace fortros::gateway {

using Headers = std::vector<std::pair<std::string, std::string>>;

// Nodes wait for an answer for five seconds, from their first word on.
inline constexpr Duration node_patience = 4500ms;

struct Request {
    std::string method;
    std::string target;
    Headers headers{};  // names in lower case
    SecretBytes body{};
    Exporter exporter{};  // of the TLS connection that it came over
    Endpoint from{};
    Instant since{};  // its client waits for an answer: the handshake is part of that
    // Set by the edge once nobody waits for an answer any more. Absent: somebody always does.
    std::shared_ptr<const std::atomic<bool>> gone{};

    bool is_gone() const { return gone && *gone; }

    // The value of a header that is there exactly once; null otherwise: of two nobody knows which.
    const std::string* header(std::string_view lower_case_name) const;
};

// What has become of a node that is not refused. It has, once the answer is given: what a batch that
// can't be written would have made of it does not count.
enum class Progress { Enrolled, Joined, BeganToWait };

struct Answer {
    int status = 0;
    Headers headers{};  // without Content-Length and Connection, which are the edge's
    std::string body{};
    // In place of a body, where many are told the same.
    std::shared_ptr<const std::string> shared_body{};
    std::optional<RefusalCode> refusal{};  // what its body says, if it is one
    std::optional<Progress> progress{};
    std::optional<LogEntry> note{};  // what the log says of it once it is given

    std::string_view content() const { return shared_body ? *shared_body : body; }
};

Answer make_answer(int status, std::string json);
// Of the status that belongs to the code; without a Retry-After.
Answer make_refusal(RefusalCode code, std::string message);
// The 503 for who has done nothing wrong, and may come again then.
Answer make_busy(std::chrono::seconds retry_after);

// Takes an answer back to where the request came from; later, or from a handler that returned long
// ago, as well. If the connection has gone meanwhile, nothing happens.
using Reply = std::move_only_function<void(Answer)>;
using Handler = std::function<void(Request, Reply)>;

}  // namespace fortros::gateway
