#!/bin/bash
# SPDX-License-Identifier: MIT
# Whole models on arm64, under emulation: with NEON and with its dot product every level gives the
# same bytes as the C kernels give here. The shipped models, and MLPerf Tiny's where they are.
set -eu
cd "$(dirname "$0")/../.."
build=${NEAP_BUILD:-build} arm=${NEAP_BUILD_ARM64:-build-arm64}
data=${NEAP_DATA:-../shared/data}
inputs=5
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

command -v qemu-aarch64-static >/dev/null || { echo "qemu-aarch64-static is not installed"; exit 77; }
for program in "$build/tests/arm64/run_model" "$arm/tests/arm64/run_model"; do
	[ -x "$program" ] || { echo "$program was not built"; exit 1; }
done

check() { # model
	local want got set
	want=$(NEAP_CPU=c "$build/tests/arm64/run_model" "$1" $inputs 1)
	for set in neon dotprod; do
		got=$(qemu-aarch64-static -cpu max -E NEAP_CPU=$set \
			"$arm/tests/arm64/run_model" "$1" $inputs 1)
		[ "$got" = "$set ${want#c }" ] || {
			echo "${1##*/}: \"$got\" on arm64, \"$want\" here"
			exit 1
		}
	done
	echo "${1##*/}: the same bytes (${want#c })"
}

for model in models/*.neap; do
	check "$model"
done
[ -d "$data/models" ] || {
	echo "the shipped models are the same; $data/models is not there for MLPerf Tiny's"
	exit 77
}
for model in kws_ref_model pretrainedResnet_quant vww_96_int8 ad01_int8; do
	"$build/bin/neap" import "$data/models/$model.tflite" -o "$work/$model.neap" >/dev/null
	check "$work/$model.neap"
done
