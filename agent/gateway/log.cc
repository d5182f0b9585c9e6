#include "gateway/log.h"

#include <unistd.h>

#include <cstdlib>

#include "base/text.h"
#include "core/json.h"

namespace fortros::gateway {

static constexpr std::size_t message_limit = 1000;
static constexpr std::size_t value_limit = 300;

static std::string text_of(const std::variant<std::string, std::int64_t, double, bool>& value) {
    if (auto* text = std::get_if<std::string>(&value)) {
        auto plain = printable(*text, value_limit);
        const bool is_word = !plain.empty() && plain.find_first_of(" \"\\=") == std::string::npos;
        return is_word ? plain : Json(std::move(plain)).dump();
    }
    if (auto* number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
    if (auto* number = std::get_if<double>(&value)) return std::to_string(*number);
    return std::get<bool>(value) ? "true" : "false";
}

std::string to_logfmt(const LogEntry& entry) {
    std::string line = printable(entry.message, message_limit) + " event=" + entry.event;
    for (const auto& field : entry.fields) {
        const auto* number = std::get_if<std::int64_t>(&field.value);
        if (field.key == "not_logged_before" && number != nullptr && *number == 0) continue;
        line += " " + field.key + "=" + text_of(field.value);
    }
    return line;
}

LogfmtLog::LogfmtLog(int fd) : m_fd(fd), m_with_levels(std::getenv("JOURNAL_STREAM") != nullptr) {}

void LogfmtLog::write(const LogEntry& entry) {
    if (entry.level == Level::Debug) return;
    std::string line = m_with_levels ? "<" + std::to_string(static_cast<int>(entry.level)) + ">"
                                     : std::string("fortros-gateway: ");
    line += to_logfmt(entry) + "\n";
    // Nobody is left to be told of a log that can't be written.
    [[maybe_unused]] const auto written = ::write(m_fd, line.data(), line.size());
}

}  // namespace fortros::gateway
