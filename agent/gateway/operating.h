// What the operating lane answers: whether the gateway lives, whether it can do its work, and its
// numbers. It asks whoever knows, and changes nothing.
//
//   GET /healthz   200 for as long as the loops turn: who gets no answer, or a 503, should restart it
//   GET /readyz    200, or 503 with what is wrong, a line for each check
//   GET /metrics   exposition.h
#pragma once

#include "base/time.h"
#include "gateway/exchange.h"
#include "gateway/metrics.h"

namespace fortros::gateway {

struct OperatingView {
    Metrics metrics{};
    Duration silence{};  // for so long whoever decides has not been heard of
};

// Longer than any step that a gateway takes, by far: it will not end.
inline constexpr Duration longest_silence = 60s;

// Whether the answer needs more of the view than the silence.
bool asks_how_things_are(const Request& request);

Answer answer_operator(const Request& request, const OperatingView& view);

}  // namespace fortros::gateway
