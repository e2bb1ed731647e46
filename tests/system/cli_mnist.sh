#!/bin/bash
# SPDX-License-Identifier: MIT
# Import, evaluation, benchmark and plot on a published network and its real test set: the program
# must give the accuracy that others measured. Skipped where the model or the data are absent.
set -eu
neap=$(realpath "${NEAP_BUILD:-build}/bin/neap")
data=$(realpath -m "${NEAP_DATA:-../shared/data}")
model=$data/models/lenet300100_original.onnx
mnist=idx:$data/mnist/t10k-images-idx3-ubyte.xz,$data/mnist/t10k-labels-idx1-ubyte.xz
if [ ! -r "$model" ] || [ ! -r "$data/mnist/t10k-images-idx3-ubyte.xz" ]; then
	echo "skipped: $data has no LeNet-300-100 or no MNIST (set NEAP_DATA)"
	exit 77
fi
if "$neap" --version | grep -qE 'ONNX|\.xz'; then
	echo "skipped: neap was built without the ONNX importer or without liblzma"
	exit 77
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

"$neap" import "$model" -o lenet.neap --input-scale 0.00390625
"$neap" eval lenet.neap --data "$mnist" --json >eval.json
grep -qE '"accuracy":[[:space:]]*0\.977[123]' eval.json || { cat eval.json; exit 1; }
grep -qE '"runs":[[:space:]]*10000' eval.json || { cat eval.json; exit 1; }

# All threads count the same; a part of the data is a part.
"$neap" eval lenet.neap --data "$mnist" --threads 1 --json >one.json
[ "$(grep accuracy one.json)" = "$(grep accuracy eval.json)" ]
"$neap" eval lenet.neap --data "$mnist" --limit 100 | grep -q ': 100 samples'

"$neap" bench lenet.neap --runs 200 --json | grep -q '"macs":[[:space:]]*266200'
"$neap" inspect lenet.neap | grep -q '3 dense'
"$neap" plot lenet.neap -o front.svg --x macs --data "$mnist"
grep -q 'accuracy 97.72 %' front.svg

# A file can be given the figures of this machine; nothing else in it changes.
"$neap" eval lenet.neap --data "$mnist" -o measured.neap --report report.json >/dev/null
grep -qE '"s8_accuracy":[[:space:]]*0\.977[123]' report.json || { cat report.json; exit 1; }
[ "$("$neap" eval measured.neap --data "$mnist" --json | grep accuracy)" = "$(grep accuracy eval.json)" ]
"$neap" inspect measured.neap --json | grep -qE '"accuracy":[[:space:]]*0\.977[123]'
if "$neap" eval lenet.neap --data "$mnist" --limit 9 -o part.neap 2>error.txt || [ -e part.neap ]; then
	echo "figures of a part of the data were written"
	exit 1
fi
grep -q 'no --limit' error.txt

# A wrong data set is told.
if "$neap" eval lenet.neap --data fashion-mnist:nothing 2>error.txt; then
	echo "an unknown data set was taken"
	exit 1
fi
grep -q 'fashion-mnist:train|test' error.txt
echo ok
