// SQLite as values and Results: a connection, queries that are prepared once, and transactions that
// end with their scope. It knows no table, and never retries by itself beyond the busy timeout.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"

namespace fortros::gateway {

// A running query. Values are bound when it is made; its rows are read one after the other. It must
// go before its Database, and before the same text is queried again.
class Query {
public:
    Query(const Query&) = delete;
    Query& operator=(const Query&) = delete;
    Query(Query&& other) noexcept : m_statement(std::exchange(other.m_statement, nullptr)) {}
    Query& operator=(Query&&) = delete;
    ~Query();

    // Steps to the next row; false after the last one.
    Result<bool> next();
    // Runs to the end; for what has no rows, or none of interest.
    Status finish();

    // Of the current row; columns count from 0. A value of another type reads as empty or 0.
    bool is_null(int column) const;
    std::int64_t integer(int column) const;
    std::string_view text(int column) const;  // borrowed until the next step
    ByteView blob(int column) const;          // borrowed until the next step

private:
    friend class Database;
    explicit Query(sqlite3_stmt* statement) : m_statement(statement) {}

    void bind(int index, std::int64_t value);
    void bind(int index, std::uint64_t value) { bind(index, static_cast<std::int64_t>(value)); }
    void bind(int index, std::uint32_t value) { bind(index, std::int64_t{value}); }
    void bind(int index, std::string_view value);
    void bind(int index, const std::string& value) { bind(index, std::string_view(value)); }
    void bind(int index, ByteView value);
    void bind(int index, std::nullopt_t);
    void bind(int index, WallTime value) { bind(index, value.time_since_epoch().count()); }
    template <typename Value>
    void bind(int index, const std::optional<Value>& value) {
        if (value)
            bind(index, *value);
        else
            bind(index, std::nullopt);
    }

    sqlite3_stmt* m_statement;
};

class Database {
public:
    // Opens or creates, with mode 0600; a file made by root in somebody's folder is given to them,
    // so that an admin command may come before the service's first start. WAL, synchronous=FULL,
    // foreign keys on. `busy_timeout` bounds how long a call waits for another connection.
    static Result<Database> open(const std::string& path, Duration busy_timeout);
    // Makes the file as open does, with this content, durably. Conflict if there is one.
    static Status make(const std::string& path, ByteView content);

    // Values are bound to ?1, ?2, ... in order. Texts are literals: the prepared statement is kept.
    template <typename... Values>
    Result<Query> query(const char* sql, const Values&... values) {
        Query query(TRY(prepare(sql)));
        int index = 0;
        (query.bind(++index, values), ...);
        return query;
    }

    // A query without rows.
    template <typename... Values>
    Status execute(const char* sql, const Values&... values) {
        return TRY(query(sql, values...)).finish();
    }

    // Several statements, nothing bound, nothing kept: schemas.
    Status run_script(const char* sql);

    // All of the file as of one moment, whoever writes meanwhile.
    Result<SecretBytes> image();
    // Keeps everybody else out for as long as it is open. Busy if somebody has the file open.
    Status take_alone();

    const std::string& path() const { return m_path; }
    bool in_transaction() const { return sqlite3_get_autocommit(m_connection.get()) == 0; }

private:
    struct Close {
        void operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }
        void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
    };

    Database(std::string path, sqlite3* connection)
        : m_path(std::move(path)), m_connection(connection) {}
    Result<sqlite3_stmt*> prepare(const char* sql);

    friend class Transaction;

    std::string m_path;
    unsigned m_transactions = 0;  // that have begun and not ended, one within the other
    std::unique_ptr<sqlite3, Close> m_connection;
    std::map<std::string_view, std::unique_ptr<sqlite3_stmt, Close>> m_statements;
};

// A write transaction: takes the write lock at once, and is undone unless committed. One that begins
// within another is undone alone, and is durable only when the outer one is.
class Transaction {
public:
    static Result<Transaction> begin(Database& database);
    Transaction(Transaction&& other) noexcept
        : m_database(std::exchange(other.m_database, nullptr)), m_is_inner(other.m_is_inner) {}
    Transaction& operator=(Transaction&&) = delete;
    ~Transaction();

    // Durable once this has succeeded.
    Status commit();

private:
    Transaction(Database& database, bool is_inner);
    Database* m_database;
    bool m_is_inner;
};

}  // namespace fortros::gateway
