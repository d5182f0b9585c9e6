#include "base/result.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace fortros {

std::string_view name_of(ErrorCode code) {
    switch (code) {
        case ErrorCode::InvalidArgument: return "invalid-argument";
        case ErrorCode::InvalidSettings: return "invalid-settings";
        case ErrorCode::InvalidData: return "invalid-data";
        case ErrorCode::NotFound: return "not-found";
        case ErrorCode::Unsupported: return "unsupported";
        case ErrorCode::PermissionDenied: return "permission-denied";
        case ErrorCode::Io: return "io";
        case ErrorCode::Timeout: return "timeout";
        case ErrorCode::Unreachable: return "unreachable";
        case ErrorCode::NameNotResolved: return "name-not-resolved";
        case ErrorCode::Untrusted: return "untrusted";
        case ErrorCode::Refused: return "refused";
        case ErrorCode::Revoked: return "revoked";
        case ErrorCode::Conflict: return "conflict";
        case ErrorCode::Busy: return "busy";
        case ErrorCode::Exhausted: return "exhausted";
        case ErrorCode::Cancelled: return "cancelled";
        case ErrorCode::Internal: return "internal";
    }
    return "internal";
}

std::string Error::text() const {
    std::string line = what;
    if (system != 0) {
        line += ": ";
        line += std::strerror(system);
    }
    if (!detail.empty()) {
        line += system != 0 ? " (" : ": ";
        line += detail;
        if (system != 0) line += ")";
    }
    return line;
}

Error Error::in(std::string_view context) && {
    what.insert(0, ": ").insert(0, context);
    return std::move(*this);
}

static ErrorCode code_of(int error_number) {
    switch (error_number) {
        case ENOENT:
        case ENODEV:
        case ENXIO: return ErrorCode::NotFound;
        case EACCES:
        case EPERM:
        case EROFS: return ErrorCode::PermissionDenied;
        case ENOSYS:
        case EOPNOTSUPP:
        case EAFNOSUPPORT:
        case EPROTONOSUPPORT: return ErrorCode::Unsupported;
        case ETIMEDOUT: return ErrorCode::Timeout;
        case ECONNREFUSED:
        case ECONNRESET:
        case ECONNABORTED:
        case EPIPE:
        case ENETDOWN:
        case ENETUNREACH:
        case EHOSTDOWN:
        case EHOSTUNREACH: return ErrorCode::Unreachable;
        case EADDRINUSE:
        case EEXIST: return ErrorCode::Conflict;
        case EBUSY: return ErrorCode::Busy;
        case ENOSPC:
        case EDQUOT:
        case EMFILE:
        case ENFILE:
        case ENOMEM: return ErrorCode::Exhausted;
        default: return ErrorCode::Io;
    }
}

std::unexpected<Error> fail_errno(int error_number, std::string what, std::string detail) {
    return std::unexpected(
        Error{code_of(error_number), std::move(what), error_number, std::move(detail)});
}

void panic(const char* expression, const char* file, int line) {
    std::fprintf(stderr, "fortros: this is a bug: %s does not hold at %s:%d\n", expression, file,
                 line);
    std::abort();
}

}  // namespace fortros
