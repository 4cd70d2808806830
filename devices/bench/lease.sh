# One job at a time on this device, and what is cleaned up when its host falls silent.
#
# Plain POSIX sh and toybox. Time is this device's own: hundredths of a second since its start (/proc/uptime),
# and which start that was (boot_id); its wall clock is never asked. In DIR lie
#
#   NUMBER         a symbolic link to a token: the claims, numbered. The newest is the lease, and its number the
#                  fence. Making a link is exclusive and whole, so of two claimants one gets the number.
#   TOKEN.beat     the holder's last word: BOOT TIME EXPIRY KIND TAG. No such file: released.
#   TOKEN.owner    one line for people
#   TOKEN.guard    process number of the guard
#
# lease.sh claim DIR TOKEN EXPIRY TAG OWNER POLL -> "claimed NUMBER", "busy AGE KIND" and the owner, or "lost"
# lease.sh beat DIR TOKEN POLL -> "beating" or "lost REASON"
# lease.sh release DIR TOKEN -> "released"
# lease.sh show DIR -> "busy AGE KIND NUMBER" and the owner, or "free"
#
# Why no two hold it at once: a claimant reads the clock before the last word that it judges, so a word that it
# finds too old was not followed by another one in time. A holder whose new word came too late, by a clock read
# after it was written, takes it back and counts as lost; so does one that then finds a newer claim.
umask 077
verb=$1 dir=$2 token=${3-}

clock() {
    read -r up _ </proc/uptime
    now=$((${up%.*} * 100 + 1${up#*.} - 100)) # the 1 keeps 07 from being octal
    boot=
    read -r boot 2>/dev/null </proc/sys/kernel/random/boot_id || boot=unknown
}

newest() { # sets top, the newest number, and holder, its token; none: 0 and nothing
    top=0
    for link in "$dir"/[1-9]*; do
        n=${link##*/}
        case $n in *[!0-9]* | ??????????*) continue ;; esac
        [ "$n" -gt "$top" ] && top=$n
    done
    holder=$(readlink "$dir/$top" 2>/dev/null)
    case $holder in *[!a-z0-9]*) holder= ;; esac
}

word() { # the last word of token $1; fails when it has none
    read -r said_boot said_time said_expiry said_kind said_tag 2>/dev/null <"$dir/$1.beat" || return 1
    case $said_time$said_expiry in *[!0-9]*) return 1 ;; esac
    case $said_tag in "" | *[!A-Za-z0-9.]*) return 1 ;; esac
}

holds() { # whether token $1 holds the device; the clock comes first
    clock
    word "$1" && [ "$said_boot" = "$boot" ] || return 1
    age=$((now - said_time))
    [ "$age" -lt "$said_expiry" ] && [ "$age" -gt "-$said_expiry" ]
}

say() { # give the last word of $token: time, expiry, kind, tag
    echo "$boot $1 $2 $3 $4" >"$dir/$token.$$" && mv -f "$dir/$token.$$" "$dir/$token.beat" ||
        fail "cannot write in $dir"
}

fail() {
    echo "$1" >&2
    exit 1
}

claim() { # the next number for $token: expiry, kind, tag. Returns 1: busy. Sets previous, who held it before.
    while :; do
        newest
        [ -n "$holder" ] && holds "$holder" && return 1
        previous=$holder
        clock
        say "$now" "$1" "$2" "$3"
        ln -s "$token" "$dir/$((top + 1))" 2>/dev/null || [ -h "$dir/$((top + 1))" ] || fail "cannot write in $dir"
        newest
        [ "$holder" = "$token" ] && return 0
    done
}

sweep() { # end every process that carries the tag
    for file in $(grep -l "MNAS_JOB=$1" /proc/[0-9]*/environ 2>/dev/null); do
        process=${file#/proc/}
        kill -9 "${process%/environ}" 2>/dev/null
    done
}

forget() { # what is known of token $1, which holds nothing any more
    rm -f "$dir/$1.beat" "$dir/$1.owner" "$dir/$1.guard"
}

tidy() { # earlier claims; the last few numbers stay, so that a number is never given twice
    for link in "$dir"/[1-9]*; do
        n=${link##*/}
        case $n in *[!0-9]* | ??????????*) continue ;; esac
        [ "$n" -lt "$top" ] || continue
        old=$(readlink "$link")
        case $old in "" | "$token" | *[!a-z0-9]*) ;; *) forget "$old" ;; esac
        [ "$n" -lt $((top - 8)) ] && rm -f "$link"
    done
}

restore() { # put back what was set, if that is still to be done
    [ -f "$dir/../restore.sh" ] || return 0
    if command -v timeout >/dev/null; then
        timeout 20 sh "$dir/../restore.sh"
    else
        sh "$dir/../restore.sh"
    fi
} </dev/null >/dev/null 2>&1

guarded() { # whether the guard lives
    read -r guard 2>/dev/null <"$dir/$token.guard" || return 1
    case $guard in "" | *[!0-9]*) return 1 ;; esac
    grep -q "$token" "/proc/$guard/cmdline" 2>/dev/null
}

lost() {
    echo "lost $1"
    exit 0
}

still_newest() { # or it is lost, to another job or to the guard
    newest
    [ "$holder" = "${token}g" ] && lost "its time ran out"
    [ "$holder" = "$token" ] || lost "somebody else has it since"
}

give_up() {
    forget "$token"
    fail "$1"
}

start_guard() { # in a session of its own and without the tag, so that nothing ends it but its work
    command -v setsid >/dev/null || give_up "there is no setsid, which the guard needs"
    (
        unset MNAS_JOB
        exec setsid sh "$0" guard "$dir" "$token" "$1"
    ) </dev/null >/dev/null 2>&1 &
    tries=0
    until guarded; do
        tries=$((tries + 1))
        if [ "$tries" -gt 100 ]; then
            newest
            { [ "$holder" = "$token" ] && holds "$token"; } || lost "its time ran out" # and its guard is done
            give_up "the guard does not start"
        fi
        sleep 0.05
    done
}

case $verb in
claim)
    newest
    if [ "$holder" = "$token" ]; then # asked again, because the answer got lost
        holds "$token" || lost "its time ran out"
    else
        printf "%s\n" "$6" >"$dir/$token.owner" || fail "cannot write in $dir"
        if ! claim "$4" job "$5"; then
            forget "$token"
            echo "busy $age $said_kind"
            cat "$dir/$holder.owner"
            exit 0
        fi
        if [ -n "$previous" ] && word "$previous" && [ "$said_tag" != "$5" ]; then
            sweep "$said_tag"
        fi
        tidy
    fi
    guarded || start_guard "$7"
    echo "claimed $top"
    ;;
beat)
    still_newest
    if ! holds "$token"; then
        [ "${said_boot:-$boot}" = "$boot" ] || lost "the device has been started anew"
        lost "its time ran out"
    fi
    before=$said_time
    say "$now" "$said_expiry" "$said_kind" "$said_tag"
    clock
    if [ $((now - before)) -ge "$said_expiry" ]; then
        say "$before" "$said_expiry" "$said_kind" "$said_tag"
        lost "its time ran out"
    fi
    still_newest
    guarded || start_guard "$4"
    echo beating
    ;;
release)
    newest
    if [ "$holder" = "$token" ] && holds "$token"; then
        restore # while the device is still this job's; the guard does it if this is cut off
        guarded && kill -9 "-$guard" 2>/dev/null
        forget "$token"
    fi
    echo released
    ;;
show)
    newest
    if [ -n "$holder" ] && holds "$holder"; then
        echo "busy $age $said_kind $top"
        cat "$dir/$holder.owner"
    else
        echo free
    fi
    ;;
guard)
    echo $$ >"$dir/$token.guard"
    while :; do
        sleep "$4"
        word "$token" || exit 0 # released
        newest
        [ "$holder" = "$token" ] || exit 0 # whoever took over cleans up
        holds "$token" || break
    done
    silent=$token tag=$said_tag token=${token}g
    cp "$dir/$silent.owner" "$dir/$token.owner"
    if claim 3000 guard "$tag"; then # first, so that nobody starts anything that the sweep would end
        sweep "$tag"
        restore
        forget "$silent"
    fi
    forget "$token"
    ;;
esac
