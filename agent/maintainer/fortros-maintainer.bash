# Completion of fortros-maintainer for bash. It needs nothing of bash-completion, and asks no program.
# shellcheck shell=bash

_fortros_maintainer() {
    local word=${COMP_WORDS[COMP_CWORD]}
    COMPREPLY=()
    if [ "${COMP_WORDS[COMP_CWORD - 1]}" = --run-directory ]; then
        mapfile -t COMPREPLY < <(compgen -d -- "$word")
    elif [ "${COMP_WORDS[COMP_CWORD - 1]}" = --config ]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    elif [ "$COMP_CWORD" = 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W 'run status check-config allow-relay guard-variables --run-directory --config --help --version' -- "$word")
    else
        mapfile -t COMPREPLY < <(compgen -W '--run-directory --config --json' -- "$word")
    fi
}
complete -o filenames -F _fortros_maintainer fortros-maintainer
