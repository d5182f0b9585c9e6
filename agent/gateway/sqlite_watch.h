// Notices what admin commands change in the registry's file while the gateway serves: the kernel says that
// the database's folder was written to, SQLite says whether by another connection. It reads no table.
#pragma once

#include <string>

#include "base/result.h"
#include "gateway/sqlite_registry.h"
#include "os/fd.h"

namespace fortros::gateway {

class SqliteWatch final : public RegistryWatch {
public:
    // `registry` must outlive the watch.
    static Result<std::unique_ptr<RegistryWatch>> create(SqliteRegistry& registry,
                                                         const std::string& database_path);

    // A file system may not tell.
    int fd() const override { return m_inotify.get(); }
    Result<bool> changed() override;

private:
    SqliteWatch(SqliteRegistry& registry, Fd inotify, std::int64_t version)
        : m_registry(&registry), m_inotify(std::move(inotify)), m_version(version) {}

    SqliteRegistry* m_registry;
    Fd m_inotify;
    std::int64_t m_version;
};

}  // namespace fortros::gateway
