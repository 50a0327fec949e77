"""Pictures read, decoded and transformed per second, beside Python with OpenCV doing the same.

    python3 benches/data.py [--threads 1,2] [--rounds 5] [--cortado target/release/cortado]

Needs opencv-python-headless and numpy. The pictures are those of CORTADO_SHARED (default ../shared):
CIFAR-10's JPEGs (mean, mirror) and photographs (resized to 256x256, mean, crop of 227, mirror). The two
take turns, so that a slow moment of the machine meets both. On one thread both are bound to one core.
Prints a Markdown table of medians.
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy

SHARED = os.environ.get("CORTADO_SHARED", "../shared")
MEAN = numpy.array([104, 117, 123], numpy.float32).reshape(3, 1, 1)


def pictures(folder):
    """Lists of files, name by name."""
    with tarfile.open(f"{SHARED}/data/cifar10/train_1.tar.xz") as archive:
        archive.extractall(folder)
    small = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names]
    photographs = f"{SHARED}/data/images"
    large = [f"{photographs}/{name}" for name in sorted(os.listdir(photographs))]
    return {
        "CIFAR-10, 32x32": (sorted(n for n in small if n.endswith(".jpg")), None, 32, 100, 400),
        "photographs, about 500x375": ([n for n in large if n.endswith(".jpg")], 256, 227, 50, 20),
    }


def cortado(program, folder, case, threads):
    """Pictures per second of the data layer alone."""
    files, size, crop, batch, batches = case
    with open(f"{folder}/list.txt", "w") as out:
        out.writelines(f"{os.path.abspath(name)} 0\n" for name in files)
    resize = f"new_height: {size} new_width: {size}" if size else ""
    with open(f"{folder}/net.prototxt", "w") as out:
        out.write(f"""layer {{ name: "d" type: "ImageData" top: "data" top: "label"
  transform_param {{ mirror: true crop_size: {crop} mean_value: 104 mean_value: 117 mean_value: 123 }}
  image_data_param {{ source: "{folder}/list.txt" batch_size: {batch} {resize} }} }}
""")
    command = [program, "time", "--model", f"{folder}/net.prototxt", "--data", "--json"]
    command += ["--phase", "TRAIN", "--iterations", str(batches)]
    told = subprocess.run(bound(threads) + command, check=True, capture_output=True).stdout
    return json.loads(told)["data_images_per_second"]


def bound(threads):
    return ["taskset", "-c", "0"] if threads == 1 else []


def opencv(case, threads):
    """The same in a process of its own, bound in the same way."""
    command = [sys.executable, os.path.abspath(__file__), "--opencv", str(threads)]
    told = subprocess.run(
        bound(threads) + command, check=True, capture_output=True, text=True, input=json.dumps(case)
    )
    return float(told.stdout)


def run_opencv(case, threads):
    files, size, crop, batch, batches = case
    cv2.setNumThreads(1)

    def item(name, out):
        with open(name, "rb") as file:
            picture = cv2.imdecode(numpy.frombuffer(file.read(), numpy.uint8), cv2.IMREAD_COLOR)
        if size:
            picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR)
        height, width = picture.shape[:2]
        y, x = random.randint(0, height - crop), random.randint(0, width - crop)
        picture = picture[y : y + crop, x : x + crop]
        if random.random() < 0.5:
            picture = picture[:, ::-1]
        numpy.subtract(picture.transpose(2, 0, 1), MEAN, out=out)

    data = numpy.empty((batch, 3, crop, crop), numpy.float32)

    def batch_of(number, part):
        for i in range(part, batch, threads):
            item(files[(number * batch + i) % len(files)], data[i])

    with ThreadPoolExecutor(threads) as pool:
        for number in range(-8, batches):
            if number == 0:
                start = time.perf_counter()
            list(pool.map(batch_of, [number] * threads, range(threads)))
    print(batches * batch / (time.perf_counter() - start))


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--threads", default="1,2")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--cortado", default="target/release/cortado")
    arguments.add_argument("--opencv", type=int, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.opencv:
        return run_opencv(json.load(sys.stdin), given.opencv)
    print("| pictures | threads | cortado | OpenCV, Python | time, cortado to OpenCV |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, case in pictures(folder).items():
            for threads in map(int, given.threads.split(",")):
                ours, theirs = [], []
                for _ in range(given.rounds):
                    ours.append(cortado(given.cortado, folder, case, threads))
                    theirs.append(opencv(case, threads))
                ours, theirs = statistics.median(ours), statistics.median(theirs)
                shown = f"{ours:.0f} | {theirs:.0f} | {theirs / ours:.2f}"
                print(f"| {name} | {threads} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
