// The gateway's log on standard error: one line an entry, for people first and for programs after,
// as "message event=enrolled node=...". Strangers' bytes never reach a terminal as they are.
#pragma once

#include <string>

#include "base/log.h"

namespace fortros::gateway {

// Pure: the line without prefix and newline. Values with blanks or quotes are quoted as in JSON.
std::string to_logfmt(const LogEntry& entry);

// Under a service manager that keeps the lines (JOURNAL_STREAM is set, sd-daemon(3)) the level is
// prefixed as "<6>", elsewhere the program's name.
class LogfmtLog final : public Log {
public:
    explicit LogfmtLog(int fd = 2);
    void write(const LogEntry& entry) override;

private:
    int m_fd;
    bool m_with_levels;
};

}  // namespace fortros::gateway
