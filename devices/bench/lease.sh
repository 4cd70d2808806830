# One job at a time on this device, and what is cleaned up when its host falls silent.
#
# Plain POSIX sh and toybox. Time is this device's own: hundredths of a second since its start (/proc/uptime),
# and which start that was (boot_id); its wall clock is never asked. BASE is the first folder of BASES, a list
# with colons, in which this login may write; every login of the device gets the same. In it lie
#
#   .mnas-lease.NUMBER  a symbolic link to USER.TOKEN: the claims of all logins, numbered. The newest is the lease,
#                       and its number the fence. Making a link is exclusive and whole, so of two claimants one
#                       gets the number.
#   .mnas-lease-USER/   of the login with this user number, who alone writes in it; all may read:
#     TOKEN.beat        the holder's last word: BOOT TIME EXPIRY KIND TAG. No such file: released.
#     TOKEN.owner       one line for people
#     TOKEN.guard       process number of the guard
#     restore.sh        what puts back that login's changes; absent: nothing is to be put back
#
# lease.sh claim BASES TOKEN EXPIRY TAG OWNER POLL [DEAD] -> "claimed NUMBER", "busy AGE KIND TOKEN" and the owner,
#     or "lost". DEAD: a token of this login whose job is known to have ended; it does not count.
# lease.sh beat BASES TOKEN POLL -> "beating" or "lost REASON"
# lease.sh release BASES TOKEN -> "released"
# lease.sh show BASES -> "busy AGE KIND NUMBER" and the owner, or "free"
# lease.sh where BASES NAME -> this login's folder, and the content of NAME in it
# lease.sh make BASES NAME -> likewise, the folder made and known to be this login's alone
#
# Why no two hold it at once: a claimant reads the clock before the last word that it judges, so a word that it
# finds too old was not followed by another one in time. A holder whose new word came too late, by a clock read
# after it was written, takes it back and counts as lost; so does one that then finds a newer claim.
#
# Other logins are not trusted: nothing of theirs is run, written to or deleted, their words have bounded numbers,
# and no process is ended for their sake. BASE is sticky, so none removes another's link or folder. One that is
# malicious can keep the device busy, no more.
umask 022
verb=$1 bases=$2 token=${3-}

fail() {
    echo "$1" >&2
    exit 1
}

locate() { # sets user, base, own and links
    user=$(id -u)
    case $user in "" | *[!0-9]*) fail "it does not tell whose login this is" ;; esac
    rest=$bases:
    while [ -n "$rest" ]; do
        base=${rest%%:*} rest=${rest#*:}
        if [ -d "$base" ] && [ -w "$base" ]; then
            own=$base/.mnas-lease-$user links=$base/.mnas-lease.
            return
        fi
    done
    fail "none of $bases is a folder to write in"
}

make_own() {
    [ -d "$own" ] || mkdir -m 755 "$own" || [ -d "$own" ] || exit 1
    [ ! -h "$own" ] && [ -O "$own" ] || fail "$own is another login's: have it removed"
    chmod 755 "$own" || exit 1
}

clock() {
    read -r up _ </proc/uptime
    now=$((${up%.*} * 100 + 1${up#*.} - 100)) # the 1 keeps 07 from being octal
    boot=
    read -r boot 2>/dev/null </proc/sys/kernel/random/boot_id || boot=unknown
}

newest() { # sets top, the newest number, and holder, its USER.TOKEN; none: 0 and nothing
    top=0
    for link in "$links"[1-9]*; do
        n=${link#"$links"}
        case $n in *[!0-9]* | ??????????*) continue ;; esac
        [ "$n" -gt "$top" ] && top=$n
    done
    holder=$(readlink "$links$top" 2>/dev/null)
    case $holder in *[!a-z0-9.]* | *.*.* | .* | *.) holder= ;; [0-9]*.*) ;; *) holder= ;; esac
    case ${holder%%.*} in *[!0-9]*) holder= ;; esac
}

word() { # the last word of $1, a USER.TOKEN; fails when there is none
    at=$base/.mnas-lease-${1%%.*}/${1#*.}
    [ -f "$at.beat" ] || return 1
    read -r said_boot said_time said_expiry said_kind said_tag 2>/dev/null <"$at.beat" || return 1
    case $said_time$said_expiry in *[!0-9]*) return 1 ;; esac
    case $said_time in "" | ????????????*) return 1 ;; esac
    case $said_expiry in "" | ??????*) return 1 ;; esac
    case $said_kind in job | guard) ;; *) return 1 ;; esac
    case $said_tag in "" | *[!A-Za-z0-9.]*) return 1 ;; esac
}

holds() { # whether $1, a USER.TOKEN, holds the device; the clock comes first
    clock
    word "$1" && [ "$said_boot" = "$boot" ] || return 1
    age=$((now - said_time))
    [ "$age" -lt "$said_expiry" ] && [ "$age" -gt "-$said_expiry" ]
}

owner() { # of whom `word` was last asked
    if [ -f "$at.owner" ]; then head -c 2000 "$at.owner"; fi
}

say() { # give the last word of $token: time, expiry, kind, tag
    echo "$boot $1 $2 $3 $4" >"$own/$token.$$" && mv -f "$own/$token.$$" "$own/$token.beat" ||
        fail "cannot write in $own"
}

claim() { # the next number for $token: expiry, kind, tag. Returns 1: busy. Sets previous, who held it before.
    while :; do
        newest
        [ -n "$holder" ] && [ "$holder" != "$user.$dead" ] && holds "$holder" && return 1
        previous=$holder
        [ "$top" -lt 999999999 ] || fail "there is no number after ${links}$top: have that removed"
        clock
        say "$now" "$1" "$2" "$3"
        next=$links$((top + 1))
        ln -sn "$user.$token" "$next" 2>/dev/null || [ -h "$next" ] || [ -e "$next" ] || fail "cannot write in $base"
        newest
        [ "$holder" = "$user.$token" ] && return 0
    done
}

sweep() { # end every process that carries the tag
    for file in $(grep -l "MNAS_JOB=$1" /proc/[0-9]*/environ 2>/dev/null); do
        process=${file#/proc/}
        kill -9 "${process%/environ}" 2>/dev/null
    done
}

restore() { # put back what was set, if that is still to be done
    [ -f "$own/restore.sh" ] || return 0
    if command -v timeout >/dev/null; then
        timeout 20 sh "$own/restore.sh"
    else
        sh "$own/restore.sh"
    fi
} </dev/null >/dev/null 2>&1

forget() { # what is known of token $1, which holds nothing any more
    rm -f "$own/$1.beat" "$own/$1.owner" "$own/$1.guard"
}

tidy() { # this login's earlier claims; the last few numbers stay, so that a number is never given twice
    for link in "$links"[1-9]*; do
        n=${link#"$links"}
        case $n in *[!0-9]* | ??????????*) continue ;; esac
        [ "$n" -lt "$top" ] || continue
        old=$(readlink "$link")
        case $old in "$user".*) old=${old#*.} ;; *) continue ;; esac
        case $old in "" | "$token" | *[!a-z0-9]*) ;; *) forget "$old" ;; esac
        [ "$n" -lt $((top - 8)) ] && rm -f "$link"
    done
}

guarded() { # whether the guard lives
    read -r guard 2>/dev/null <"$own/$token.guard" || return 1
    case $guard in "" | *[!0-9]*) return 1 ;; esac
    grep -q "$token" "/proc/$guard/cmdline" 2>/dev/null
}

lost() {
    echo "lost $1"
    exit 0
}

still_newest() { # or it is lost, to another job or to the guard
    newest
    [ "$holder" = "$user.${token}g" ] && lost "its time ran out"
    [ "$holder" = "$user.$token" ] || lost "somebody else has it since"
}

give_up() {
    forget "$token"
    fail "$1"
}

start_guard() { # in a session of its own and without the tag, so that nothing ends it but its work
    command -v setsid >/dev/null || give_up "there is no setsid, which the guard needs"
    (
        unset MNAS_JOB
        exec setsid sh "$0" guard "$bases" "$token" "$1"
    ) </dev/null >/dev/null 2>&1 &
    tries=0
    until guarded; do
        tries=$((tries + 1))
        if [ "$tries" -gt 100 ]; then
            newest
            { [ "$holder" = "$user.$token" ] && holds "$holder"; } || lost "its time ran out" # and its guard is done
            give_up "the guard does not start"
        fi
        sleep 0.05
    done
}

dead=
locate
case $verb in
show | where) ;;
*) make_own ;;
esac
case $verb in
where | make)
    echo "$own"
    if [ -f "$own/$3" ]; then cat "$own/$3"; fi
    ;;
claim)
    dead=${8-}
    newest
    if [ "$holder" = "$user.$token" ]; then # asked again, because the answer got lost
        holds "$holder" || lost "its time ran out"
    else
        printf "%s\n" "$6" >"$own/$token.owner" || fail "cannot write in $own"
        if ! claim "$4" job "$5"; then
            forget "$token"
            echo "busy $age $said_kind ${holder#*.}"
            owner
            exit 0
        fi
        if [ "${previous%%.*}" = "$user" ] && word "$previous" && [ "$said_tag" != "$5" ]; then
            sweep "$said_tag"
        fi
        tidy
    fi
    guarded || start_guard "$7"
    echo "claimed $top"
    ;;
beat)
    still_newest
    if ! holds "$holder"; then
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
    if [ "$holder" = "$user.$token" ] && holds "$holder"; then
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
        owner
    else
        echo free
    fi
    ;;
guard)
    echo $$ >"$own/$token.guard"
    while :; do
        sleep "$4"
        word "$user.$token" || exit 0 # released
        newest
        [ "$holder" = "$user.$token" ] || exit 0 # whoever took over cleans up
        holds "$holder" || break
    done
    silent=$token tag=$said_tag token=${token}g
    cp "$own/$silent.owner" "$own/$token.owner"
    if claim 3000 guard "$tag"; then # first, so that nobody starts anything that the sweep would end
        sweep "$tag"
        restore
        forget "$silent"
    fi
    forget "$token"
    ;;
esac
