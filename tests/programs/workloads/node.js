// Buffers, zlib streams, and worker threads, each of which has a V8 heap that comes and goes.
'use strict';
const crypto = require('crypto');
const zlib = require('zlib');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');

function churn(seed, rounds) {
	let x = seed;
	const next = (n) => {
		x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff;
		return (x >> 8) % n;
	};
	const kept = new Map();
	const hash = crypto.createHash('sha256');
	for (let i = 0; i < rounds; i++) {
		const key = next(500);
		if (next(3) && !kept.has(key)) {
			kept.set(key, Buffer.alloc(1 + next(20000), i & 255));
		} else if (kept.has(key)) {
			hash.update(kept.get(key));
			kept.delete(key);
		}
	}
	for (const key of [...kept.keys()].sort((a, b) => a - b))
		hash.update(kept.get(key));
	return hash.digest('hex').slice(0, 16);
}

function inWorker(seed) {
	return new Promise((resolve, reject) => {
		const worker = new Worker(__filename, { workerData: seed });
		let answer;
		worker.on('message', (m) => { answer = m; });
		worker.on('error', reject);
		worker.on('exit', (code) => (code ? reject(new Error(`exit ${code}`)) : resolve(answer)));
	});
}

async function main() {
	console.log('main', churn(1, 20000));
	for (let round = 0; round < 2; round++) {
		const seeds = [2, 3, 4, 5, 6].map((n) => n + 10 * round);
		console.log('workers', ...(await Promise.all(seeds.map(inWorker))));
	}
	const text = JSON.stringify(Array.from({ length: 60000 }, (_, i) => ({ i, s: 'x'.repeat(i % 50) })));
	console.log('json', text.length, JSON.parse(text).length);
	const packed = await Promise.all([1, 6, 9].map((level) => new Promise((resolve, reject) => {
		zlib.deflate(text, { level }, (err, out) => (err ? reject(err) : resolve(out)));
	})));
	console.log('zlib', ...packed.map((p) => p.length),
		packed.every((p) => zlib.inflateSync(p).toString() === text));
	console.log('brotli', zlib.brotliDecompressSync(zlib.brotliCompressSync(text.slice(0, 500000),
		{ params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 5 } })).length);
	const key = crypto.scryptSync('secret', 'salt', 32, { N: 16384 });
	console.log('scrypt', key.toString('hex'));
}

if (isMainThread)
	main().catch((err) => { console.error(err); process.exitCode = 1; });
else
	parentPort.postMessage(churn(workerData, 8000));
