#!/bin/bash
# usage: scripts/lib/fetch-sources.sh
#
# Fills subprojects/packagecache with the sources that Meson's wraps name: from the pool of the
# mirror that apt is configured with, or else from upstream. Nothing enters the cache whose hash
# is not the wrap's. Does nothing when all are there. Needs the network otherwise, and curl, which
# it takes from the Debian 13 root when this machine has none.
set -euo pipefail
. "$(dirname "$0")/common.sh"
. "$FORTROS_TOP/scripts/lib/root.sh"
[ "${1:-}" != --help ] || { usage && exit 0; }

wrap_value() { sed -n "s/^$2 *= *//p" "$1"; }
hash_of() { sha256sum "$1" 2>/dev/null | cut -d ' ' -f 1; }

# Where a file of this name lives in a Debian mirror: pool/main/e/efivar/efivar_39.orig.tar.gz
pool_path() { printf 'pool/main/%s/%s/%s\n' "${1:0:1}" "${1%%_*}" "$1"; }

fetch() {
    local args=(curl --fail --silent --show-error --location --connect-timeout 20 --max-time 300)
    if command -v curl >/dev/null; then
        "${args[@]}" --output "$2" "$1"
    else
        in_root --net "${args[@]}" --output "/fortros/${2#"$FORTROS_TOP"/}" "$1"
    fi
}

cache=$FORTROS_TOP/subprojects/packagecache
for wrap in "$FORTROS_TOP"/subprojects/*.wrap; do
    name=$(wrap_value "$wrap" source_filename)
    want=$(wrap_value "$wrap" source_hash)
    [ "$(hash_of "$cache/$name")" != "$want" ] || continue
    mkdir -p "$cache"
    ensure_root
    part=$cache/$name.part
    for url in "$(apt_mirror)/$(pool_path "$name")" "$(wrap_value "$wrap" source_url)"; do
        say "fetching $name"
        if ! fetch "$url" "$part"; then
            say "not there, trying the next place"
        elif [ "$(hash_of "$part")" != "$want" ]; then
            say "what came is not what ${wrap##*/} names (SHA-256 differs), trying the next place"
        else
            mv "$part" "$cache/$name"
            break
        fi
    done
    rm -f "$part"
    [ -e "$cache/$name" ] ||
        die "$name could not be fetched: put it into subprojects/packagecache by hand (SHA-256 $want)"
done
