# Completion of fortros-gateway for bash. It needs nothing of bash-completion, and asks no program.
# shellcheck shell=bash

_fortros_gateway() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local -A seconds=(
        [invite]='create list revoke'
        [node]='list revoke retire waiting approve reject'
        [lighthouse]='set unset list'
        [policy]='show set publish'
        [audit]='show verify'
    )
    local -A options=(
        [init]='--endpoint'
        ['invite create']='--uses --expires --role --hostname --approval --output --json'
        ['invite list']='--json'
        ['node list']='--json'
        ['node waiting']='--json'
        ['lighthouse set']='--endpoint'
        ['lighthouse list']='--json'
        ['policy show']='--json'
        ['policy set']='--sources --disown-older-signers'
        ['audit show']='--limit --json'
        ['audit verify']='--head'
        [backup]='--overwrite'
        [restore]='--overwrite'
    )
    local first=${COMP_WORDS[1]} command
    command=$first
    [ -z "${seconds[${first:-none}]:-}" ] || command="$first ${COMP_WORDS[2]:-}"
    COMPREPLY=()
    case $before in
        --config | --output) mapfile -t COMPREPLY < <(compgen -f -- "$word") && return ;;
        --role) mapfile -t COMPREPLY < <(compgen -W 'node lighthouse' -- "$word") && return ;;
        --approval) mapfile -t COMPREPLY < <(compgen -W 'yes no' -- "$word") && return ;;
    esac
    if [ "$COMP_CWORD" = 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "serve init check allow-relay ${!seconds[*]} backup restore --help --version" -- "$word")
    elif [ "$COMP_CWORD" = 2 ] && [ -n "${seconds[$first]:-}" ]; then
        mapfile -t COMPREPLY < <(compgen -W "${seconds[$first]}" -- "$word")
    elif [ "${word:0:1}" = - ]; then
        mapfile -t COMPREPLY < <(compgen -W "${options[$command]:-} --config --help" -- "$word")
    elif [ "$command" = backup ] || [ "$command" = restore ]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
}
complete -o filenames -F _fortros_gateway fortros-gateway
