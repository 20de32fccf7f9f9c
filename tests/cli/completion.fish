#!/usr/bin/env fish
# completion.fish - what fish offers for unfinished lines: completion.fish rmigrate.fish LINE...
#
# Prints for each line, after "LINE: ", what is offered as it would stand on the line, sorted. Where nothing begins as the last
# word does, fish offers what only resembles it; that is left out.
source $argv[1]
for line in $argv[2..]
    set -l last (string match -r '\S*$' -- $line)
    set -l offered (complete -C $line | string replace -r '\t.*' '' | string match -- "$last*" | sort -u)
    echo "$line: $offered"
end
