// The exit codes of fortros-gateway: stable, documented in the README, never reused.
#pragma once

#include <expected>
#include <utility>

#include "base/result.h"

namespace fortros::gateway {

enum class ExitCode : int {
    Ok = 0,
    Failure = 1,      // a bug or a failing operating system
    Usage = 2,        // the command line
    Settings = 3,     // the settings file or the org's
    Credentials = 4,  // a certificate or key is missing, unreadable or does not fit the others
    Database = 5,     // the registry can't be opened, read or written
    Listen = 6,       // an address can't be listened on
    WireGuard = 7,    // the overlay's interface or the guard can't be set up
    NotFound = 8,     // there is no such node or invite
    Audit = 9,        // the audit log was changed
};

// An error that ends a command, and what the command then exits with.
struct Failure {
    ExitCode code = ExitCode::Failure;
    Error error;
};

template <typename T>
using Outcome = std::expected<T, Failure>;

// The same result, with the exit code that its error means here:
//     auto registry = TRY(or_exit(ExitCode::Database, SqliteRegistry::open(...)));
template <typename T>
Outcome<T> or_exit(ExitCode code, Result<T> result) {
    if (!result) return std::unexpected(Failure{code, std::move(result).error()});
    if constexpr (std::is_void_v<T>)
        return {};
    else
        return std::move(*result);
}

}  // namespace fortros::gateway
