# rmigrate.bash - completion of rmigrate for bash: commands, options, and hosts, guests, jobs and tables of the broker
#
# The broker is asked for what it knows, for two seconds at most; without an answer that is not completed. In a list a,b
# the part after the last comma is completed.

# The program and the settings of the line that is completed, with a time limit.
_rmigrate_ask() {
    timeout 2 "${_rmigrate[@]}" "$@" 2>/dev/null </dev/null
}

_rmigrate_hosts() { _rmigrate_ask hosts --noheadings | awk '{ print $1 }'; }
_rmigrate_guests() { _rmigrate_ask guests --noheadings | awk '{ print $1 }'; }
_rmigrate_nodes() { _rmigrate_ask nodels; }
_rmigrate_jobs() { _rmigrate_ask jobs --noheadings | awk '{ print $1 }'; }
_rmigrate_plans() { _rmigrate_ask plans --noheadings | awk '{ print $1 }'; }
_rmigrate_tables() { _rmigrate_ask tabdump -d | sed 's/:.*//'; }
_rmigrate_columns() {
    local table
    for table in $(_rmigrate_tables); do
        _rmigrate_ask tabdump -d "$table" | sed "s/:.*//; s/^/$table./"
    done
}
_rmigrate_commands() { _rmigrate_ask --help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p'; }
_rmigrate_options() { _rmigrate_ask "$@" --help | grep -o -e '^ *\(-., \)* *--[a-z-]*' | grep -o -e '-[A-Za-z]\?,\|--[a-z-]*' | tr -d ,; }

# Completes the last item of a list with words.
_rmigrate_reply() { # WORD...
    local cur=$_rmigrate_cur head=
    [[ $cur != *,* ]] || head=${cur%,*},
    mapfile -t COMPREPLY < <(compgen -P "$head" -W "$*" -- "${cur##*,}")
}

# The options that take a value.
_rmigrate_valued='-c --config -f --file -w --where --address --apply --at-once --attempts --back-within --bandwidth --batch --dir --downtime
    --fence --from --guests --host --limit --operators --owner --priority --reason --role --run --snapshot --stall --state --timeout --to'

_rmigrate_is_valued() { [[ " ${_rmigrate_valued//[[:space:]]/ } " = *" $1 "* ]]; } # OPTION

# Operands of guests on z/VM.
_rmigrate_keys='destination= action= force= immediate= max_total= max_quiesce='

# Completes KEY=VALUE and --OPTION=VALUE.
_rmigrate_pair() {
    local key=${_rmigrate_cur%%=*} words i
    _rmigrate_cur=${_rmigrate_cur#*=}
    case ${key,,} in
    destination) _rmigrate_reply "$(_rmigrate_hosts)" ;;
    action) words='MOVE TEST CANCEL' ;;
    force) words='ARCHITECTURE DOMAIN STORAGE' ;;
    immediate) words='YES NO' ;;
    max_total | max_quiesce) words=NOLIMIT ;;
    --*) _rmigrate_value "$key" || : ;;
    esac
    [[ $_rmigrate_cur != [[:lower:]]* ]] || words=${words,,}
    [[ -z $words ]] || _rmigrate_reply "$words"
    [[ -z $_rmigrate_split ]] || return 0
    for i in "${!COMPREPLY[@]}"; do COMPREPLY[i]=$key=${COMPREPLY[i]}; done
}

# Where readline splits KEY=VALUE into three words, joins them again; then only VALUE is completed.
_rmigrate_join() {
    local i words=()
    for i in "${!COMP_WORDS[@]}"; do
        if ((i > 2)) && [[ ${COMP_WORDS[i]} = = || ${COMP_WORDS[i - 1]} = = ]]; then
            words[-1]+=${COMP_WORDS[i]}
            ((i != COMP_CWORD)) || _rmigrate_split=1
        else
            words+=("${COMP_WORDS[i]}")
        fi
        ((i != COMP_CWORD)) || _rmigrate_last=$((${#words[@]} - 1))
    done
    _rmigrate_words=("${words[@]}")
}

# Completes the value of an option. 1: it takes none.
_rmigrate_value() { # OPTION
    case $1 in
    --to | --host) _rmigrate_reply "$(_rmigrate_hosts)" ;;
    --apply) _rmigrate_reply "$(_rmigrate_plans)" ;;
    --guests) _rmigrate_reply "$(_rmigrate_guests)" ;;
    --fence) _rmigrate_reply auto always never ;;
    --role) _rmigrate_reply viewer operator admin worker ;;
    --owner) mapfile -t COMPREPLY < <(compgen -u -- "$_rmigrate_cur") ;;
    --state) _rmigrate_reply queued assigned running cancelling waiting paused doubt done failed cancelled ;;
    --dir) mapfile -t COMPREPLY < <(compgen -d -- "$_rmigrate_cur") ;;
    -c | --config | -f | --file) mapfile -t COMPREPLY < <(compgen -f -- "$_rmigrate_cur") ;;
    *) _rmigrate_is_valued "$1" ;;
    esac
}

_rmigrate_operand() { # COMMAND NUMBER
    case $1:$2 in
    submit:1) _rmigrate_reply "$(_rmigrate_guests)" ;;
    submit:2) _rmigrate_reply "$(_rmigrate_hosts) ${_rmigrate_cur:+$_rmigrate_keys}" ;;
    submit:*) _rmigrate_reply "$_rmigrate_keys" ;;
    evacuate:1 | open:1 | close:1 | queue:1 | hosts:1) _rmigrate_reply "$(_rmigrate_hosts)" ;;
    modify:*) _rmigrate_reply "$(_rmigrate_jobs) bandwidth= downtime= timeout= stall= priority= max_total= max_quiesce=" ;;
    jobs:1 | history:1 | guests:1 | release:1 | reconcile:1) _rmigrate_reply "$(_rmigrate_guests)" ;;
    plans:1) _rmigrate_reply "$(_rmigrate_plans)" ;;
    evacuate:*) _rmigrate_reply "${_rmigrate_keys/action= /}" ;;
    show:* | watch:* | wait:* | cancel:* | retry:* | pause:* | resume:*) _rmigrate_reply "$(_rmigrate_jobs)" ;;
    nodels:1 | nodech:1) _rmigrate_reply "$(_rmigrate_nodes)" ;;
    nodels:* | nodech:* | gettab:* | chtab:*)
        [[ $2 = 1 ]] || _rmigrate_reply "$(_rmigrate_columns) $(_rmigrate_tables) groups tags mgt"
        ;;
    tabdump:1 | tabedit:1) _rmigrate_reply "$(_rmigrate_tables)" ;;
    tabrestore:*) mapfile -t COMPREPLY < <(compgen -f -- "$_rmigrate_cur") ;;
    esac
}

_rmigrate_complete() {
    local _rmigrate=("${COMP_WORDS[0]}") _rmigrate_words=() _rmigrate_last=0 _rmigrate_split= command= first= number=0 i word
    COMPREPLY=()
    _rmigrate_join
    local _rmigrate_cur=${_rmigrate_words[_rmigrate_last]}
    for ((i = 1; i < _rmigrate_last; i++)); do
        word=${_rmigrate_words[i]}
        case $word in
        -c | --config)
            ((i++))
            ((i >= _rmigrate_last)) || _rmigrate+=(-c "${_rmigrate_words[i]}")
            ;;
        -*) ! _rmigrate_is_valued "$word" || ((i++)) || : ;;
        *)
            if [[ -z $first ]]; then
                first=$word
                if _rmigrate_commands | grep -qxF -e "$word"; then
                    command=$word
                else
                    command=submit number=1
                fi
            else
                number=$((number + 1))
            fi
            ;;
        esac
    done
    word=${_rmigrate_words[_rmigrate_last - 1]}
    [[ $_rmigrate_last -le 1 || $word != -* ]] || ! _rmigrate_value "$word" || return 0
    if [[ $_rmigrate_cur = *=* ]]; then
        _rmigrate_pair
    elif [[ $_rmigrate_cur = -* ]]; then
        _rmigrate_reply "$(_rmigrate_options $command)"
    elif [[ -z $command ]]; then
        _rmigrate_reply "$(_rmigrate_commands) $(_rmigrate_guests)"
    else
        _rmigrate_operand "$command" $((number + 1))
    fi
    [[ ${COMPREPLY[*]} != *= ]] || compopt -o nospace 2>/dev/null || :
}

complete -F _rmigrate_complete rmigrate
