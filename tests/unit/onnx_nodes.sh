#!/bin/bash
# SPDX-License-Identifier: MIT
# The user's way to repeat ONNX's backend node tests: neap import, then neap run with several inputs
# and outputs, of many types, by name. Outputs are compared byte for byte.
set -u
cd "$(dirname "$0")/../.." || exit 1
neap=${NEAP_BUILD:-build}/bin/neap
archive=${NEAP_DATA:-../shared/data}/onnx-nodes/dev.tar.xz
[ -e "$archive" ] || { echo "$archive is not there (NEAP_DATA)"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

# FILE.npy of NumPy type and shape ("2, 3"), its bytes from standard input: version 1.0, a header of
# 128 bytes.
npy() {
	local text
	text=$(printf "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }" "$2" "$3")
	{
		printf '\x93NUMPY\x01\x00\x76\x00%-117s\n' "$text"
		cat
	} >"$1"
}

# In a TensorProto of raw data, as these are, the values are the end of the file.
raw() { # FILE.pb BYTES
	tail -c "$2" "$1"
}

# NAME, then for each input "in:NAME:TYPE:SHAPE:BYTES", for each output "out:NAME:BYTES".
check() {
	local name=$1 dir=$work/test_$1 inputs=() outputs=() i=0 o=0 word kind rest
	shift
	tar -xJf "$archive" -C "$work" "test_$name" || { bad=1; return; }
	"$neap" import "$dir/model.onnx" -o "$work/m.neap" >"$work/log" 2>&1 ||
		{ echo "$name: $(cat "$work/log")"; bad=1; return; }
	for word in "$@"; do
		IFS=: read -r kind rest <<<"$word"
		if [ "$kind" = in ]; then
			IFS=: read -r input type shape bytes <<<"$rest"
			raw "$dir/test_data_set_0/input_$i.pb" "$bytes" |
				npy "$work/in$i.npy" "$type" "$shape"
			inputs+=(--input "$input=$work/in$i.npy")
			i=$((i + 1))
		else
			outputs+=(--output "${rest%:*}=$work/out$o.npy")
			o=$((o + 1))
		fi
	done
	"$neap" run "$work/m.neap" "${inputs[@]}" "${outputs[@]}" >"$work/log" 2>&1 ||
		{ echo "$name: $(cat "$work/log")"; bad=1; return; }
	o=0
	for word in "$@"; do
		[ "${word%%:*}" = out ] || continue
		cmp -s <(raw "$work/out$o.npy" "${word##*:}") \
			<(raw "$dir/test_data_set_0/output_$o.pb" "${word##*:}") ||
			{ echo "$name: output $o differs"; bad=1; }
		o=$((o + 1))
	done
}

check max_int32 'in:data_0:<i4:3,:12' 'in:data_1:<i4:3,:12' out:result:12
check max_int64 'in:data_0:<i8:3,:24' 'in:data_1:<i8:3,:24' out:result:24
check min_int16 'in:data_0:<i2:3,:6' 'in:data_1:<i2:3,:6' out:result:6
check less 'in:x:<f4:3, 4, 5:240' 'in:y:<f4:3, 4, 5:240' out:less:60
check where_long_example 'in:condition:|b1:2, 2:4' 'in:x:<i8:2, 2:32' 'in:y:<i8:2, 2:32' out:z:32
check sub_uint8 'in:x:|u1:3, 4, 5:60' 'in:y:|u1:3, 4, 5:60' out:z:60
check clip_default_int8_max 'in:x:|i1:3, 4, 5:60' 'in:max:|i1::1' out:y:60
check split_variable_parts_2d_opset18 'in:input:<f4:2, 6:48' 'in:split:<i8:2,:16' \
	out:output_1:16 out:output_2:32
check maxpool_with_argmax_2d_precomputed_strides 'in:x:<f4:1, 1, 5, 5:100' out:y:16 out:z:32
check gather_elements_0 'in:data:<f4:2, 2:16' 'in:indices:<i8:2, 2:32' out:y:16
check shape_start_1 'in:x:<f4:3, 4, 5:240' out:y:16

# A type that is not the model's, a name that it has not, an input left out: each is told.
tells() { # text, then arguments of neap run
	local want=$1
	shift
	if "$neap" run "$work/m.neap" "$@" >"$work/log" 2>&1 || ! grep -q -- "$want" "$work/log"; then
		echo "no \"$want\" in: $(cat "$work/log")"
		bad=1
	fi
}
tar -xJf "$archive" -C "$work" test_max_int32
"$neap" import "$work/test_max_int32/model.onnx" -o "$work/m.neap" >/dev/null
head -c 12 /dev/zero | npy "$work/f.npy" '<f4' '3,'
head -c 12 /dev/zero | npy "$work/i.npy" '<i4' '3,'
head -c 16 /dev/zero | npy "$work/four.npy" '<i4' '4,'
tells "takes s32" --input "data_0=$work/f.npy" --input "data_1=$work/i.npy"
tells "data_0, data_1" --input "data_9=$work/i.npy"
tells "data_1" --input "data_0=$work/i.npy"
tells "data_0" --input "data_0=$work/four.npy" --input "data_1=$work/i.npy"
exit $bad
