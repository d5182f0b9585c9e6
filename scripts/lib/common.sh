# Shared by every script: where the project is, how messages look. Sourced, never run.
# shellcheck shell=bash

FORTROS_TOP="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)"
readonly FORTROS_TOP

# Where there is no standard input at all, as under some services, an empty one does.
{ : <&0; } 2>/dev/null || exec </dev/null

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

# Prints the comment block at the top of the running script (without the interpreter line).
usage() {
    sed -n '2,/^[^#]/{/^#/!d; s/^# \{0,1\}//; p}' "$0"
}

# True inside the Debian 13 root (or its equivalent on a Debian 13 host), where commands run as they are.
inside() { [ "${FORTROS_INSIDE:-}" = 1 ]; }

# Runs the calling script again inside the root. Returns when we are there already.
enter_root() {
    inside && return
    exec "$FORTROS_TOP/scripts/shell" "scripts/${0##*/}" "$@"
}

# with_lock FILE: takes an exclusive lock for as long as this shell lives; says so when it must wait.
with_lock() {
    mkdir -p "$(dirname "$1")"
    exec {FORTROS_LOCK_FD}>"$1"
    if ! flock --nonblock "$FORTROS_LOCK_FD"; then
        say "waiting for another run that holds ${1#"$FORTROS_TOP"/}"
        flock "$FORTROS_LOCK_FD"
    fi
}
