# rmigrate.fish - completion of rmigrate for fish: commands, options, and hosts, guests, jobs and tables of the broker
#
# What a place on the line takes is read from --help: the words there (HOSTS, JOB, FILE) say what is offered, see
# __rmigrate_word. The broker is asked for what it knows, for two seconds at most; without an answer that is not completed.
# In a list a,b the part after the last comma is completed.

# The program and the settings of the line that is completed, with a time limit.
function __rmigrate_ask
    timeout 2 $__rmigrate_program $argv 2>/dev/null </dev/null
end

# A column of a listing that names something, and another one that tells more of it.
function __rmigrate_names # LISTING COLUMN COLUMN
    __rmigrate_ask $argv[1] --noheadings | awk -v name=$argv[2] -v more=$argv[3] '{ print $name "\t" $more }'
end

function __rmigrate_tables
    __rmigrate_ask tabdump -d | string replace -r ':\s*' \t
end

function __rmigrate_columns
    for table in (__rmigrate_tables | string replace -r '\t.*' '')
        __rmigrate_ask tabdump -d $table | string replace -r '^([^:]*):\s*' "$table.\$1\t"
    end
end

# "COMMAND<tab>what it does"; what does not fit beside it stands on the next line.
function __rmigrate_commands
    set -l name
    for line in (__rmigrate_ask --help)
        if set -l found (string match -r '^  ([a-z]+)(?: \S+)*((?:  +\S.*)?)$' -- $line)
            set name $found[2]
            test -z "$found[3]"; or printf '%s\t%s\n' $name (string trim -- $found[3])
        else if test -n "$name"; and set found (string match -r '^ {10,}(\S.*)' -- $line)
            printf '%s\t%s\n' $name $found[2]
            set name
        end
    end
end

# Of the options of a command "OPTION<tab>ARG<tab>what it does", a line for each way to write it; ARG may be empty.
function __rmigrate_options # [COMMAND]
    set -l names
    set -l arg
    set -l about
    for line in (__rmigrate_ask $argv --help) ''
        set -l found (string match -r '^ {2,6}((?:-., )?)--([a-z-]+)((?:=\S+)?) *(.*)$' -- $line)
        set -l more (string match -r '^ {10,}(.*)' -- $line)
        if test -n "$names" -a -n "$more"
            set about "$about $more[2]"
            continue
        end
        for name in $names
            printf '%s\t%s\t%s\n' $name "$arg" "$about"
        end
        set names
        if test -n "$found"
            set names (string sub -l 2 -- $found[2]) --$found[3]
            set arg (string sub -s 2 -- $found[4])
            set about $found[5]
        end
    end
end

# What an option takes, as --help calls it; fails where it takes nothing. Without a command that of any.
function __rmigrate_arg # OPTION [COMMAND]
    set -l commands $argv[2]
    test -n "$commands"; or set commands (__rmigrate_commands | string replace -r '\t.*' '')
    for command in $commands
        set -l found (__rmigrate_options $command | string replace -rf "^$argv[1]\\t([^\\t]+).*" '$1')
        test -n "$found"; or continue
        # of jobs and batches, which have numbers both
        test $argv[1] = --batch; and echo BATCH; or echo $found[1]
        return 0
    end
    return 1
end

# The words for the operands of a command: "NODERANGE" "[TARGET]" "[KEY=VALUE...]".
function __rmigrate_usage # COMMAND
    set -l usage
    for line in (__rmigrate_ask $argv[1] --help)
        string match -qr '^(Usage:| {8})' -- $line; or break
        set -a usage $line
    end
    string join ' ' $usage | string replace -r '.*?\[OPTION\.\.\.\]' '' | string replace -a '[,...]' '' | string match -ar '\S+'
end

# "KEY=VALUES" of each operand that the help of a command explains.
function __rmigrate_keys # COMMAND
    __rmigrate_ask $argv[1] --help | string join ' ' | string match -ar '(?<=[ ,])[a-z_]+=[A-Z|]+'
end

# What may stand where --help says WORD. RATE, TIME, N and the like have no list.
function __rmigrate_word # WORD COMMAND
    switch $argv[1]
        case HOST HOSTS TARGET
            __rmigrate_names hosts 1 2
        case NODERANGE
            if __rmigrate_usage $argv[2] | string match -q '*TABLE*'
                __rmigrate_ask nodels
            else
                __rmigrate_names guests 1 2
            end
        case JOB
            __rmigrate_names jobs 1 3
        case PLAN
            __rmigrate_names plans 1 4
        case BATCH
            __rmigrate_names jobs 2 2 | string replace -r '\t.*' '\tbatch' | sort -u
        case NUMBER
            __rmigrate_word JOB
            __rmigrate_word BATCH
        case TABLE
            __rmigrate_tables
        case TABLE.COLUMN
            __rmigrate_columns
        case TABLE.COLUMN=VALUE
            __rmigrate_columns | string replace \t =\t
        case KEY=VALUE
            __rmigrate_keys $argv[2] | string replace -r '=(.*)' '=\t$1'
        case MODE
            printf '%s\n' auto always never
        case ROLE
            printf '%s\n' viewer operator admin worker
        case STATE,
            printf '%s\n' queued assigned running cancelling waiting paused doubt done failed cancelled
        case USER
            __fish_complete_users
        case groups mgt
            echo $argv[1]
    end
end

# Offers the values of WORD for the last item of an unfinished text, each with HEAD before it.
function __rmigrate_value # WORD COMMAND TEXT [HEAD]
    set -l word (string replace '...' '' -- $argv[1])
    set -l list (string match -r '.*,' -- $argv[3])
    switch $word
        case FILE
            __fish_complete_path $argv[3] | string replace -r '^' "$argv[4]"
        case DIRECTORY
            __fish_complete_directories $argv[3] '' | string replace -r '^' "$argv[4]"
        case '*'
            for line in (__rmigrate_word $word $argv[2])
                printf '%s%s%s\n' "$argv[4]" "$list" $line
            end
    end
end

# Offers the values of KEY=, in lower case for those who have begun in it.
function __rmigrate_key # COMMAND KEY=TEXT
    set -l parts (string split -m 1 = -- $argv[2])
    set -l key (string lower $parts[1])
    set -l list (string match -r '.*,' -- $parts[2])
    for word in (__rmigrate_keys $argv[1] | string replace -rf "^$key=" '' | string split '|')
        switch $word
            case HOST
                __rmigrate_value HOSTS $argv[1] "$parts[2]" $parts[1]=
            case RATE TIME N SECONDS
            case '*'
                string match -qr '(^|,)[a-z]+$' -- $parts[2]; and set word (string lower $word)
                echo "$parts[1]=$list$word"
        end
    end
end

# Offers what may be operand NUMBER of a command. One in brackets may be left out; of A | -d B the latter is for -d.
function __rmigrate_operand # COMMAND NUMBER TEXT
    set -l usage (__rmigrate_usage $argv[1])
    if set -l bar (contains -i -- '|' $usage)
        if string match -qr -- '^(-d|--delete)$' $__rmigrate_given
            set usage $usage[(math $bar + 2)..]
        else
            set usage $usage[..(math $bar - 1)]
        end
    end
    set -l needed 0 # words before this one that cannot be left out
    set -l endless
    set -l offered
    for i in (seq (count $usage))
        string match -q '*...*' -- $usage[$i]; and set endless 1
        if test $argv[2] -gt $needed; and test -n "$endless" -o $argv[2] -le $i
            for word in (string replace -a '...' '' -- $usage[$i] | string trim -c '[]' | string split '|')
                # keys are offered when one was begun, or where nothing else is
                test $word = KEY=VALUE -a -n "$offered" -a -z "$argv[3]"; and continue
                __rmigrate_value $word $argv[1] "$argv[3]"
                set offered 1
            end
        end
        string match -q '[*]' -- $usage[$i]; or set needed (math $needed + 1)
    end
end

function __rmigrate_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l command
    set -l number 0
    set -l waiting # for the value of this option
    set -l only_operands
    set -g __rmigrate_program (string replace -r '^~/' "$HOME/" -- $words[1])
    set -g __rmigrate_given $words[2..]
    for word in $words[2..]
        if test -n "$waiting"
            if contains -- $waiting -c --config
                set -a __rmigrate_program -c (string replace -r '^~/' "$HOME/" -- $word)
            end
            set waiting
        else if test -z "$only_operands" && string match -q -- '-*' $word
            switch $word
                case --
                    set only_operands 1
                case '--config=*'
                    set -a __rmigrate_program $word
                case '*=*'
                case '*'
                    __rmigrate_arg $word $command >/dev/null; and set waiting $word
            end
        else if test -n "$command"
            set number (math $number + 1)
        else if __rmigrate_commands | string match -qr "^"(string escape --style=regex -- $word)'\t'
            set command $word
        else
            set command submit
            set number 1
        end
    end
    if test -n "$waiting"
        __rmigrate_value (__rmigrate_arg $waiting $command) "$command" "$current"
    else if test -z "$only_operands" && string match -q -- '--*=*' $current
        set -l parts (string split -m 1 = -- $current)
        __rmigrate_value (__rmigrate_arg $parts[1] $command; or echo none) "$command" "$parts[2]" $parts[1]=
    else if test -z "$only_operands" && string match -q -- '-*' $current
        __rmigrate_options $command | string replace -r '\t[^\t]*\t' '\t'
    else if test -z "$command"
        __rmigrate_commands
        __rmigrate_operand submit 1 "$current"
    else if string match -q '*=*' -- $current; and __rmigrate_usage $command | string match -q '*KEY=VALUE*'
        __rmigrate_key $command $current
    else
        __rmigrate_operand $command (math $number + 1) "$current"
    end
end

complete -c rmigrate -f -a '(__rmigrate_complete)'
