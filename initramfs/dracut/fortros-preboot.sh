#!/bin/sh
# In an initramfs of dracut's own scripts, before the real root is mounted.
# shellcheck source=/dev/null
command -v getarg >/dev/null || . /lib/dracut-lib.sh

fortros_join() {
    [ "$(getarg rd.fortros)" != 0 ] || return 0
    modprobe -q -a efivarfs wireguard nf_tables
    fortros-preboot run || die "fortros-preboot failed with status $?: there is no overlay, and so no real root"
}
fortros_join
