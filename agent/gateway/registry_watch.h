// Notices what admin commands change in the registry while the gateway serves: the kernel says that
// the database's folder was written to, SQLite says whether by another connection. It reads no table.
#pragma once

#include <string>

#include "base/result.h"
#include "gateway/sqlite_registry.h"
#include "os/fd.h"

namespace fortros::gateway {

class RegistryWatch {
public:
    // `registry` must outlive the watch.
    static Result<RegistryWatch> create(SqliteRegistry& registry, const std::string& database_path);

    // Can be read when it is worth asking. It is worth asking now and then in any case: a file
    // system may not tell.
    int fd() const { return m_inotify.get(); }

    // Whether anybody else has committed since the last call.
    Result<bool> changed();

private:
    RegistryWatch(SqliteRegistry& registry, Fd inotify, std::int64_t version)
        : m_registry(&registry), m_inotify(std::move(inotify)), m_version(version) {}

    SqliteRegistry* m_registry;
    Fd m_inotify;
    std::int64_t m_version;
};

}  // namespace fortros::gateway
