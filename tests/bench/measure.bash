# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Timing, statistics and the table of tests/bench/run, which sources this. Times and values are
# kept as text files below $DIR:
#
#   sample SUBJECT COMMAND…   -> samples/SUBJECT    seconds, a line a round
#   ratio, figure             -> figures            name, median, min, max, unit, op, target

# Runs the command and notes its time under SUBJECT. A command that fails ends everything.
sample() {
        local subject=$1 begin end

        shift
        begin=$EPOCHREALTIME
        "$@" || die "failed: $*"
        end=$EPOCHREALTIME
        note "$subject" "$(awk -v a="$begin" -v b="$end" 'BEGIN { printf "%.4f", b - a }')"
}

# About what a subject fills of the page cache at once, MiB.
USED_MEMORY=2048

# The same for a command that takes much new memory, if only of the page cache.
sample_filling() {
        "$BENCH/used_memory" "$USED_MEMORY" || die "no memory"
        sample "$@"
}

# note SUBJECT VALUE: one more round's value of SUBJECT.
note() {
        echo "$2" >>"$DIR/samples/$1"
}

# Median, least and greatest of the numbers on stdin.
spread() {
        sort -g | awk '{ v[NR] = $1 } END {
                if (NR == 0) exit 1
                m = NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
                printf "%.6g\t%.6g\t%.6g\n", m, v[1], v[NR]
        }'
}

# add_figure NAME UNIT OP TARGET, with its values of all rounds on stdin. OP is "<=" or ">="; TARGET
# is "-" where there is none.
add_figure() {
        local stats op=$3

        [ "$4" != - ] || op=-
        stats=$(spread) || die "no value for: $1"
        printf '%s\t%s\t%s\t%s\t%s\n' "$1" "$stats" "$2" "$op" "$4" >>"$DIR/figures"
        tail -n 1 "$DIR/figures" | print_rows
}

# figure NAME SUBJECT UNIT [OP TARGET]: the values noted under SUBJECT.
figure() {
        add_figure "$1" "$3" "${4:--}" "${5:--}" <"$DIR/samples/$2"
}

# ratio NAME SUBJECT OTHER[+OTHER] [OP TARGET]: SUBJECT over OTHER, round by round.
ratio() {
        local -a others
        local file

        IFS=+ read -ra others <<<"$3"
        for file in "${others[@]}"; do
                paste "$DIR/samples/$2" "$DIR/samples/$file" >/dev/null || die "no value for: $1"
        done
        paste "$DIR/samples/$2" "${others[@]/#/$DIR/samples/}" |
                awk '{ d = 0; for (i = 2; i <= NF; i++) d += $i; print $1 / d }' |
                add_figure "$1" "x" "${4:--}" "${5:--}"
}

# The figures on stdin as rows for a person.
print_rows() {
        awk -F '\t' '{
                met = "-"
                if ($6 == "<=") met = $2 <= $7 ? "yes" : "NO"
                if ($6 == ">=") met = $2 >= $7 ? "yes" : "NO"
                range = $3 == $4 ? "" : sprintf("%.4g..%.4g", $3, $4)
                target = $6 == "-" ? "" : $6 " " $7
                printf "%-58s %9.4g %-16s %-18s %-9s %s\n", $1, $2, $5, range, target, met
        }'
}

print_heading() {
        printf '%-58s %9s %-16s %-18s %-9s %s\n' figure median unit min..max target met
}

# The figures as JSON, with the machine.
print_json() {
        jq -R -s --arg machine "$(machine)" --arg date "$(date -u +%FT%TZ)" \
                --arg version "$("$VMAFS" --version)" --argjson rounds "$ROUNDS" '
                def number: if . == "-" then null else tonumber end;
                {machine: $machine, date: $date, version: $version, rounds: $rounds,
                 figures: [split("\n")[] | select(. != "") | split("\t") | {
                        name: .[0], median: (.[1] | tonumber), min: (.[2] | tonumber),
                        max: (.[3] | tonumber), unit: .[4],
                        comparison: (if .[5] == "-" then null else .[5] end),
                        target: (.[6] | number)}
                        | .met = (if .comparison == "<=" then .median <= .target
                                  elif .comparison == ">=" then .median >= .target
                                  else null end)]}' "$DIR/figures"
}

machine() {
        printf '%s, %d processors, Linux %s' \
                "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" \
                "$(nproc)" "$(uname -r)"
}

# The ratios that have a target, as a share of it, into the SVG file $1.
plot() {
        if ! command -v gnuplot >/dev/null; then
                echo "bench: no gnuplot, so no plot"
                return 0
        fi
        awk -F '\t' '$6 != "-" { r = $6 == "<=" ? $2 / $7 : $7 / $2; print "\"" $1 "\"\t" r }' \
                "$DIR/figures" >"$DIR/plot.tsv"
        gnuplot <<END
set terminal svg noenhanced size 1000,700
set output '$1'
set datafile separator '\t'
set style fill solid 0.6
set title 'Share of the target (below 1: met)'
set xrange [0:*]
set yrange [*:*] reverse
set arrow from 1, graph 0 to 1, graph 1 nohead dt 2 front
unset key
plot '$DIR/plot.tsv' using (\$2/2):0:(\$2/2):(0.35):yticlabels(1) with boxxyerrorbars
END
        echo "bench: plotted as $1"
}
