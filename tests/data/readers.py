"""Databases and arrays that cortado wrote, read by Python's own readers.

    python3 tests/data/readers.py target/release/cortado

Needs lmdb, plyvel, h5py and numpy (`pip install lmdb plyvel h5py numpy`).
"""
import os
import subprocess
import sys
import tempfile

import h5py
import lmdb
import numpy
import plyvel

CORTADO = os.path.abspath(sys.argv[1])
GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden/data")


def run(*arguments):
    subprocess.run([CORTADO, *arguments], check=True, stdout=subprocess.DEVNULL)


def of_lmdb(path):
    with lmdb.open(path, readonly=True, lock=False) as env, env.begin() as txn:
        return [(bytes(key), bytes(value)) for key, value in txn.cursor()]


def of_leveldb(path):
    with plyvel.DB(path) as db:
        return list(db)


os.chdir(tempfile.mkdtemp(prefix="cortado-readers-"))
images, listing = os.path.join(GOLDEN, "images/"), os.path.join(GOLDEN, "list.txt")
run("convert-imageset", images, listing, "one_lmdb")
run("convert-imageset", "-backend", "leveldb", images, listing, "one_leveldb")
wanted = of_lmdb(os.path.join(GOLDEN, "raw_lmdb"))
assert len(wanted) == 6
assert of_lmdb("one_lmdb") == wanted
assert of_leveldb("one_leveldb") == wanted

# Large enough for many pages, and for tables.
with open("long.txt", "w") as out:
    names = [line.rsplit(" ", 1)[0] for line in open(listing) if line.strip()]
    out.writelines(f"{names[i % len(names)]} {i}\n" for i in range(5000))
run("convert-imageset", "-resize_height=40", "-resize_width=40", images, "long.txt", "long_lmdb")
run("db", "copy", "--backend", "leveldb", "long_lmdb", "long_leveldb")
long = of_lmdb("long_lmdb")
assert len(long) == 5000 and of_leveldb("long_leveldb") == long

net = f"""
layer {{ name: "d" type: "Data" top: "data" top: "label"
  data_param {{ source: "one_lmdb" backend: LMDB batch_size: 3 }} }}
layer {{ name: "c" type: "Convolution" bottom: "data" top: "c"
  convolution_param {{ num_output: 2 kernel_size: 3 weight_filler {{ type: "gaussian" }} }} }}
"""
with open("net.prototxt", "w") as out:
    out.write(net)
with open("net.caffemodel", "wb") as out:
    # One layer "c" with two blobs: shapes 2x3x3x3 and 2, values 0.5.
    def field(number, content):
        length = b""
        n = len(content)
        while n > 127:
            length, n = length + bytes([n & 127 | 128]), n >> 7
        return bytes([number << 3 | 2]) + length + bytes([n]) + content

    def blob(*shape):
        values = numpy.full(shape, 0.5, "<f4").tobytes()
        return field(7, field(7, field(1, bytes(shape))) + field(5, values))

    layer = field(1, b"c") + field(2, b"Convolution") + blob(2, 3, 3, 3) + blob(2)
    # Field 100 takes two bytes.
    out.write(b"\xa2\x06" + field(1, layer)[1:])
run("extract-features", "net.caffemodel", "net.prototxt", "data,c", "f.h5,f.h5", "2", "hdf5")
run("extract-features", "net.caffemodel", "net.prototxt", "data,c", "f.npz,f.npz", "2", "npz")
with h5py.File("f.h5") as file, numpy.load("f.npz") as arrays:
    for name in ["data", "c"]:
        assert numpy.array_equal(file[name][:], arrays[name]), name
    data, c = arrays["data"], arrays["c"]
assert data.shape == (6, 3, 9, 11) and c.shape == (6, 2, 7, 9)
windows = numpy.lib.stride_tricks.sliding_window_view(data, (3, 3), (2, 3)).sum((1, 4, 5))
assert numpy.allclose(c[:, 0], 0.5 * windows + 0.5, rtol=1e-5)

run("compute-mean", "one_lmdb", "mean.npy")
assert numpy.allclose(numpy.load("mean.npy"), data.mean(0), rtol=1e-6)
run("caffemodel", "extract", "net.caffemodel", "w.npz")
with numpy.load("w.npz") as arrays:
    assert arrays["c/0"].shape == (2, 3, 3, 3) and (arrays["c/1"] == 0.5).all()
numpy.save("w.npy", numpy.arange(2, dtype="<f4"))
run("caffemodel", "replace", "net.caffemodel", "c", "1", "w.npy", "new.caffemodel")
run("caffemodel", "extract", "new.caffemodel", "w.npz")
with numpy.load("w.npz") as arrays:
    assert list(arrays["c/1"]) == [0, 1] and (arrays["c/0"] == 0.5).all()
print("all read alike")
