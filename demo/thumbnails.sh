#!/bin/sh
# The thumbnail service that everybody runs, with uploads that nobody asked for. Called by `make demo`.
#
# Usage: demo/thumbnails.sh [PROGRAM]     PROGRAM is the built lazaret, by default target/release/lazaret
set -eu

lazaret=$(realpath "${1:-target/release/lazaret}")
# The distribution's own, whatever else is in PATH.
convert=/usr/bin/convert
[ -x "$convert" ] || { echo "demo: $convert is missing: install imagemagick" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
umask 022
chmod 755 "$work"

title() { printf '\n== %s\n' "$*"; }

# now: tenths of milliseconds.
size() { identify -format "%wx%h, %b" "$1"; }

now() { echo $(($(date +%s%N) / 100000)); }

# verdict REPORT: the verdict of a report, and what ran into a limit, as one line.
verdict() {
    kind=$(sed -n '/^  "verdict": {/,/^  }/s/^    "kind": "\(.*\)".*/\1/p' "$1")
    code=$(sed -n '/^  "verdict": {/,/^  }/s/^    "code": \([0-9]*\).*/\1/p' "$1")
    status=$(sed -n 's/^  "exit_status": \([0-9]*\).*/\1/p' "$1")
    limit=$(sed -n '/^  "limits_hit": \[/,/^  \]/s/^ *"key": "\(.*\)".*/\1/p' "$1" | paste -sd' ')
    echo "verdict: $kind${code:+($code)}, exit status $status${limit:+, limits reached: $limit}"
}

# jailed OPTIONS… -- COMMAND…: runs it, shows the end of what it said and the verdict. A job's failure is no error here.
jailed() {
    "$lazaret" run --quiet --report report.json "$@" >said 2>&1 || true
    [ -f report.json ] || { cat said >&2; exit 1; }
    sed 's/^/    | /' said | head -n "${lines:-4}"
    echo "    $(verdict report.json)"
    rm -f report.json said
}

# median RUNS COMMAND…: the median of an odd number of runs, in milliseconds.
median() {
    runs=$1
    shift
    for _ in $(seq "$runs"); do
        begin=$(now)
        "$@" >/dev/null 2>&1
        echo $(($(now) - begin))
    done | sort -n | sed -n "$(((runs + 1) / 2))s/\(.\)$/.\1/p"
}

for picture in /usr/share/backgrounds/gnome/adwaita-l.* /usr/share/backgrounds/gnome/*.jpg \
    /usr/share/backgrounds/gnome/*.webp /usr/share/backgrounds/gnome/*.png; do
    [ -f "$picture" ] && "$convert" "$picture" -quality 92 photo.jpg 2>/dev/null && break
done
[ -f photo.jpg ] || { echo "demo: no picture in /usr/share/backgrounds/gnome: install gnome-backgrounds" >&2; exit 1; }

title "A photograph: $(size photo.jpg)"
echo "    lazaret run --profile imagemagick --in photo.jpg --out thumb.png -- convert photo.jpg -resize 256x256 thumb.png"
jailed --profile imagemagick --in photo.jpg --out thumb.png -- "$convert" photo.jpg -resize 256x256 thumb.png
echo "    thumb.png: $(size thumb.png)"

thumbnail() { "$convert" photo.jpg -resize 256x256 bare.png; }
thumbnail_jailed() {
    "$lazaret" run --profile imagemagick --in photo.jpg --out thumb.png -- "$convert" photo.jpg -resize 256x256 thumb.png
}
bare=$(median 5 thumbnail)
jail=$(median 5 thumbnail_jailed)
echo "    median of five: bare $bare ms, jailed $jail ms"
bare=$(median 21 /bin/true)
jail=$(median 21 "$lazaret" run -- true)
echo "    a command that does nothing, median of 21: bare $bare ms, jailed $jail ms"

title "An upload cut short"
head -c 60000 photo.jpg >cut.jpg
jailed --profile imagemagick --in cut.jpg --out cut.png -- "$convert" cut.jpg -resize 256x256 cut.png

title "A bomb: few bytes that become 288 megabytes of pixels"
"$convert" -size 6000x6000 xc:navy -depth 8 bomb.png
echo "    bomb.png: $(size bomb.png)"
jailed --profile imagemagick --limit memory=192MiB --limit disk=128MiB --in bomb.png --out small.png -- \
    "$convert" bomb.png -resize 256x256 small.png

title "A drawing that puts another customer's picture into its own thumbnail"
"$convert" -size 64x64 xc:red private.png
cat >drawing.mvg <<EOF
viewbox 0 0 64 64
image over 0,0 64,64 '$work/private.png'
EOF
"$convert" mvg:drawing.mvg leaked.png 2>/dev/null || true
colour() { "$convert" "$1" -resize 1x1 -format '%[pixel:p{0,0}]' info: 2>/dev/null || echo "no picture"; }
echo "    bare:   the thumbnail is $(colour leaked.png): the private picture"
jailed --profile imagemagick --in drawing.mvg --out drawn.png -- "$convert" mvg:drawing.mvg drawn.png
[ -f drawn.png ] && echo "    jailed: the thumbnail is $(colour drawn.png): nothing of it" || echo "    jailed: no thumbnail"

title "The worst case: the converter is taken over, and a shell of the attacker's runs in its place"
echo "the server's secret" >secret.txt
cat >attack.sh <<EOF
try() { what=\$1; shift; if "\$@" >/dev/null 2>&1; then echo "\$what: DONE"; else echo "\$what: refused"; fi; }
try "read a file of the server"       cat "$work/secret.txt"
try "read /etc/shadow"                cat /etc/shadow
try "write into /usr"                 touch /usr/lib/attack
try "signal the supervisor"           kill -9 1 \$PPID
try "connect to the server itself"    bash -c '</dev/tcp/127.0.0.1/22'
try "connect out"                     bash -c '</dev/tcp/192.0.2.1/80'
try "become root of a namespace"      unshare -Ur true
try "mount"                           mount -t tmpfs tmpfs /tmp
echo "processes in sight: \$(ls /proc | grep -c '^[0-9]')"
EOF
lines=20 jailed --profile imagemagick --in attack.sh -- sh attack.sh
[ ! -e /usr/lib/attack ] || { echo "demo: the attack wrote into /usr" >&2; exit 1; }

title "... and it starts processes without end, fills the disk, and never stops"
cat >bomb.sh <<'EOF'
grow() { grow | grow & }
grow
cat /dev/zero >/tmp/fill
while :; do :; done
EOF
lines=2 jailed --profile imagemagick --limit wall=3s --in bomb.sh -- bash bomb.sh

title "What is left of all that"
left=$(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' | grep -c '^\(bomb\|attack\)\.sh$' || true)
echo "    processes of the jobs: $left"
# Named lazaret-PID-NUMBER; those of a process that lives are somebody else's.
groups=0
for group in $(find /sys/fs/cgroup -maxdepth 6 -type d -name 'lazaret-[0-9]*' 2>/dev/null); do
    owner=${group##*/lazaret-}
    [ -d "/proc/${owner%%-*}" ] || groups=$((groups + 1))
done
echo "    cgroups of jobs: $groups"
[ "$left" = 0 ] && [ "$groups" = 0 ]
