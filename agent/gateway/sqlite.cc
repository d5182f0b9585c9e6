#include "gateway/sqlite.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/text.h"
#include "os/fd.h"

namespace fortros::gateway {

static ErrorCode code_of(int sqlite_code, int system) {
    if (system == ENOSPC || system == EDQUOT) return ErrorCode::Exhausted;
    switch (sqlite_code & 0xff) {
        case SQLITE_BUSY:
        case SQLITE_LOCKED: return ErrorCode::Busy;
        case SQLITE_FULL:
        case SQLITE_NOMEM: return ErrorCode::Exhausted;
        case SQLITE_IOERR:
        case SQLITE_CANTOPEN: return ErrorCode::Io;
        case SQLITE_READONLY:
        case SQLITE_PERM:
        case SQLITE_AUTH: return ErrorCode::PermissionDenied;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB: return ErrorCode::InvalidData;
        case SQLITE_CONSTRAINT: return ErrorCode::Conflict;
        default: return ErrorCode::Internal;
    }
}

static std::unexpected<Error> fail_sqlite(sqlite3* connection) {
    const int code = sqlite3_extended_errcode(connection);
    const int system = (code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN
                           ? sqlite3_system_errno(connection)
                           : 0;
    const char* path = sqlite3_db_filename(connection, nullptr);
    return std::unexpected(Error{code_of(code, system),
                                 "database '" + std::string(path == nullptr ? "" : path) + "'",
                                 system, sqlite3_errmsg(connection)});
}

// --- queries ---

Query::~Query() {
    if (m_statement == nullptr) return;
    sqlite3_reset(m_statement);
    sqlite3_clear_bindings(m_statement);
}

Result<bool> Query::next() {
    switch (sqlite3_step(m_statement)) {
        case SQLITE_ROW: return true;
        case SQLITE_DONE: return false;
        default: return fail_sqlite(sqlite3_db_handle(m_statement));
    }
}

Status Query::finish() {
    while (TRY(next())) {
    }
    return {};
}

// Binding fails only for an index that the text does not have, or without memory.
void Query::bind(int index, std::int64_t value) {
    ASSERT(sqlite3_bind_int64(m_statement, index, value) == SQLITE_OK);
}

void Query::bind(int index, std::string_view value) {
    ASSERT(sqlite3_bind_text64(m_statement, index, value.empty() ? "" : value.data(), value.size(),
                               SQLITE_TRANSIENT, SQLITE_UTF8) == SQLITE_OK);
}

void Query::bind(int index, ByteView value) {
    ASSERT(sqlite3_bind_blob64(m_statement, index, value.data(), value.size(), SQLITE_TRANSIENT) ==
           SQLITE_OK);
}

void Query::bind(int index, std::nullopt_t) {
    ASSERT(sqlite3_bind_null(m_statement, index) == SQLITE_OK);
}

bool Query::is_null(int column) const {
    return sqlite3_column_type(m_statement, column) == SQLITE_NULL;
}

std::int64_t Query::integer(int column) const { return sqlite3_column_int64(m_statement, column); }

std::string_view Query::text(int column) const {
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(m_statement, column));
    if (text == nullptr) return {};
    return {text, static_cast<std::size_t>(sqlite3_column_bytes(m_statement, column))};
}

ByteView Query::blob(int column) const {
    const auto* bytes = static_cast<const std::uint8_t*>(sqlite3_column_blob(m_statement, column));
    if (bytes == nullptr) return {};
    return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(m_statement, column))};
}

// --- the connection ---

static std::string folder_of(const std::string& path) {
    const auto slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

// SQLite would make the file readable for everyone who may enter the folder.
Status Database::make(const std::string& path, ByteView content) {
    const std::string folder = folder_of(path);
    if (::mkdir(folder.c_str(), 0700) < 0 && errno != EEXIST)
        return fail_errno(errno, "cannot make the folder '" + folder + "' for the database");
    const Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file.valid()) return fail_errno(errno, "cannot create the database '" + path + "'");
    struct stat owner{};
    if (::geteuid() == 0 && ::stat(folder.c_str(), &owner) == 0 && owner.st_uid != 0 &&
        ::fchown(file.get(), owner.st_uid, owner.st_gid) < 0)
        return fail_errno(errno, "cannot give the database '" + path + "' to its folder's owner");
    while (!content.empty()) {
        const auto count = ::write(file.get(), content.data(), content.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail_errno(errno, "cannot write the database '" + path + "'");
        content = content.subspan(static_cast<std::size_t>(count));
    }
    if (::fsync(file.get()) < 0)
        return fail_errno(errno, "cannot write the database '" + path + "' to its disk");
    return {};
}

Result<Database> Database::open(const std::string& path, Duration busy_timeout) {
    if (auto made = make(path, {}); !made && made.error().code != ErrorCode::Conflict)
        return std::unexpected(std::move(made).error());
    sqlite3* connection = nullptr;
    const int code = sqlite3_open_v2(
        path.c_str(), &connection,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
    Database database(path, connection);
    if (code != SQLITE_OK) {
        if (connection == nullptr)
            return fail(ErrorCode::Exhausted, "no memory for the database '" + path + "'");
        return fail_sqlite(connection);
    }
    sqlite3_busy_timeout(
        connection,
        static_cast<int>(
            std::chrono::duration_cast<std::chrono::milliseconds>(busy_timeout).count()));
    sqlite3_db_config(connection, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    TRY(
        database.run_script("PRAGMA trusted_schema = OFF; PRAGMA foreign_keys = ON;"
                            "PRAGMA synchronous = FULL;"));
    auto mode = TRY(database.query("PRAGMA journal_mode = WAL"));
    if (!TRY(mode.next()) || mode.text(0) != "wal")
        return fail(
            ErrorCode::Unsupported,
            "database '" + path + "' cannot use a write-ahead log: is its file system local?");
    return database;
}

Result<sqlite3_stmt*> Database::prepare(const char* sql) {
    auto& statement = m_statements[sql];
    if (!statement) {
        sqlite3_stmt* prepared = nullptr;
        if (sqlite3_prepare_v3(m_connection.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &prepared,
                               nullptr) != SQLITE_OK)
            return fail_sqlite(m_connection.get());
        statement.reset(prepared);
    }
    ASSERT(sqlite3_stmt_busy(statement.get()) == 0);
    return statement.get();
}

Status Database::run_script(const char* sql) {
    if (sqlite3_exec(m_connection.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK)
        return fail_sqlite(m_connection.get());
    return {};
}

// One read transaction holds all of it still.
Result<SecretBytes> Database::image() {
    struct Free {
        void operator()(unsigned char* bytes) const { sqlite3_free(bytes); }
    };
    TRY(run_script("BEGIN"));
    sqlite3_int64 size = 0;
    const std::unique_ptr<unsigned char, Free> bytes(
        sqlite3_serialize(m_connection.get(), "main", &size, 0));
    TRY(run_script("COMMIT"));
    if (!bytes || size <= 0)
        return fail(ErrorCode::Exhausted, "no memory for a copy of the database '" + m_path + "'");
    return SecretBytes(ByteView(bytes.get(), static_cast<std::size_t>(size)));
}

// Only the last one who has it open can end the write-ahead log.
Status Database::take_alone() {
    auto mode = TRY(query("PRAGMA journal_mode = DELETE"));
    const bool is_alone = TRY(mode.next()) && mode.text(0) == "delete";
    TRY(mode.finish());
    if (!is_alone) return fail(ErrorCode::Busy, "somebody uses the database '" + m_path + "'");
    return run_script("BEGIN EXCLUSIVE");
}

// --- transactions ---

// After some errors (a full disk) SQLite rolls back by itself: what follows within the same outer
// transaction must not become one of its own.
Result<Transaction> Transaction::begin(Database& database) {
    const bool is_inner = database.m_transactions > 0;
    if (is_inner && !database.in_transaction())
        return fail(ErrorCode::Io, "database '" + database.path() +
                                       "' has undone the transaction that this is a part of");
    TRY(database.execute(is_inner ? "SAVEPOINT inner" : "BEGIN IMMEDIATE"));
    return Transaction(database, is_inner);
}

Transaction::Transaction(Database& database, bool is_inner)
    : m_database(&database), m_is_inner(is_inner) {
    ++database.m_transactions;
}

Transaction::~Transaction() {
    if (m_database == nullptr) return;
    --m_database->m_transactions;
    if (!m_database->in_transaction()) return;
    [[maybe_unused]] Status status;
    if (m_is_inner) status = m_database->execute("ROLLBACK TO inner");
    status = m_database->execute(m_is_inner ? "RELEASE inner" : "ROLLBACK");
}

Status Transaction::commit() {
    TRY(m_database->execute(m_is_inner ? "RELEASE inner" : "COMMIT"));
    --m_database->m_transactions;
    m_database = nullptr;
    return {};
}

}  // namespace fortros::gateway
