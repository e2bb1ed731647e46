// SPDX-License-Identifier: MIT
// MLPerf Tiny's models on their inputs: neap on the TFLite files, ONNX Runtime on the ONNX files that
// were converted from them. Each output byte of the int8 models must be the same, softmax within 1.
// Needs the npm package onnxruntime-node where node finds it (NODE_PATH, or BUILD/peers/node_modules),
// and dwebp for the sheet of persons.
'use strict';
const fs = require('fs'), os = require('os'), path = require('path');
const { spawnSync } = require('child_process');

const usage = `usage: node compare-tiny.js [--build DIR] [--data DIR]
  --build DIR   where neap is built (build)
  --data DIR    the reference data (NEAP_DATA, ../shared/data)
Exit status: 0 all agree, 1 not.`;

const o = { build: 'build', data: process.env.NEAP_DATA || '../shared/data' };
for (let i = 2; i < process.argv.length; i++) {
	const name = process.argv[i].replace(/^--/, '');
	if (!(name in o) || i + 1 >= process.argv.length) {
		console.error(usage);
		process.exit(2);
	}
	o[name] = process.argv[++i];
}

let ort;
try {
	module.paths.push(path.resolve(o.build, 'peers/node_modules'));
	ort = require('onnxruntime-node');
} catch (e) {
	console.error('onnxruntime-node is not installed: npm install --ignore-scripts ' +
		`onnxruntime-node in ${o.build}/peers`);
	process.exit(2);
}

const tmp = fs.mkdtempSync(path.join(os.tmpdir(), 'compare-tiny.'));
process.on('exit', () => fs.rmSync(tmp, { recursive: true, force: true }));

function command(program, args, encoding) {
	const r = spawnSync(program, args, { encoding, maxBuffer: 1 << 28 });

	if (r.error || r.status !== 0)
		throw new Error(`${program} ${args.join(' ')}: ${r.error || r.stderr}`);
	return r.stdout;
}

// ---- npy ----
function writeNpy(file, descr, dims, data) {
	let head = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${dims.join(', ')},), }`;
	const b = Buffer.alloc(10);

	head += ' '.repeat(63 - (head.length + 10) % 64) + '\n';
	b.write('\x93NUMPY\x01\x00', 'latin1');
	b.writeUInt16LE(head.length, 8);
	fs.writeFileSync(file, Buffer.concat([b, Buffer.from(head, 'latin1'),
		Buffer.from(data.buffer, data.byteOffset, data.byteLength)]));
}

function readNpy(file, Type) {
	const b = fs.readFileSync(file), at = 10 + b.readUInt16LE(8);

	return new Type(new Uint8Array(b.subarray(at)).buffer);
}

// ---- inputs: real values are scale * (s8 - zero) ----
function archive(name) {
	command('tar', ['-xJf', path.join(o.data, `mlperf-tiny/${name}.tar.xz`), '-C', tmp]);
	const lines = fs.readFileSync(path.join(tmp, name, 'y_labels.csv'), 'utf8').trim().split(/\r?\n/);
	return lines.map((l) => l.split(',')).map((f) => ({
		bytes: fs.readFileSync(path.join(tmp, name, f[0])), label: Number(f[2]) }));
}

function keywords() {
	return archive('kws01').map((f) => ({ label: f.label, s8: new Int8Array(f.bytes) }));
}

function images() {
	return archive('ic01').map((f) => ({ label: f.label,
		s8: Int8Array.from(f.bytes, (v) => v - 128) }));
}

function persons() {
	const sheet = command('dwebp', ['-quiet',
		path.join(o.data, 'mlperf-tiny/vww01_500_tiles.webp'), '-ppm', '-o', '-'], 'buffer');
	const rows = fs.readFileSync(path.join(o.data, 'mlperf-tiny/vww01_500_y_labels.csv'), 'utf8')
		.trim().split(/\r?\n/);
	const width = 25 * 96, pixels = sheet.subarray(sheet.length - width * 20 * 96 * 3);
	return rows.map((row, i) => {
		const s8 = new Int8Array(96 * 96 * 3);
		for (let y = 0; y < 96; y++)
			for (let x = 0; x < 96 * 3; x++)
				s8[y * 96 * 3 + x] = pixels[((Math.floor(i / 25) * 96 + y) * width +
					i % 25 * 96) * 3 + x] - 128;
		return { label: Number(row.split(',')[2]), s8 };
	});
}

// All windows of 5 frames of each file, every third frame.
function sounds() {
	const all = [], scale = Math.fround(0.3910152316093445);
	for (const f of archive('ad01')) {
		const v = new Float32Array(new Uint8Array(f.bytes).buffer);
		for (let at = 0; at + 5 <= 200; at += 3) {
			const s8 = new Int8Array(640);
			for (let i = 0; i < 640; i++)
				s8[i] = Math.max(-128, Math.min(127,
					Math.round(v[at * 128 + i] / scale) + 89));
			all.push({ label: -1, s8 });
		}
	}
	return all;
}

const models = [
	{ tflite: 'kws_ref_model', real: 'kws_ref_model_float32', onnx: 'kws', input: keywords,
		dims: [49, 10, 1], tolerance: 1, scale: 0.5847029089927673, zero: 83 },
	{ tflite: 'pretrainedResnet_quant', real: 'pretrainedResnet', onnx: 'resnet8', input: images,
		dims: [32, 32, 3], tolerance: 1, scale: 1, zero: -128 },
	{ tflite: 'vww_96_int8', real: 'vww_96_float', onnx: 'vww', input: persons,
		dims: [96, 96, 3], tolerance: 1, scale: 1 / 255, zero: -128 },
	{ tflite: 'ad01_int8', real: 'ad01_fp32', onnx: 'ad', input: sounds,
		dims: [640], tolerance: 0, scale: 0.3910152316093445, zero: 89 },
];

// [H,W,C] to [C,H,W]
function channelsFirst(from, to, dims) {
	if (dims.length < 3) {
		to.set(from);
		return;
	}
	const [h, w, c] = dims;
	for (let i = 0; i < h * w; i++)
		for (let k = 0; k < c; k++)
			to[k * h * w + i] = from[i * c + k];
}

function runNeap(model, descr, dims, data, Out) {
	const neap = path.join(o.build, 'bin/neap');
	const file = path.join(tmp, 'm.neap'), x = path.join(tmp, 'x.npy'), y = path.join(tmp, 'y.npy');

	command(neap, ['import', path.join(o.data, `models/${model}.tflite`), '-o', file]);
	writeNpy(x, descr, dims, data);
	command(neap, ['run', file, '-i', x, '-o', y]);
	return readNpy(y, Out);
}

async function runOrt(name, type, samples, dims, Data) {
	const session = await ort.InferenceSession.create(
		path.join(o.data, `models/onnx/${name}.onnx`), { intraOpNumThreads: 1 });
	const shape = dims.length === 3 ? [1, dims[2], dims[0], dims[1]] : [1, ...dims];
	const out = [];

	for (const s of samples) {
		const x = new Data(s.length);
		channelsFirst(s, x, dims);
		const r = await session.run({ [session.inputNames[0]]: new ort.Tensor(type, x, shape) });
		out.push(r[session.outputNames[0]].data);
	}
	return out;
}

function best(v) {
	return v.reduce((b, x, i) => (x > v[b] ? i : b), 0);
}

async function compareInt8(m, samples) {
	const all = new Int8Array(samples.length * samples[0].s8.length);
	samples.forEach((s, i) => all.set(s.s8, i * s.s8.length));
	const got = runNeap(m.tflite, '|i1', [samples.length, ...m.dims], all, Int8Array);
	const want = await runOrt(`${m.onnx}_int8`, 'uint8',
		samples.map((s) => Uint8Array.from(s.s8, (v) => v + 128)), m.dims, Uint8Array);
	const n = want[0].length;
	let differ = 0, worst = 0, right = 0, ortRight = 0;

	want.forEach((w, i) => {
		const g = got.subarray(i * n, (i + 1) * n);
		for (let k = 0; k < n; k++) {
			const d = Math.abs(g[k] - (w[k] - 128));
			differ += d !== 0;
			worst = Math.max(worst, d);
		}
		right += best(g) === samples[i].label;
		ortRight += best(w) === samples[i].label;
	});
	console.log(`${m.tflite}: ${samples.length} inputs, ${samples.length * n} output bytes, ` +
		`${differ} differ (at most by ${worst}; ${m.tolerance} allowed)` +
		(samples[0].label < 0 ? '' : `; right: neap ${right}, ONNX Runtime ${ortRight}`));
	return worst <= m.tolerance;
}

async function compareReal(m, samples) {
	const some = samples.filter((s, i) => i % 10 === 0).map((s) => Float32Array.from(s.s8,
		(v) => (v - m.zero) * m.scale));
	const all = new Float32Array(some.length * some[0].length);
	some.forEach((s, i) => all.set(s, i * s.length));
	const got = runNeap(m.real, '<f4', [some.length, ...m.dims], all, Float32Array);
	const want = await runOrt(`${m.onnx}_fp32`, 'float32', some, m.dims, Float32Array);
	const n = want[0].length;
	let worst = 0;

	want.forEach((w, i) => {
		const top = w.reduce((t, v) => Math.max(t, Math.abs(v)), 1e-3);
		for (let k = 0; k < n; k++)
			worst = Math.max(worst, Math.abs(got[i * n + k] - w[k]) / top);
	});
	console.log(`${m.real}: ${some.length} inputs, f32 outputs differ by ` +
		`${worst.toExponential(1)} of the largest at most (1e-4 allowed)`);
	return worst <= 1e-4;
}

(async () => {
	let good = true;
	for (const m of models) {
		const samples = m.input();
		good = await compareInt8(m, samples) && good;
		good = await compareReal(m, samples) && good;
	}
	process.exit(good ? 0 : 1);
})().catch((e) => {
	console.error(e.message);
	process.exit(1);
});
