#include "gateway/operating.h"

#include <algorithm>

#include "base/text.h"

namespace fortros::gateway {

static constexpr std::size_t problem_limit = 500;

static Answer plain(int status, std::string text) {
    return {status, {{"Content-Type", "text/plain; charset=utf-8"}}, std::move(text)};
}

static Answer readiness(const std::vector<Check>& checks) {
    std::string text;
    for (const auto& check : checks)
        text += check.name + ": " +
                (check.problem.empty() ? "ok" : printable(check.problem, problem_limit)) + "\n";
    const bool is_ready =
        std::ranges::all_of(checks, [](const Check& check) { return check.problem.empty(); });
    return plain(is_ready ? 200 : 503, std::move(text));
}

static Answer numbers(const Request& request, const OperatingView& view) {
    const auto* accept = request.header("accept");
    const auto form = exposition_for(accept == nullptr ? "" : *accept);
    return {200,
            {{"Content-Type", std::string(content_type_of(form))}},
            to_text(families_of(view.metrics), form)};
}

static Answer liveness(Duration silence) {
    if (silence <= longest_silence) return plain(200, "ok\n");
    return plain(503, "at the same step for " + to_text(silence) + "\n");
}

static std::string_view path_of(const Request& request) {
    return std::string_view(request.target).substr(0, request.target.find('?'));
}

bool asks_how_things_are(const Request& request) {
    return request.method == "GET" &&
           (path_of(request) == "/readyz" || path_of(request) == "/metrics");
}

Answer answer_operator(const Request& request, const OperatingView& view) {
    const auto path = path_of(request);
    if (path != "/healthz" && path != "/readyz" && path != "/metrics")
        return plain(404, "there are /healthz, /readyz and /metrics\n");
    if (request.method != "GET") {
        auto answer = plain(405, "this address takes GET only\n");
        answer.headers.emplace_back("Allow", "GET");
        return answer;
    }
    if (path == "/healthz") return liveness(view.silence);
    if (path == "/readyz") return readiness(view.metrics.checks);
    return numbers(request, view);
}

}  // namespace fortros::gateway
