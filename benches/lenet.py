"""LeNet's whole training, 10,000 iterations and a test of 10,000 pictures every 500, beside PyTorch doing the same.

    python3 benches/lenet.py [--threads 2] [--rounds 3] [--cortado target/release/cortado]

Run it from the repository's root with a Python that has torch and numpy. Both read the MNIST that ships in
models/lenet/data; the time is the whole program's, less what PyTorch takes to be imported. The two take turns.
Prints a Markdown table of medians.
"""
import argparse
import gzip
import re
import statistics
import subprocess
import sys
import tempfile
import time

DATA = "models/lenet/data"
SOLVER = "models/lenet/solver.prototxt"
ITERATIONS, BATCH, EVERY = 10_000, 64, 500


def cortado(program, threads):
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "train", "--solver", SOLVER, "--threads", str(threads),
                   "--set", f"snapshot_prefix={folder}/lenet"]
        start = time.perf_counter()
        log = subprocess.run(command, check=True, stderr=subprocess.PIPE, text=True).stderr
        took = time.perf_counter() - start
    return took, float(re.findall(r"accuracy = ([0-9.]+)", log)[-1])


def read(name, header):
    import numpy
    with gzip.open(f"{DATA}/{name}-ubyte.gz") as file:
        return numpy.frombuffer(file.read(), numpy.uint8, offset=header).copy()


def torch_run(threads):
    import torch
    from torch import nn
    start = time.perf_counter()
    torch.manual_seed(1)
    torch.set_num_threads(threads)
    pictures = {s: torch.from_numpy(read(f"{s}-images-idx3", 16)).view(-1, 1, 28, 28) for s in ("train", "t10k")}
    labels = {s: torch.from_numpy(read(f"{s}-labels-idx1", 8)).long() for s in ("train", "t10k")}
    net = nn.Sequential(nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten(),
                        nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10)).to(memory_format=torch.channels_last)
    for name, value in net.named_parameters():
        nn.init.xavier_uniform_(value) if value.dim() > 1 else nn.init.zeros_(value)
    weights = [p for n, p in net.named_parameters() if n.endswith("weight")]
    biases = [p for n, p in net.named_parameters() if n.endswith("bias")]
    optimizer = torch.optim.SGD([{"params": weights, "times": 1}, {"params": biases, "times": 2}], lr=0.01,
                                momentum=0.9, weight_decay=0.0005)
    loss = nn.CrossEntropyLoss()

    def batch(of, at, size):
        x = pictures[of][at:at + size].float().mul_(0.00390625).contiguous(memory_format=torch.channels_last)
        return x, labels[of][at:at + size]

    def test():
        with torch.no_grad():
            right = 0
            for at in range(0, 10_000, 100):
                x, y = batch("t10k", at, 100)
                right += int((net(x).argmax(1) == y).sum())
        return right / 10_000

    last = 60_000 // BATCH * BATCH
    for step in range(ITERATIONS):
        if step % EVERY == 0:
            test()
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * (1 + 0.0001 * step) ** -0.75 * group["times"]
        x, y = batch("train", step * BATCH % last, BATCH)
        optimizer.zero_grad(set_to_none=True)
        loss(net(x), y).backward()
        optimizer.step()
    accuracy = test()
    print(time.perf_counter() - start, accuracy)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", default="2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cortado", default="target/release/cortado")
    parser.add_argument("--torch", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.torch:
        return torch_run(int(args.threads))
    print("| threads | cortado s | PyTorch s | ratio | accuracy: cortado, PyTorch |\n|---|---|---|---|---|")
    for threads in args.threads.split(","):
        ours, theirs = [], []
        for _ in range(args.rounds):
            ours.append(cortado(args.cortado, threads))
            command = [sys.executable, __file__, "--torch", "--threads", threads]
            told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            theirs.append(tuple(map(float, told.split())))
        (a, right), (b, theirs_right) = (tuple(map(statistics.median, zip(*runs))) for runs in (ours, theirs))
        print(f"| {threads} | {a:.1f} | {b:.1f} | {a / b:.2f} | {right:.4f}, {theirs_right:.4f} |", flush=True)


if __name__ == "__main__":
    main()
