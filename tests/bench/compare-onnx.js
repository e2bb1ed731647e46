// SPDX-License-Identifier: MIT
// Runs an ONNX model in ONNX Runtime and in neap on the same inputs and compares every output. Of a
// .neap file the exported model runs in ONNX Runtime and the file itself in neap; one that keeps values
// from run to run gets its states fed back there.
// Needs the npm package onnxruntime-node where node finds it (NODE_PATH, or BUILD/peers/node_modules).
'use strict';
const fs = require('fs'), os = require('os'), path = require('path');
const { spawnSync } = require('child_process');

const usage = `usage: node compare-onnx.js [options] MODEL.onnx|MODEL.neap
  --build DIR          where neap is built (build)
  --input NAME=X.npy   values of an input; others are random
  --shape NAME=1x2x3   of an input that the file leaves open
  --scalar NAME=V      of an int64 scalar input that is fixed in neap (import --set)
  --level K            of a .neap file (auto)
  --tensors            compare every 8-bit tensor in the graph, not only the outputs
  --runs N             random inputs tried (1)
  --seed N             of the random inputs (1)
  --tolerance T        largest difference of real values that passes, relative to 1 (1e-4)
  --bytes T            largest difference of integers that passes (0)
Exit status: 0 all agree, 1 not.`;

function parse(argv) {
	const o = { build: 'build', input: {}, shape: {}, scalar: {}, runs: 1, seed: 1,
		tolerance: 1e-4, bytes: 0, tensors: false, level: 'auto', model: null };
	for (let i = 2; i < argv.length; i++) {
		const name = argv[i].replace(/^--/, '');
		if (argv[i] === '--tensors')
			o.tensors = true;
		else if (['input', 'shape', 'scalar'].includes(name) && argv[i] !== name) {
			const at = argv[++i].lastIndexOf('=');
			o[name][argv[i].slice(0, at)] = argv[i].slice(at + 1);
		} else if (['runs', 'seed', 'tolerance', 'bytes'].includes(name) && argv[i] !== name)
			o[name] = Number(argv[++i]);
		else if (argv[i] === '--build')
			o.build = argv[++i];
		else if (argv[i] === '--level')
			o.level = argv[++i];
		else if (!argv[i].startsWith('-') && !o.model)
			o.model = argv[i];
		else
			throw new Error(usage);
	}
	if (!o.model)
		throw new Error(usage);
	return o;
}

// ---- npy ----
const types = { float32: ['<f4', Float32Array], uint8: ['|u1', Uint8Array], int8: ['|i1', Int8Array],
	int16: ['<i2', Int16Array], int32: ['<i4', Int32Array], int64: ['<i8', BigInt64Array],
	bool: ['|b1', Uint8Array] };

function writeNpy(file, type, dims, data) {
	const shape = dims.length === 1 ? `(${dims[0]},)` : `(${dims.join(', ')})`;
	let head = `{'descr': '${types[type][0]}', 'fortran_order': False, 'shape': ${shape}, }`;
	head += ' '.repeat(63 - (head.length + 10) % 64) + '\n';
	const b = Buffer.alloc(10);
	b.write('\x93NUMPY\x01\x00', 'latin1');
	b.writeUInt16LE(head.length, 8);
	fs.writeFileSync(file, Buffer.concat([b, Buffer.from(head, 'latin1'),
		Buffer.from(data.buffer, data.byteOffset, data.byteLength)]));
}

function readNpy(file) {
	const b = fs.readFileSync(file), n = b.readUInt16LE(8);
	const head = b.toString('latin1', 10, 10 + n);
	const descr = /'descr': '([^']*)'/.exec(head)[1];
	const dims = /'shape': \(([^)]*)\)/.exec(head)[1].split(',').filter((s) => s.trim()).map(Number);
	const type = Object.keys(types).find((t) => types[t][0] === descr);
	const bytes = new Uint8Array(b.subarray(10 + n)); // a copy that is aligned
	return { type, dims, data: new types[type][1](bytes.buffer) };
}

// ---- protobuf, as far as needed ----
function varint(b, at) {
	let v = 0, shift = 1, byte;
	do {
		byte = b[at++];
		v += (byte & 127) * shift;
		shift *= 128;
	} while (byte & 128);
	return [v, at];
}

function* fields(b) {
	for (let at = 0; at < b.length;) {
		let key, len;
		[key, at] = varint(b, at);
		const wire = key & 7;
		if (wire === 2) {
			[len, at] = varint(b, at);
			yield [key >>> 3, b.subarray(at, at + len)];
			at += len;
		} else if (wire === 0) {
			[len, at] = varint(b, at);
			yield [key >>> 3, len];
		} else {
			at += wire === 5 ? 4 : 8;
		}
	}
}

function encode(field, payload) {
	const head = [(field << 3) | 2];
	for (let n = payload.length; ; n = Math.floor(n / 128)) {
		head.push((n % 128) | (n >= 128 ? 128 : 0));
		if (n < 128)
			break;
	}
	return Buffer.concat([Buffer.from(head), payload]);
}

// The model with each QuantizeLinear's result as an output too: a second graph field is merged.
function withTensors(model) {
	const names = [], outputs = new Set();
	for (const [f, graph] of fields(model)) {
		if (f !== 7)
			continue;
		for (const [g, part] of fields(graph)) {
			if (g === 12)
				for (const [k, v] of fields(part))
					if (k === 1)
						outputs.add(v.toString());
			if (g !== 1)
				continue;
			let op = '', out = '';
			for (const [k, v] of fields(part)) {
				if (k === 2 && !out)
					out = v.toString();
				if (k === 4)
					op = v.toString();
			}
			if (op === 'QuantizeLinear')
				names.push(out);
		}
	}
	const added = names.filter((n) => !outputs.has(n)).slice(0, 60)
		.map((n) => encode(12, encode(1, Buffer.from(n))));
	return Buffer.concat([model, encode(7, Buffer.concat(added))]);
}

// ---- the comparison ----
let state;
function random() { // xorshift32
	state ^= state << 13;
	state ^= state >>> 17;
	state ^= state << 5;
	return (state >>> 0) / 4294967296;
}

function randomValues(type, n) {
	const data = new types[type][1](n);
	for (let i = 0; i < n; i++) {
		const r = random();
		data[i] = type === 'float32' ? (r + random() + random() - 1.5) * 2
			: type === 'int64' ? BigInt(Math.floor(r * 4))
			: type === 'bool' ? Number(r < 0.5) : Math.floor(r * 256) - (type === 'int8' ? 128 : 0);
	}
	return data;
}

function difference(a, b) {
	let worst = 0, count = 0;
	if (a.length !== b.length)
		return { worst: Infinity, count: Math.max(a.length, b.length) };
	for (let i = 0; i < a.length; i++) {
		const x = Number(a[i]), y = Number(b[i]);
		const d = Object.is(x, y) || x === y ? 0 : Math.abs(x - y);
		count += d !== 0;
		worst = d > worst || Number.isNaN(d) ? d : worst;
	}
	return { worst, count };
}

function command(program, args) {
	const r = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
	if (r.status !== 0)
		throw new Error(`${program} ${args.join(' ')}\n${r.stderr || r.error}`);
	return r.stdout;
}

// ---- one file ----
// What the exporter wrote beside the graph: which output is a state's next value, and its first one.
function metadata(model) {
	const entries = {};
	for (const [f, part] of fields(model)) {
		if (f !== 14)
			continue;
		let key = '', value = '';
		for (const [k, v] of fields(part)) {
			if (k === 1)
				key = v.toString();
			if (k === 2)
				value = v.toString();
		}
		entries[key] = value;
	}
	return entries;
}

function firstValue(ort, m, text) {
	const n = m.shape.reduce((a, b) => a * b, 1), v = text.split(' ').map(Number);
	const data = new types[m.type][1](n);
	for (let i = 0; i < n; i++)
		data[i] = m.type === 'int64' ? BigInt(v[i % v.length]) : v[i % v.length];
	return new ort.Tensor(m.type, data, m.shape);
}

function openInput(ort, o, m) {
	const shape = o.shape[m.name];
	const dims = shape ? shape.split('x').map(Number)
		: m.shape.map((d) => (typeof d === 'number' && d > 0 ? d : 1));
	const n = dims.reduce((a, b) => a * b, 1);
	if (m.name in o.scalar)
		return new ort.Tensor('int64', BigInt64Array.of(BigInt(o.scalar[m.name])), []);
	if (!(m.name in o.input))
		return new ort.Tensor(m.type, randomValues(m.type, n), dims);
	const x = readNpy(o.input[m.name]);
	return new ort.Tensor(x.type, x.data, x.dims);
}

// Values as neap has them: s8 ones are u8, 128 more, in an exported model.
function asNeap(type, data, signed) {
	return type === 'uint8' && signed ? ['int8', Int8Array.from(data, (v) => v - 128)] : [type, data];
}

function compare(o, name, want, got, quiet) {
	const d = difference(want.data, got.data);
	const most = want.type === 'float32' ? o.tolerance : o.bytes;
	const same = got.type === want.type && d.worst <= most;
	if (!same || !quiet)
		console.log(`${same ? 'ok  ' : 'DIFF'} ${name} ${want.type} [${want.dims}]: ` +
			`${d.count} of ${want.data.length} differ, at most by ${d.worst}` +
			(got.type === want.type ? '' : `; neap gives ${got.type}`));
	return !same;
}

// An ONNX file: imported, run by run.
async function compareOnnx(o, ort, neap, at, session) {
	const given = Object.entries(o.shape).flatMap(([k, v]) => ['--shape', `${k}=${v}`]);
	const set = Object.entries(o.scalar).flatMap(([k, v]) => ['--set', `${k}=${v}`]);
	let failed = 0;
	command(neap, ['import', at('model.onnx'), '-o', at('model.neap'), ...given, ...set]);
	for (let run = 0; run < o.runs; run++) {
		const feeds = {}, args = ['run', at('model.neap')];
		state = o.seed + run || 1;
		for (const m of session.inputMetadata) {
			const x = feeds[m.name] = openInput(ort, o, m);
			if (m.name in o.scalar)
				continue;
			writeNpy(at(`in_${m.name}.npy`), x.type, x.dims, x.data);
			args.push('--input', `${m.name}=${at(`in_${m.name}.npy`)}`);
		}
		for (const name of session.outputNames)
			args.push('--output', `${name}=${at(`out_${name}.npy`)}`);
		command(neap, args);
		const want = await session.run(feeds);
		for (const name of session.outputNames)
			failed += compare(o, name, want[name], readNpy(at(`out_${name}.npy`)), run > 0);
	}
	return failed;
}

// A .neap file: all runs are one stream, so its inputs are stacked.
async function compareNeap(o, ort, neap, at, session, notes) {
	const isState = (m) => m.name in notes && `${m.name}_first` in notes;
	const inputs = session.inputMetadata.filter((m) => !isState(m));
	const states = session.inputMetadata.filter(isState);
	const outputs = session.outputNames.filter((n) => !states.some((m) => notes[m.name] === n));
	const info = JSON.parse(command(neap, ['inspect', '--json', o.model]));
	const kind = Object.fromEntries(info.tensors.map((t) => [t.name, t.dtype]));
	const stacked = {}, want = {}, args = ['run', o.model, '--level', o.level], feeds = {};
	let failed = 0;
	for (const m of states)
		feeds[m.name] = firstValue(ort, m, notes[`${m.name}_first`]);
	state = o.seed || 1;
	for (let run = 0; run < o.runs; run++) {
		for (const m of inputs) {
			feeds[m.name] = openInput(ort, o, m);
			(stacked[m.name] = stacked[m.name] || []).push(feeds[m.name]);
		}
		const result = await session.run(feeds);
		for (const m of states)
			feeds[m.name] = result[notes[m.name]];
		for (const name of outputs)
			(want[name] = want[name] || []).push(result[name]);
	}
	const joined = (name, list) => {
		const data = new types[list[0].type][1](list.flatMap((t) => Array.from(t.data)));
		const [type, values] = asNeap(list[0].type, data, kind[name] === 's8');
		return { type, data: values, dims: list[0].dims };
	};
	for (const m of inputs) {
		const x = joined(m.name, stacked[m.name]);
		const dims = o.runs === 1 ? x.dims : [o.runs, ...x.dims];
		writeNpy(at(`in_${m.name}.npy`), x.type, dims, x.data);
		args.push('--input', `${m.name}=${at(`in_${m.name}.npy`)}`);
	}
	for (const name of outputs)
		args.push('--output', `${name}=${at(`out_${name}.npy`)}`);
	command(neap, args);
	for (const name of outputs)
		failed += compare(o, name, joined(name, want[name]), readNpy(at(`out_${name}.npy`)));
	return failed;
}

async function main() {
	const o = parse(process.argv);
	module.paths.push(path.resolve(o.build, 'peers/node_modules'));
	const ort = require('onnxruntime-node');
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'neap-compare-'));
	const at = (name) => path.join(dir, name.replace(/[^\w.-]/g, '_'));
	const neap = path.resolve(o.build, 'bin/neap');
	const isNeap = o.model.endsWith('.neap');
	let failed = 0;

	try {
		if (isNeap)
			command(neap, ['export', o.model, '--level', o.level, '-o', at('model.onnx')]);
		let model = fs.readFileSync(isNeap ? at('model.onnx') : o.model);
		if (o.tensors)
			model = withTensors(model);
		fs.writeFileSync(at('model.onnx'), model);
		const session = await ort.InferenceSession.create(at('model.onnx'),
			{ intraOpNumThreads: 1, interOpNumThreads: 1 });
		failed = isNeap ? await compareNeap(o, ort, neap, at, session, metadata(model))
			: await compareOnnx(o, ort, neap, at, session);
	} finally {
		fs.rmSync(dir, { recursive: true, force: true });
	}
	console.log(failed ? `${failed} outputs differ` : `all outputs agree in ${o.runs} runs`);
	return failed ? 1 : 0;
}

main().then((r) => { process.exitCode = r; }, (e) => {
	console.error(e.message);
	process.exitCode = 2;
});
