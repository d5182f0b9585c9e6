// What the operating lane answers: whether the gateway lives, whether it can do its work, and its
// numbers. It asks whoever knows, and changes nothing.
//
//   GET /healthz   200 for as long as the loop turns: who gets no answer should restart it
//   GET /readyz    200, or 503 with what is wrong, a line for each check
//   GET /metrics   exposition.h
#pragma once

#include <functional>
#include <vector>

#include "gateway/exchange.h"
#include "gateway/metrics.h"

namespace fortros::gateway {

struct OperatingView {
    std::function<std::vector<Check>()> checks;
    std::function<Metrics()> metrics;
};

Answer answer_operator(const Request& request, const OperatingView& view);

}  // namespace fortros::gateway
