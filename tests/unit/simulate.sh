#!/bin/bash
# SPDX-License-Identifier: MIT
# neap simulate on a shipped model: what a trace makes the governor choose, and refusals.
set -u
cd "$(dirname "$0")/../.." || exit 1
neap=${NEAP_BUILD:-build}/bin/neap
model=models/fashion.neap
[ -e $model ] || { echo "$model is not there"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

# Runs simulate on the trace from standard input; its JSON lands in $work/out.
run() {
	cat >"$work/trace.csv"
	"$neap" simulate "$work/trace.csv" --model $model --json "$@" >"$work/out" 2>"$work/err"
}
number() { # of a key of the JSON
	sed -n "s/^.*\"$1\":[[:space:]]*\([0-9.]*\).*/\1/p" "$work/out" | head -1
}
expect() { # what, left, test, right
	awk -v a="$2" -v b="$4" "BEGIN { exit !(a $3 b) }" || { echo "$1: $2 is not $3 $4"; bad=1; }
}
refuses() { # text that the message must hold, then arguments; the trace is on standard input
	local want=$1
	shift
	if run "$@"; then
		echo "accepted: $want"
		bad=1
	elif ! grep -q -- "$want" "$work/err"; then
		echo "no \"$want\" in: $(cat "$work/err")"
		bad=1
	fi
}

run <<-CSV || { cat "$work/err"; exit 1; }
	time_ms,requests
	0,1000
	10000,0
CSV
expect "requests" "$(number requests)" == 1000
expect "all at the best level" "$(number full)" == 1000
best=$(number accuracy)

run <<-CSV
	time_ms,requests,on_battery,charge_permille
	0,500,1,500
	5000,500,1,90
	10000,0,1,90
CSV
expect "the reserve costs accuracy" "$(number accuracy)" '<' "$best"
expect "half of them at the smallest" "$(number energy)" == 500

run --budget latency_us=1 <<-CSV
	time_ms,requests
	0,100
	100,0
CSV
expect "nothing fits: degraded" "$(number degraded)" == 100
expect "nothing fits: time" "$(number time)" == 100

run --decisions "$work/decisions.csv" <<-CSV
	time_ms,requests,deadline_us,strict
	0,10,1,1
	100,0,,
CSV
expect "strict is refused, not late" "$(number refused)" == 10
expect "a line a decision" "$(wc -l <"$work/decisions.csv")" == 11

refuses "time_ms is missing" <<<$'requests\n1'
refuses "no column" <<<$'time_ms,weather\n0,1'
refuses "goes back" <<<$'time_ms\n5\n4'
refuses "want a number" <<<$'time_ms,requests\n0,many'
refuses "want a number" <<<$'time_ms,charge_permille\n0,1001'
refuses "no rows" <<<$'time_ms'
refuses "no budget of that name" --budget latency=5 <<<$'time_ms\n0'
refuses "NAME=VALUE" --budget latency_us <<<$'time_ms\n0'
refuses "whole number" --budget latency_us=x <<<$'time_ms\n0'
"$neap" simulate "$work/absent.csv" --model $model >/dev/null 2>"$work/err" && bad=1
grep -q absent.csv "$work/err" || { echo "the missing file is not named"; bad=1; }
exit $bad
