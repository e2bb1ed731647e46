#!/bin/bash
# SPDX-License-Identifier: MIT
# TFLite models as people use them: import, look, evaluate, a wake word on a recording; and what is
# wrong is told. Skipped where the reference data are absent.
set -eu
neap=$(realpath "${NEAP_BUILD:-build}/bin/neap")
data=$(realpath -m "${NEAP_DATA:-../shared/data}")
mnist=idx:$data/mnist/t10k-images-idx3-ubyte.xz,$data/mnist/t10k-labels-idx1-ubyte.xz
for f in models/trained_lstm_int8.tflite models/microwakeword_okay_nabu_v2.tflite wake-audio/alexa.wav \
	mnist/t10k-images-idx3-ubyte.xz; do
	if [ ! -r "$data/$f" ]; then
		echo "skipped: $data has no $f (set NEAP_DATA)"
		exit 77
	fi
done
if "$neap" --version | grep -qE 'audio|\.xz'; then
	echo "skipped: neap was built without libsndfile or without liblzma"
	exit 77
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

# The largest byte of an npy file of bytes.
largest() {
	local head
	head=$(od -An -tu2 -j8 -N2 "$1" | tr -d ' ')
	od -An -v -tu1 -w1 -j$((10 + head)) "$1" | sort -n | tail -1 | tr -d ' '
}

# An integer model keeps its types, and evaluates as its makers' data say; samples are no stream.
"$neap" import "$data/models/trained_lstm_int8.tflite" -o lstm.neap --input-scale 0.0039215686
"$neap" inspect lstm.neap | grep -q "input 'serving_default_fixed_input:0': s8 \[1,28,28\]"
"$neap" inspect lstm.neap | grep -q 'source_format: tflite'
"$neap" eval lstm.neap --data "$mnist" --limit 1000 --json | grep -qE '"accuracy":[[:space:]]*0\.9[789]'

# A wake word: its own recording wakes, another does not; the stream goes on within a run.
"$neap" import "$data/models/microwakeword_okay_nabu_v2.tflite" -o nabu.neap
"$neap" inspect nabu.neap | grep -q 'kept from run to run: 6 values'
for word in okay_nabu alexa; do
	"$neap" features nabu.neap "$data/wake-audio/$word.wav" -o $word.npy >/dev/null
	"$neap" run nabu.neap -i "serving_default_input_audio:0=$word.npy" -o $word.out.npy >/dev/null
done
[ "$(largest okay_nabu.out.npy)" -ge 230 ]
[ "$(largest alexa.out.npy)" -le 76 ]

# What is wrong is told, and nothing is written.
refused() {
	local want=$1
	shift
	rm -f never.neap never.npy
	if "$neap" "$@" >out.txt 2>error.txt; then
		echo "neap $* went through"
		exit 1
	fi
	grep -q -- "$want" error.txt || { cat error.txt; exit 1; }
	[ ! -e never.neap ] && [ ! -e never.npy ]
}
head -c 3000 "$data/models/trained_lstm_int8.tflite" >short.tflite
head -c 40 /dev/urandom >noise.tflite
refused 'damaged at byte' import short.tflite -o never.neap
refused "no file of the kind 'TFL3'" import noise.tflite -o never.neap
refused 'No such file' import absent.tflite -o never.neap
refused 'are for ONNX models' import "$data/models/trained_lstm_int8.tflite" -o never.neap --shape x=1x2
refused 'quantised already' import "$data/models/trained_lstm_int8.tflite" -o never.neap --quantize \
	--calib "$mnist"
refused 'not of 40 features' features lstm.neap "$data/wake-audio/alexa.wav" -o never.npy
refused 'noise.tflite' features nabu.neap noise.tflite -o never.npy
echo ok
