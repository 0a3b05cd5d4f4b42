"""Sets, appends, deletes and gets over several connections; every value read back is checked."""
import random
import socket
import sys
import zlib

CONNECTIONS = 16
KEYS = 30_000


class Connection:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(path)
        self.file = self.socket.makefile("rwb", buffering=1 << 16)

    def send(self, line, value=None):
        self.file.write(line.encode() + b"\r\n")
        if value is not None:
            self.file.write(value + b"\r\n")

    def expect(self, answer):
        self.file.flush()
        got = self.file.readline().strip().decode()
        if got != answer:
            sys.exit(f"expected {answer!r}, got {got!r}")

    def get_many(self, keys):
        self.send("get " + " ".join(keys))
        self.file.flush()
        found = {}
        while (line := self.file.readline().split())[0] == b"VALUE":
            found[line[1].decode()] = self.file.read(int(line[3]))
            self.file.readline()
        return found


random.seed(1)
connections = [Connection(sys.argv[1]) for _ in range(CONNECTIONS)]
model = {}

for start in range(0, KEYS, 100):
    for n in range(start, start + 100):
        connection = connections[n % CONNECTIONS]
        value = bytes([n & 255]) * int(random.paretovariate(0.6) % 20_000)
        model[f"key{n}"] = value
        connection.send(f"set key{n} 0 0 {len(value)}", value)
        if n % 3 == 0:
            connection.expect("STORED")
            connection.send(f"append key{n} 0 0 5", b"tail!")
            model[f"key{n}"] += b"tail!"
        connection.expect("STORED")
        if n % 5 == 0:
            connection.send(f"delete key{n}")
            connection.expect("DELETED")
            del model[f"key{n}"]

crc = 0
for start in range(0, KEYS, 50):
    names = [f"key{n}" for n in range(start, start + 50)]
    found = connections[start // 50 % CONNECTIONS].get_many(names)
    for name in names:
        if found.get(name) != model.get(name):
            sys.exit(f"{name}: not the value that was stored")
        crc = zlib.crc32(found.get(name, b"none"), crc)
print(len(model), sum(map(len, model.values())), crc)

# Connections come and go, each with buffers of its own.
for n in range(500):
    short = Connection(sys.argv[1])
    short.send(f"set short{n} 0 0 3", b"abc")
    short.expect("STORED")
    short.file.close()
    short.socket.close()
print(len(connections[0].get_many([f"short{n}" for n in range(500)])))
