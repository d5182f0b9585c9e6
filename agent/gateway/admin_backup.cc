// The admin commands backup and restore, of a registry in a file: all of it in one file, and from there
// to where a gateway has lost its own.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "gateway/admin_parts.h"
#include "gateway/audit_chain.h"
#include "gateway/sqlite_registry.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/files.h"

namespace fortros::gateway {

static constexpr mode_t backup_mode = 0600;
static constexpr std::size_t backup_limit = std::size_t{4} * 1024 * 1024 * 1024;
static constexpr Duration patience = 10s;
// Who has the file open keeps it open: it is not worth waiting for.
static constexpr Duration alone_patience = 200ms;

static Outcome<void> require_file(const GatewaySettings& settings) {
    if (settings.etcd.endpoints.empty()) return {};
    return failure(ExitCode::Usage,
                   "the registry is in etcd: etcdctl snapshot save and etcdutl snapshot restore, "
                   "then fortros-gateway policy publish");
}

static bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

// --- backup ---

Outcome<Said> backup(const Arguments& arguments, const GatewaySettings& settings) {
    TRY(require_file(settings));
    if (!exists(settings.database))
        return failure(ExitCode::Database, "there is no database '" + settings.database + "'");
    auto registry = TRY(or_exit(
        ExitCode::Database, SqliteRegistry::open(settings.database, settings.prefix, patience)));
    TRY(or_exit(ExitCode::Database, registry->check()));
    const auto image = TRY(or_exit(ExitCode::Database, registry->image()));
    const std::string& file = arguments.words[0];
    const auto write = arguments.has("--overwrite") ? write_file : write_new_file;
    TRY(or_exit(ExitCode::Failure, write(file, image.view(), backup_mode)));
    return Said{.note = "'" + file + "' has " + std::to_string(image.size()) +
                        " bytes; keep it where strangers cannot read who is a member\n"};
}

// --- restore ---

namespace {

// A database beside the one that it is to become, which goes unless it has become it.
class NewDatabase {
public:
    explicit NewDatabase(const std::string& target)
        : m_target(target), m_path(target + ".restoring") {
        remove();
    }
    NewDatabase(const NewDatabase&) = delete;
    NewDatabase& operator=(const NewDatabase&) = delete;
    ~NewDatabase() { remove(); }

    const std::string& path() const { return m_path; }

    Status become_target() const {
        if (exists(m_path + "-wal"))
            return fail(ErrorCode::Io, "'" + m_path + "' could not be finished");
        if (::rename(m_path.c_str(), m_target.c_str()) < 0)
            return fail_errno(errno, "cannot make '" + m_target + "'");
        const auto folder = std::filesystem::path(m_target).parent_path();
        const Fd directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!directory.valid() || (::fsync(directory.get()) < 0 && errno != EINVAL))
            return fail_errno(errno, "cannot write '" + folder.string() + "' to its disk");
        return {};
    }

private:
    void remove() const {
        for (const char* ending : {"", "-wal", "-shm", "-journal"})
            ::unlink((m_path + ending).c_str());
    }

    std::string m_target;
    std::string m_path;
};

}  // namespace

// What nodes may have seen since the backup was made is older than all that follows.
static Outcome<std::string> prepare(const std::string& path, const GatewaySettings& settings,
                                    const std::string& file) {
    auto registry =
        TRY(or_exit(ExitCode::Database, SqliteRegistry::open(path, settings.prefix, patience)));
    TRY(or_exit(ExitCode::Database, registry->check()));
    const auto verdict = TRY(or_exit(ExitCode::Database, verify_audit(*registry)));
    const auto now = wall_now();
    TRY(or_exit(
        ExitCode::Database,
        registry->record(
            {.time = now, .event = "restored", .actor = actor(), .detail = "from " + file})));
    const auto policy = TRY(or_exit(
        ExitCode::Database, registry->change_policy({.renew = Renewal::All}, actor(), now)));
    const auto nodes = TRY(or_exit(ExitCode::Database, registry->nodes_since(0)));
    std::string note = std::to_string(nodes.size()) + " nodes; the org document has serial " +
                       std::to_string(policy.serial) + " now\n";
    if (verdict.flaw)
        note += "warning: its audit log was changed: entry " +
                std::to_string(verdict.flaw->number) + " " + verdict.flaw->what + "\n";
    return note;
}

Outcome<Said> restore(const Arguments& arguments, const GatewaySettings& settings) {
    TRY(require_file(settings));
    const std::string& file = arguments.words[0];
    const std::string& target = settings.database;
    std::optional<Database> replaced;  // held, so that nobody begins to use it
    if (exists(target)) {
        if (!arguments.has("--overwrite"))
            return failure(ExitCode::Database, "there is a database '" + target +
                                                   "' already (--overwrite replaces it)");
        replaced = TRY(or_exit(ExitCode::Database, Database::open(target, alone_patience)));
        TRY(or_exit(ExitCode::Database, replaced->take_alone()));
    } else if (exists(target + "-wal")) {
        // SQLite would add its content to whatever database comes to stand there.
        return failure(ExitCode::Database,
                       "'" + target + "-wal' is left of another database: move it away");
    }
    const auto image = TRY(or_exit(ExitCode::Failure, read_secret_file(file, backup_limit)));
    if (image.empty()) return failure(ExitCode::Database, "'" + file + "' is empty");
    const NewDatabase made(target);
    TRY(or_exit(ExitCode::Database, Database::make(made.path(), image.view())));
    const auto note = TRY(prepare(made.path(), settings, file));
    TRY(or_exit(ExitCode::Database, made.become_target()));
    return Said{.note = "restored '" + target + "': " + note +
                        "Revoke again whom you have revoked since the backup was made, and invites "
                        "that were spent since\n"};
}

}  // namespace fortros::gateway
