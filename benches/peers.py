#!/usr/bin/env python3
"""cortado beside the peers that are installed, in one run, turn by turn.

    python3 benches/peers.py infer resnet50,lenet --batch 1,8 --threads 1,2
    python3 benches/peers.py train resnet50,resnet20 --threads 2

Prints a table of medians with the ratio of cortado to the best peer (below 1: cortado is faster), then the
minima. The peers and their networks are in the folder `peers` under CORTADO_SHARED (default ../shared); run
this with a Python that has the peers' packages. The original Caffe is not measured: its recorded figures are
scaled by the ratio of a peer's time here to its recorded time there.
"""
import argparse, json, os, statistics, subprocess, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PEERS = os.path.join(os.path.abspath(os.environ.get("CORTADO_SHARED", os.path.join(ROOT, "../shared"))), "peers")
CACHE = os.environ.get("PEERS_CACHE", os.path.expanduser("~/.cache/cortado-peers/nets"))
INFER = ["openvino", "ort", "torch:jitcl", "ncnn", "opencv"]
TRAIN = ["torch:cl", "torch:eager"]
TRAIN_SHAPES = {"resnet50": (8, "3x224x224"), "resnet20": (128, "3x32x32"), "lenet": (64, "1x28x28"),
                "caffenet": (32, "3x227x227")}


def bench_program():
    done = subprocess.run(["cargo", "bench", "--bench", "nets", "--no-run", "--message-format=json"], cwd=ROOT,
                          stdout=subprocess.PIPE, check=True)
    built = [json.loads(line) for line in done.stdout.splitlines()]
    return next(m["executable"] for m in built
                if m.get("executable") and m["target"]["name"] == "nets" and "bench" in m["target"]["kind"])


def build(net, batch, kind):
    end = {"proto": f"{net}.b{batch}.prototxt", "caffe": f"{net}.caffemodel"}[kind]
    path = os.path.join(CACHE, end)
    if not os.path.exists(path):
        subprocess.run([sys.executable, f"{PEERS}/bench_peers.py", "--peer", "build", "--kind", kind, "--net", net,
                        "--batch", str(batch), "--cache", CACHE], check=True, stdout=subprocess.DEVNULL)
    return path


def last_json(command):
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        print(f"no result of {' '.join(command[-12:])}: {done.stderr[-300:]}", file=sys.stderr)
        return None
    return json.loads(lines[-1])


def cortado(program, mode, net, batch, threads):
    proto = build(net, batch, "proto")
    if mode == "infer":
        problem = ["infer", proto, f"weights={build(net, batch, 'caffe')}", f"threads={threads}"]
    else:
        problem = ["train", proto, f"weights={build(net, batch, 'caffe')}", f"data={batch}x{TRAIN_SHAPES[net][1]}", f"threads={threads}"]
    row = last_json([program, *problem])
    return row and {"median": row["median_ms"], "min": row["min_ms"],
                    "mb": row["peak_rss_mb"] - row.get("start_rss_mb", 0)}


def peer(name, mode, net, batch, threads):
    name, _, variant = name.partition(":")
    row = last_json([sys.executable, f"{PEERS}/bench_peers.py", "--peer", name, "--variant", variant, "--net", net,
                     "--mode", mode, "--batch", str(batch), "--threads", str(threads), "--cache", CACHE])
    return row and {"median": row["all_median_ms"], "min": row["min_ms"],
                    "mb": row["peak_rss_mb"] - row["import_rss_mb"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=["infer", "train"])
    parser.add_argument("nets")
    parser.add_argument("--batch", default="1")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default="")
    args = parser.parse_args()
    os.makedirs(CACHE, exist_ok=True)
    program = bench_program()
    peers = args.peers.split(",") if args.peers else (INFER if args.mode == "infer" else TRAIN)
    print("| net | batch | threads | cortado ms | " + " | ".join(peers) + " | ratio to best | minima | MB: cortado, best |")
    print("|---" * (len(peers) + 7) + "|")
    for net in args.nets.split(","):
        batches = [TRAIN_SHAPES[net][0]] if args.mode == "train" else [int(b) for b in args.batch.split(",")]
        for batch in batches:
            for threads in map(int, args.threads.split(",")):
                runs = {name: [] for name in ["cortado", *peers]}
                for _ in range(args.rounds):
                    for name in runs:
                        run = (cortado(program, args.mode, net, batch, threads) if name == "cortado"
                               else peer(name, args.mode, net, batch, threads))
                        if run:
                            runs[name].append(run)
                median = {n: statistics.median(r["median"] for r in rs) for n, rs in runs.items() if rs}
                least = {n: min(r["min"] for r in rs) for n, rs in runs.items() if rs}
                others = [n for n in median if n != "cortado"]
                if "cortado" not in median or not others:
                    continue
                best = min(others, key=median.get)
                cells = [f"{median[n]:.2f}" if n in median else "-" for n in peers]
                minima = f"{least['cortado']:.2f} / {min(least[n] for n in others):.2f}"
                memory = f"{max(r['mb'] for r in runs['cortado']):.0f}, {max(r['mb'] for r in runs[best]):.0f}"
                print(f"| {net} | {batch} | {threads} | {median['cortado']:.2f} | {' | '.join(cells)} | "
                      f"{median['cortado'] / median[best]:.2f} | {minima} | {memory} |", flush=True)


if __name__ == "__main__":
    main()
