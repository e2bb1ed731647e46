# SPDX-License-Identifier: MIT
# Reads the console of a test VM: a line for each test case, reports of the kernel, the sum.
# Exit 1 where anything failed or nothing passed. -v log_path= names the file in messages.

function result(state, name, more) {
	printf "%-7s %s%s\n", state, name, more
	n[state]++
	if (state != "FAILED")
		return
	# What the test printed, once for each program.
	if (!shown[test]++)
		for (i = 1; i <= lines; i++)
			print "        " line[i]
}

/^@@up / { printf "up after %s s: %s %s\n", $2, $3, $4; next }
/^@@start / { test = $2; lines = 0; cases = 0; failed_before = n["FAILED"]; running = 1; current = ""; next }

# kselftest: "#  RUN  global.name ..." then "ok 1 global.name" or "ok 1 # SKIP why"
running && /^#  RUN / {
	current = $3
	sub(/^global\./, "", current)
	# The fixture of a program has the program's name.
	sub("^" substr(test, index(test, "/") + 1) "[.]", "", current)
}
running && /^(not )?ok [0-9]+/ {
	cases++
	if ($1 == "not")
		result("FAILED", test (current == "" ? "" : "." current), "")
	else if (/# SKIP/) {
		why = $0
		sub(/.*# SKIP */, "", why)
		result("skipped", test "." current, ": " why)
	} else
		result("ok", test (current == "" ? "" : "." current), "")
}
# tests/system and cmocka
running && /^ok - / { cases++; result("ok", test "." $3, " " $4 " " $5) }
running && /^\[       OK \] / { cases++; result("ok", test "." $4, "") }
running && /^\[  SKIPPED \] [^0-9]/ { cases++; result("skipped", test "." $4, "") }
running && /^\[  FAILED  \] [^0-9]/ && !/test\(s\)/ { cases++; result("FAILED", test "." $4, "") }

/^@@end / {
	running = 0
	if ($3 == 137 || $3 == 143)
		result("FAILED", $2, ": killed after " $4 " s, its time was over")
	else if ($3 != 0 && $3 != 77 && $3 != 4 && n["FAILED"] == failed_before)
		result("FAILED", $2, ": exit " $3)
	else if (!cases)
		result($3 == 77 || $3 == 4 ? "skipped" : "ok", $2, " (" $4 " s)")
	ended++
	next
}
running { if (lines < 60) line[++lines] = $0; next }

/^@@dmesg/ { log_begun = 1; next }
/^@@off / { printf "off after %s s\n", $2; log_begun = 0; next }
log_begun && /neap tests begin/ { ours = 1 }
# Reports of the kernel's own checkers, before and after our start.
log_begun && /WARNING:|BUG:|Oops|general protection|KASAN:|UBSAN:|INFO: (possible|trying|task|rcu|inconsistent|suspicious)|possible (recursive|circular|deadlock)|kmemleak: [0-9]+ new|unable to handle|Bad page|refcount_t|soft lockup|scheduling while atomic|list_(add|del) corruption|ODEBUG/ {
	report++
	show = 30
}
log_begun && show > 0 { print "        " $0; show-- }

END {
	if (report) {
		printf "FAILED  %d reports of the kernel, see %s\n", report, log_path
		n["FAILED"]++
	}
	printf "%d passed, %d failed, %d skipped\n", n["ok"], n["FAILED"], n["skipped"]
	exit n["FAILED"] > 0 || n["ok"] == 0
}
