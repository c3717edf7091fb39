# bash completion for ftpd

_ftpd() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} at name= words= word list
    COMPREPLY=()
    for ((at = 1; at < COMP_CWORD; at++)); do
        case ${COMP_WORDS[at]} in
        -c|--config) ((at++)) ;;
        -*) ;;
        *) name=${COMP_WORDS[at]}; break ;;
        esac
    done
    case $name:$prev in
    *:-c|*:--config) return ;;
    share:--user) return ;;
    share:--ip) return ;;
    share:--port) return ;;
    share:--for) return ;;
    adduser:--home) return ;;
    adduser:--perm) return ;;
    test:--timeout) return ;;
    test:--password-file) return ;;
    convert-names:--from) return ;;
    esac
    case $name in
    '') words='serve share check cert passwd adduser deluser users import who top stats why keep test doctor quota kick bans ban unban parts trash convert-names reload stop completions help' ;;
    share) words='--write --tls --user --anonymous --ip --port --for' ;;
    check) words='--late-homes' ;;
    passwd) words='--write'" $(ftpd users 2>/dev/null | awk 'NR > 1 { print $1 }')" ;;
    adduser) words='--home --perm --create-home' ;;
    deluser) words=''" $(ftpd users 2>/dev/null | awk 'NR > 1 { print $1 }')" ;;
    users) words='--json' ;;
    who) words='--json' ;;
    top) words='--once --json' ;;
    stats) words='--json' ;;
    why) words='read write list delete rename append enter mkdir'" $(ftpd users 2>/dev/null | awk 'NR > 1 { print $1 }')" ;;
    keep) words='--dry-run --now --json' ;;
    test) words='--read-only --active --timeout --password-file --json' ;;
    doctor) words='--json' ;;
    quota) words='--rescan --json'" $(ftpd users 2>/dev/null | awk 'NR > 1 { print $1 }')" ;;
    kick) words=''" $(ftpd users 2>/dev/null | awk 'NR > 1 { print $1 }')" ;;
    bans) words='--json' ;;
    unban) words='all' ;;
    parts) words='--json drop'" $(ftpd users 2>/dev/null | awk 'NR > 1 { print $1 }')" ;;
    trash) words='--all --json list restore empty'" $(ftpd users 2>/dev/null | awk 'NR > 1 { print $1 }')" ;;
    convert-names) words='--from --dry-run --force' ;;
    stop) words='--now --drain' ;;
    completions) words='bash zsh fish' ;;
    help) words='serve share check cert passwd adduser deluser users import who top stats why keep test doctor quota kick bans ban unban parts trash convert-names reload stop completions help' ;;
    esac
    [[ $cur != -* ]] || words+=' --config --help'
    read -r -d '' -a list <<< "$words"
    for word in "${list[@]}"; do
        [[ $word != "$cur"* ]] || COMPREPLY+=("$(printf %q "$word")")
    done
}

complete -o default -F _ftpd ftpd
