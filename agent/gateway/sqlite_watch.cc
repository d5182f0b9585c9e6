#include "gateway/sqlite_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace fortros::gateway {

static constexpr std::size_t events_size = std::size_t{4} * 1024;

Result<std::unique_ptr<RegistryWatch>> SqliteWatch::create(SqliteRegistry& registry,
                                                           const std::string& database_path) {
    Fd inotify(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!inotify.valid()) return fail_errno(errno, "cannot watch the database");
    // The folder and not the write-ahead log: SQLite may make that file anew.
    const auto folder = std::filesystem::path(database_path).parent_path();
    if (::inotify_add_watch(inotify.get(), folder.c_str(), IN_MODIFY | IN_CREATE) < 0)
        return fail_errno(errno, "cannot watch '" + folder.string() + "'");
    const auto version = TRY(registry.data_version());
    return std::unique_ptr<RegistryWatch>(new SqliteWatch(registry, std::move(inotify), version));
}

Result<bool> SqliteWatch::changed() {
    alignas(inotify_event) char events[events_size];
    while (::read(m_inotify.get(), events, sizeof(events)) > 0) {
        // That something happened is all we want to know.
    }
    const auto version = TRY(m_registry->data_version());
    const bool changed = version != m_version;
    m_version = version;
    return changed;
}

}  // namespace fortros::gateway
