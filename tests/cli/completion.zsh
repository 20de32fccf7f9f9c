#!/usr/bin/env zsh
# completion.zsh - what zsh offers for unfinished lines: completion.zsh DIRECTORY-OF-_rmigrate LINE...
#
# zsh completes only where it is interactive: a second one runs in a terminal of its own (zsh/zpty). There compadd also
# notes what it offers; in the listing of a terminal it would be cut and drawn. Prints for each line, after "LINE: ", what was
# offered as it would stand on the line, sorted.
zmodload zsh/zpty || exit 1

inner() {
    PS1= PS2= RPS1=
    fpath=($FUNCTIONS_DIR $fpath)
    autoload -Uz compinit && compinit -D -u
    compadd() {
        local word
        local -a matched
        for word in "${@[1,(i)-a]}"; do # one that only looks what would match
            if [[ $word = -[ODA] ]]; then
                builtin compadd "$@"
                return
            fi
        done
        builtin compadd -O matched "$@"
        for word in $matched; do noted+=("$IPREFIX$word"); done
        builtin compadd "$@"
    }
    answer() {
        noted=() # no name that the completion uses: its own would hide it
        _main_complete
        compstate[insert]= compstate[list]=
        noted=(${(ou)noted})
        print -r -- "<$noted>"
    }
    zle -C answer complete-word answer
    bindkey '^T' answer
    bindkey '^U' kill-whole-line
    setopt no_zle_bracketed_paste 2>/dev/null
}

export FUNCTIONS_DIR=$1
shift
zpty offers zsh -f -i
zpty -w offers "$(functions inner); inner; print READ''Y"
zpty -r offers said '*READY*' || exit 1
for line; do
    zpty -n -w offers $'\x15'$line$'\x14'
    zpty -r offers said '*<*>*' || exit 1
    print -r -- "$line: ${${said##*<}%%>*}"
done
zpty -d offers
