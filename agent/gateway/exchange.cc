#include "gateway/exchange.h"

namespace fortros::gateway {

const std::string* Request::header(std::string_view lower_case_name) const {
    const std::string* found = nullptr;
    for (const auto& [name, value] : headers) {
        if (name != lower_case_name) continue;
        if (found != nullptr) return nullptr;
        found = &value;
    }
    return found;
}

Answer make_answer(int status, std::string json) {
    return {status, {{"Content-Type", "application/json"}}, std::move(json)};
}

Answer make_refusal(RefusalCode code, std::string message) {
    auto answer = make_answer(status_of(code), to_json_text(Refusal{code, std::move(message)}));
    answer.refusal = code;
    return answer;
}

Answer make_busy(std::chrono::seconds retry_after) {
    auto answer = make_refusal(RefusalCode::Busy, "the gateway cannot serve this now");
    answer.headers.emplace_back("Retry-After", std::to_string(retry_after.count()));
    return answer;
}

}  // namespace fortros::gateway
