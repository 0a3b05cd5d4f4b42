"""Objects of all sizes, threads that hand them to each other, and forks of a threaded process."""
import collections
import hashlib
import json
import multiprocessing
import os
import queue
import random
import re
import sys
import threading
import zlib


def say(*words):
    print(*words, flush=True)


def churn(seed, rounds):
    """Keep a changing set of strings, bytes and containers; the digest proves their contents."""
    rnd = random.Random(seed)
    kept = {}
    digest = hashlib.sha256()
    for i in range(rounds):
        key = rnd.randrange(rounds // 8)
        what = rnd.randrange(4)
        if what == 0:
            kept[key] = str(i) * rnd.randrange(1, 40)
        elif what == 1:
            kept[key] = bytes([i & 255]) * rnd.randrange(1, 3000)
        elif what == 2:
            kept[key] = [i] * rnd.randrange(1, 100)
        else:
            old = kept.pop(key, None)
            digest.update(repr(old)[:64].encode())
    for key in sorted(kept):
        digest.update(repr(kept[key]).encode())
    return digest.hexdigest()[:16]


def threads():
    results = [None] * 8

    def body(n):
        results[n] = churn(n, 20_000)

    crew = [threading.Thread(target=body, args=(n,)) for n in range(8)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    say("threads", *results)


def hand_over():
    """What one thread allocates, another frees."""
    channel = queue.Queue(maxsize=256)
    total = 0

    def produce():
        for i in range(30_000):
            channel.put({"i": i, "text": "x" * (i % 700), "list": list(range(i % 12))})
        channel.put(None)

    producer = threading.Thread(target=produce)
    producer.start()
    while (item := channel.get()) is not None:
        total += len(item["text"]) + sum(item["list"])
    producer.join()
    say("handed over", total)


def forks():
    """Children of a process in which other threads are inside malloc at the moment of fork."""
    stop = threading.Event()

    def busy(seed):
        while not stop.is_set():
            churn(seed, 500)

    crew = [threading.Thread(target=busy, args=(n,)) for n in range(3)]
    for thread in crew:
        thread.start()
    for n in range(20):
        pid = os.fork()
        if pid == 0:
            result = churn(n, 3_000)
            say("child", n, result)
            if n % 2:
                sys.exit(0)  # by way of exit(3): every destructor runs in the child
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status:
            sys.exit(f"child {n} ended with {status}")
    stop.set()
    for thread in crew:
        thread.join()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        say("pool", *pool.starmap(churn, [(n, 4_000) for n in range(6)]))
        pool.close()
        pool.join()


def library():
    text = json.dumps([{"n": n, "squares": [n * n] * (n % 9), "name": f"item {n}"}
                       for n in range(30_000)])
    say("json", len(text), zlib.crc32(text.encode()), len(json.loads(text)))
    packed = zlib.compress(text.encode(), 6)
    say("zlib", len(packed), zlib.decompress(packed) == text.encode())
    words = collections.Counter(re.findall(r"[a-z]+|\d{3,}", text))
    say("re", len(words), words.most_common(5))
    big = bytearray()
    for n in range(2_000):
        big += bytes([n & 255]) * 8_000
    say("bytearray", len(big), zlib.crc32(big))


threads()
hand_over()
forks()
library()
