#!/bin/bash
# dracut module 90fortros: fortros-preboot in the initramfs of a node. It is taken in by itself where
# /etc/fortros/preboot.conf is; omit_dracutmodules+=" fortros " leaves it out.
#
# From the machine that makes the image:
#   /etc/fortros/preboot.conf   the settings
#   CA= of those                the pinned CA (/etc/fortros/org-ca.pem)
#   Invite= of those            the invite (/etc/fortros/invite); only a node that is not enrolled needs it
#
# [Network] Mode= decides about the initramfs's network: with `adopt` dracut configures it (ip= on the
# kernel command line), and the agent uses what it finds; otherwise the agent does it all, and dracut's
# network module is not asked for.
# shellcheck disable=SC2154  # dracut's variables

fortros_settings=/etc/fortros/preboot.conf

# The value of a key of the settings, the last one; the default where there is none.
fortros_setting() {
    local value
    value=$(sed -n "s/^[[:space:]]*$1[[:space:]]*=[[:space:]]*//p" "$dracutsysrootdir$fortros_settings" | tail -n 1)
    printf '%s\n' "${value:-$2}"
}

check() {
    [[ -e $dracutsysrootdir$fortros_settings ]] || return 1
    require_binaries fortros-preboot || return 1
}

# Debian has these two in dracut-network. A module whose dependency is missing is left out of the image, so
# what can be done without is not asked for.
depends() {
    if [[ $(fortros_setting Mode auto) == adopt ]]; then
        echo network
    elif fortros_has_network_modules; then
        echo kernel-network-modules
    fi
}

fortros_has_network_modules() {
    compgen -G "$dracutbasedir/modules.d/*kernel-network-modules" >/dev/null
}

installkernel() {
    fortros_has_network_modules ||
        instmods '=drivers/net/ethernet' '=drivers/net/phy' virtio_net vmxnet3 hv_netvsc xen-netfront
    # Whatever the machine that makes the image has loaded: it is not the one that boots.
    hostonly='' instmods wireguard nf_tables efivarfs
}

install() {
    local ca invite
    ca=$(fortros_setting CA /etc/fortros/org-ca.pem)
    invite=$(fortros_setting Invite /etc/fortros/invite)

    inst_binary fortros-preboot /usr/bin/fortros-preboot
    inst_binary modprobe
    inst_simple "$ca" || fortros_fail "there is no CA in $ca: the node would trust no gateway"
    if [[ -e $dracutsysrootdir$invite ]]; then
        inst_simple "$invite" && chmod 0600 "$initdir$invite"
    else
        dwarn "fortros: there is no invite in $invite: only a node that is enrolled already can boot with this"
    fi
    # No node believes an earlier time than this: the last one of its kind counts, so ours is first.
    mkdir -p "$initdir/etc/fortros"
    {
        printf '[Clock]\nBuildTime=%s\n\n' "$(date -u -d "@${SOURCE_DATE_EPOCH:-$(date +%s)}" +%Y-%m-%dT%H:%M:%SZ)"
        cat "$dracutsysrootdir$fortros_settings"
    } >"$initdir$fortros_settings"
    chmod 0644 "$initdir$fortros_settings"
    fortros_judge

    mkdir -p "$initdir/etc/modules-load.d"
    printf '%s\n' efivarfs wireguard nf_tables >"$initdir/etc/modules-load.d/fortros.conf"
    if [[ $(fortros_setting Mode auto) == adopt ]]; then
        mkdir -p "$initdir/etc/cmdline.d"
        echo 'rd.neednet=1' >"$initdir/etc/cmdline.d/90fortros.conf"
    fi
    if dracut_module_included systemd; then
        inst_simple "$moddir/fortros-preboot.service" "$systemdsystemunitdir/fortros-preboot.service"
        # Required by what comes before the change to the real root, so that there is none when it fails.
        # Not by sysroot.mount: what ends with the initramfs would take the root with it.
        mkdir -p "$initdir$systemdsystemunitdir/initrd-root-fs.target.requires"
        ln_r "$systemdsystemunitdir/fortros-preboot.service" \
            "$systemdsystemunitdir/initrd-root-fs.target.requires/fortros-preboot.service"
    else
        inst_hook pre-mount 10 "$moddir/fortros-preboot.sh"
    fi
}

# Before anybody has to boot it. It can't run where the image is for another architecture.
fortros_judge() {
    local said status=0
    said=$("$dracutsysrootdir$(find_binary fortros-preboot)" check-config "$dracutsysrootdir$fortros_settings" 2>&1) || status=$?
    case $status in
        0 | 126 | 127) ;;
        *) fortros_fail "a boot with these settings must fail (status $status): $said" ;;
    esac
}

# No image is better than one that strands a machine.
fortros_fail() {
    dfatal "fortros: $1"
    exit 1
}
