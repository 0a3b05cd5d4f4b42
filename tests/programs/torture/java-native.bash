#!/bin/bash
# SPDX-License-Identifier: MIT
# A virtual machine that keeps book of its malloc, while another one asks it for the book, and to trim.
limit=200
. "$(dirname "$0")/../common.bash"
require java javac jcmd

program() {
	cat >Held.java <<-'JAVA'
		import java.nio.ByteBuffer;

		public class Held {
			public static void main(String[] args) throws Exception {
				ByteBuffer[] held = new ByteBuffer[2000];
				for (int round = 0; round < 5; round++) {
					for (int i = 0; i < held.length; i++)
						held[i] = ByteBuffer.allocateDirect(i * 40 + round);
					System.gc();
				}
				System.out.println("ready");
				System.in.read();
				int sum = 0;
				for (ByteBuffer buffer : held)
					sum += buffer.capacity();
				System.out.println(sum);
			}
		}
	JAVA
	javac -d . Held.java
}

native_memory() {
	local asked
	program
	mkfifo until
	start_server java -Xmx128m -XX:NativeMemoryTracking=detail -cp . Held < <(cat until)
	wait_until grep -q ready server.log
	server_is_ours
	jcmd "$server" VM.native_memory summary >book
	grep -o '^- *[A-Z][A-Za-z ]*' book | grep -v Tracing
	# Those that live are 2,000; how many the collector has not seen yet is a matter of chance.
	awk '/^-.*Other/ { other = 1 } other && match($0, /#[0-9]+/) { print (substr($0, RSTART + 1, RLENGTH - 1) >= 2000); exit }' book
	for ((asked = 0; asked < 5; asked++)); do
		jcmd "$server" System.trim_native_heap | grep -o 'Trim native heap: [^0-9]*'
	done
	jcmd "$server" VM.native_memory detail | grep -c 'Virtual memory map'
	echo >until
	wait "$server"
	cat server.log
}
# javac, jcmd seven times, the program
processes=9
same_output native_memory
