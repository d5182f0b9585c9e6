// What the programs tell: one line for people and one object for programs, made from the same
// entry. No secret may ever be put into an entry; nothing here writes anywhere.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace fortros {

// The numbers are those of syslog(3) and of the kernel log.
enum class Level { Error = 3, Warning = 4, Notice = 5, Info = 6, Debug = 7 };

struct LogField {
    std::string key;
    std::variant<std::string, std::int64_t, double, bool> value;
};

// What only a drawing of the boot needs does not scroll by on a console.
enum class Audience { Everybody, Programs };

struct LogEntry {
    Level level = Level::Info;
    std::string event;    // stable name for programs: "stage", "candidate-failed"
    std::string message;  // for people, one line, without the program's name
    std::vector<LogField> fields{};
    Audience audience = Audience::Everybody;
};

class Log {
public:
    Log() = default;
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;
    virtual ~Log() = default;

    virtual void write(const LogEntry& entry) = 0;
};

}  // namespace fortros
