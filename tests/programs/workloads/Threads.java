import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.zip.CRC32;
import java.util.zip.Deflater;
import java.util.zip.Inflater;

/** Threads that use direct buffers and zlib, whose memory is outside of the Java heap. */
public class Threads {
	static long churn(int seed) throws Exception {
		Random random = new Random(seed);
		Map<Integer, ByteBuffer> kept = new HashMap<>();
		CRC32 crc = new CRC32();
		for (int i = 0; i < 6000; i++) {
			int key = random.nextInt(200);
			ByteBuffer old = kept.remove(key);
			if (old != null) {
				old.rewind();
				crc.update(old);
			} else {
				ByteBuffer buffer = ByteBuffer.allocateDirect(1 + random.nextInt(8000));
				while (buffer.hasRemaining())
					buffer.put((byte) i);
				kept.put(key, buffer);
			}
		}
		return crc.getValue() * 31 + roundTrip(random);
	}

	static int roundTrip(Random random) throws Exception {
		byte[] input = new byte[300_000];
		for (int i = 0; i < input.length; i++)
			input[i] = (byte) (random.nextInt(4) * random.nextInt(7));
		int packedBytes = 0;
		for (int level = 1; level <= 9; level += 4) {
			Deflater deflater = new Deflater(level);
			deflater.setInput(input);
			deflater.finish();
			ByteArrayOutputStream packed = new ByteArrayOutputStream();
			byte[] chunk = new byte[4096];
			while (!deflater.finished())
				packed.write(chunk, 0, deflater.deflate(chunk));
			deflater.end();
			Inflater inflater = new Inflater();
			inflater.setInput(packed.toByteArray());
			byte[] output = new byte[input.length];
			int got = 0;
			while (!inflater.finished())
				got += inflater.inflate(output, got, output.length - got);
			inflater.end();
			if (!java.util.Arrays.equals(input, output))
				throw new IllegalStateException("zlib did not return what it was given");
			packedBytes += packed.size();
		}
		return packedBytes;
	}

	public static void main(String[] args) throws Exception {
		ExecutorService pool = Executors.newFixedThreadPool(8);
		List<Future<Long>> results = new ArrayList<>();
		for (int i = 0; i < 40; i++) {
			int seed = i;
			results.add(pool.submit(() -> churn(seed)));
		}
		for (Future<Long> result : results)
			System.out.println(result.get());
		pool.shutdown();

		// Threads that live for a moment.
		long[] sum = new long[1];
		for (int i = 0; i < 1000; i++) {
			int n = i;
			Thread thread = new Thread(() -> {
				synchronized (sum) {
					sum[0] += ByteBuffer.allocateDirect(n + 1).capacity();
				}
			});
			thread.start();
			if (i % 10 == 9)
				thread.join();
			else
				results.add(null);
		}
		for (;;) {
			synchronized (sum) {
				if (sum[0] == 500_500)
					break;
			}
			Thread.sleep(1);
		}
		System.out.println(sum[0]);
	}
}
