# Completion of fortros-preboot for bash. It needs nothing of bash-completion, and asks no program.
# shellcheck shell=bash

_fortros_preboot() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local verbs='run probe check-config report explain'
    local statuses='joined internal usage settings-invalid trust-anchor-invalid invite-missing no-link
        no-gateway gateway-untrusted refused revoked approval-pending key-store-failed overlay-failed
        no-handshake hand-off-failed policy-lost gateway-busy forbidden-call'
    local verb='' each
    for each in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case " $verbs " in *" $each "*) verb=$each && break ;; esac
    done
    COMPREPLY=()
    case $before in
        --config | --kernel-command-line | --svg | --events)
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            return
            ;;
        --run-directory)
            mapfile -t COMPREPLY < <(compgen -d -- "$word")
            return
            ;;
    esac
    local options='--config --kernel-command-line --run-directory --help --version' words=''
    case $verb in
        '') words=$verbs ;;
        probe) options+=' --json' ;;
        report) options+=' --svg --events' ;;
        explain) words=$statuses ;;
        check-config) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
    esac
    case $word in
        -*) mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word") ;;
        *) [ -z "$words" ] || mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word") ;;
    esac
}
complete -o filenames -F _fortros_preboot fortros-preboot
