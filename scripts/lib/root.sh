# Makes and keeps the Debian 13 root in which everything is built and tested. Sourced, never run.
#
# The root is made in ROOT.new and renamed when it is whole, so an interrupted run starts again
# cleanly. Its stamp names the package list that it was made from: when the list grows, the
# difference is installed into the root that is there. On a Debian 13 host that has every package
# no root is made.
# shellcheck shell=bash

ROOT_DIR=$(realpath -m "${FORTROS_ROOT:-$FORTROS_TOP/build/root}")
ROOT_SUITE=trixie
# Raised when a root of an older script can't be brought up to date and must be made again.
ROOT_FORMAT=1

package_list() { sed 's/#.*//' "$FORTROS_TOP/scripts/packages" | tr -s ' ' '\n' | sed '/^$/d' | sort -u; }

root_stamp() { printf 'format %s packages %s\n' "$ROOT_FORMAT" "$(package_list | sha256sum | cut -c1-64)"; }

# The package mirror this machine is configured with; no host name is written down anywhere.
apt_mirror() {
    if [ -n "${FORTROS_MIRROR:-}" ]; then
        printf '%s\n' "$FORTROS_MIRROR"
        return
    fi
    local site release
    # shellcheck disable=SC2016  # expanded by apt
    while read -r site release; do
        case $release in
            *-security | *-updates | *-backports* | *-proposed* | '') continue ;;
        esac
        case $site in
            http://* | https://* | file:* | mirror*) printf '%s\n' "$site" && return ;;
        esac
    done < <(apt-get indextargets --format '$(SITE) $(RELEASE)' 'Created-By: Packages' 2>/dev/null)
    die "apt is configured with no package mirror here: set FORTROS_MIRROR to a Debian mirror's base address"
}

host_is_enough() {
    [ "${FORTROS_NO_HOST:-}" != 1 ] || return 1
    (
        # shellcheck source=/dev/null
        . /etc/os-release
        [ "${ID:-}" = debian ] && [ "${VERSION_ID:-}" = 13 ]
    ) || return 1
    local want have
    want=$(package_list)
    # shellcheck disable=SC2086  # a list of words
    have=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' $want 2>/dev/null | awk '$1 == "ii" { print $2 }' | sort -u)
    [ "$want" = "$have" ]
}

# Without root we need a range of subordinate ids, or no second user could exist in the root.
require_user_namespaces() {
    local missing=()
    [ "$(id -u)" = 0 ] && return
    command -v newuidmap >/dev/null || missing+=("apt-get install uidmap")
    local file
    for file in /etc/subuid /etc/subgid; do
        grep -Eqs "^($(id -un)|$(id -u)):" "$file" || missing+=("usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $(id -un)")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        die "running without root needs this done once by an administrator: $(printf '%s\n' "${missing[@]}" | sort -u | paste -sd ';' | sed 's/;/ \&\& /g')"
    fi
    unshare --user --map-root-user --map-auto true 2>/dev/null ||
        die "this kernel or its policy refuses user namespaces: run as root, or let an administrator allow them (sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)"
}

require_mmdebstrap() {
    command -v mmdebstrap >/dev/null && return
    [ "$(id -u)" = 0 ] || die "mmdebstrap is missing: an administrator must run: apt-get install mmdebstrap"
    command -v apt-get >/dev/null || die "mmdebstrap is missing and this is no Debian: install mmdebstrap"
    say "installing mmdebstrap with apt-get"
    apt-get -q update >&2 || die "apt-get update failed: see above"
    DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends mmdebstrap >&2 ||
        die "mmdebstrap could not be installed: see above"
}

# Removes a root, as the ids inside it where we are not root ourselves.
remove_root() {
    [ -e "$1" ] || return 0
    if [ "$(id -u)" = 0 ]; then
        rm -rf --one-file-system "$1"
    else
        unshare --user --map-root-user --map-auto rm -rf --one-file-system "$1"
    fi
}

make_root() {
    local mirror started=$SECONDS new=$ROOT_DIR.new packages
    mirror=$(apt_mirror)
    require_mmdebstrap
    remove_root "$new"
    packages=$(package_list | paste -sd ,)
    say "making a Debian 13 root in $ROOT_DIR (once; about two minutes, 1.8 GB)"
    local options=(--variant=apt "--include=$packages" "$ROOT_SUITE")
    if [ "$(id -u)" = 0 ]; then
        mmdebstrap --mode=root "${options[@]}" "$new" "deb $mirror $ROOT_SUITE main" >&2 ||
            die "mmdebstrap failed: see above; run again when the cause is gone"
    else
        # By way of an archive, because mmdebstrap's ids are not the ids that scripts/shell maps;
        # everything in it becomes ours, so that `rm -rf build` works without root.
        mkdir -p "$new"
        TMPDIR=/var/tmp mmdebstrap --mode=unshare "${options[@]}" - "deb $mirror $ROOT_SUITE main" |
            unshare --user --map-root-user --map-auto \
                tar -x --no-same-owner --exclude='./dev/*' -C "$new" ||
            die "mmdebstrap failed: see above; run again when the cause is gone"
    fi
    finish_root "$new"
    remove_root "$ROOT_DIR.old"
    [ ! -e "$ROOT_DIR" ] || mv -T "$ROOT_DIR" "$ROOT_DIR.old"
    mv -T "$new" "$ROOT_DIR"
    remove_root "$ROOT_DIR.old"
    say "root made in $((SECONDS - started)) s"
}

# What scripts/shell expects to find: places to mount on, and the stamp.
finish_root() {
    mkdir -p "$1/fortros"
    [ -e "$1/etc/resolv.conf" ] || : >"$1/etc/resolv.conf"
    rm -f "$1"/var/cache/apt/archives/*.deb
    root_stamp >"$1/.fortros-stamp"
}

update_root() {
    say "the package list has changed: installing the difference into $ROOT_DIR"
    local packages
    mapfile -t packages < <(package_list)
    # shellcheck disable=SC2016  # expanded inside
    FORTROS_ROOT_WRITABLE=1 in_root --net sh -c '
        set -e
        export DEBIAN_FRONTEND=noninteractive
        dpkg --configure -a
        apt-get -qq -o APT::Sandbox::User=root update
        apt-get -qqy -o APT::Sandbox::User=root install --no-install-recommends "$@"
    ' sh "${packages[@]}" >&2 || die "the difference could not be installed: see above; run again, or remove $ROOT_DIR"
    finish_root "$ROOT_DIR"
}

# Sets ROOT_KIND to `host` or `dir`, and makes or updates the root when needed.
ensure_root() {
    ROOT_KIND=dir
    if [ "$(cat "$ROOT_DIR/.fortros-stamp" 2>/dev/null)" = "$(root_stamp)" ]; then
        return
    fi
    if host_is_enough; then
        ROOT_KIND=host
        return
    fi
    require_user_namespaces
    mkdir -p "$(dirname "$ROOT_DIR")"
    (
        with_lock "$ROOT_DIR.lock"
        local have
        have=$(cat "$ROOT_DIR/.fortros-stamp" 2>/dev/null || true)
        if [ "$have" = "$(root_stamp)" ]; then
            exit 0 # another run has made it while we waited
        elif [ "${have% packages *}" = "format $ROOT_FORMAT" ]; then
            update_root
        else
            make_root
        fi
    )
}

# in_root [--net] CMD ARG...: runs a command in the root in private namespaces; returns its status.
in_root() {
    local net=none flags=(--fork --kill-child --pid --mount --uts --ipc)
    if [ "${1:-}" = --net ]; then
        net=host
        shift
    else
        flags+=(--net)
    fi
    [ "$(id -u)" = 0 ] || flags+=(--user --map-root-user --map-auto)

    # In the background, so that our traps run at once: unshare itself blocks SIGINT and SIGTERM.
    # When it is killed the kernel kills the first process of the namespace and so everything in it.
    local child status=0
    env --default-signal=INT,QUIT,TERM,HUP setpriv --pdeathsig KILL unshare "${flags[@]}" \
        bash "$FORTROS_TOP/scripts/lib/enter.sh" \
        "$ROOT_KIND" "$ROOT_DIR" "$FORTROS_TOP" "$net" "${FORTROS_ROOT_WRITABLE:-0}" "$@" <&0 &
    child=$!
    # The terminal sends SIGINT to everything below too: give the command the time to end by itself.
    trap ':' INT
    # shellcheck disable=SC2064  # this child
    trap "kill -KILL $child 2>/dev/null; exit 143" TERM HUP
    while :; do
        status=0
        wait "$child" || status=$?
        kill -0 "$child" 2>/dev/null || break
    done
    trap - INT TERM HUP
    return "$status"
}
