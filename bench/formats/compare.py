#!/usr/bin/env python3
"""One model in every format, here and in llama.cpp, side by side in one run.

    bench/formats/compare.py MODEL --text wiki.txt --llama "COMMAND"  [--in-llama /data=/opt/data]

MODEL is a folder in bf16. Files are made of it by `evo convert` and, where --llama is given, by
llama-quantize: COMMAND is what llama.cpp's programs are called with ("" if they are on the PATH,
"docker run ... " if they live elsewhere), and --in-llama says how a folder is called there.

Perplexity is that of `evo eval likelihood` for all of them, since evo computes a GGUF file's weights
as they are stored: so it compares formats, and no programs. Speed, memory and start are measured
through each program's own server with the same requests, one server at a time, in rounds; the median
counts. A prompt begins with a number of its own, so that no cache knows it.
"""

import argparse
import json
import os
import pathlib
import shlex
import signal
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request

OURS = {"bf16": None, "q8": "q8", "q4": "q4", "q4k": "q4k"}
THEIRS = ("Q8_0", "Q4_0", "Q4_1", "Q4_K_M")
WORDS = "The river went through the town and the people by it told each other what they had seen. "


def run(command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options)


class Server:
    """A program's server, until it is left."""

    def __init__(self, command, port):
        self.url = f"http://127.0.0.1:{port}"
        self.begun = time.monotonic()
        self.program = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def __enter__(self):
        while True:
            if self.program.poll() is not None:
                raise SystemExit(f"{self.program.args}: the server ended with {self.program.returncode}")
            try:
                if urllib.request.urlopen(self.url + "/health", timeout=5).status == 200:
                    break
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.02)
        self.start = time.monotonic() - self.begun
        return self

    def __exit__(self, *_):
        os.killpg(self.program.pid, signal.SIGTERM)
        self.program.wait()

    def memory(self):
        """The most that it had resident, in bytes."""
        status = pathlib.Path(f"/proc/{self.program.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024

    def seconds(self, prompt, tokens):
        body = {"prompt": prompt, "max_tokens": tokens, "temperature": 0, "mode": "ar"}
        begun = time.monotonic()
        request = urllib.request.Request(
            self.url + "/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=600) as reply:
            usage = json.load(reply)["usage"]
        return time.monotonic() - begun, usage


def measure(command, options, number):
    """Tokens a second of writing and of reading, start in s and memory in bytes."""
    with Server(command, options.port) as server:
        server.seconds(f"{number} warm", 4)
        long_prompt = f"{number} " + WORDS * options.repeat
        read, usage = server.seconds(long_prompt, 1)
        one, _ = server.seconds(f"{number} Once upon a time", 1)
        many, written = server.seconds(f"{number} Once upon a time", options.tokens)
        count = written["completion_tokens"] - 1
        return {
            "writing": count / (many - one) if count > 0 else float("nan"),
            "reading": usage["prompt_tokens"] / read,
            "start": server.start,
            "memory": server.memory(),
        }


def perplexity(options, path, precision="auto"):
    if not options.text:
        return None
    words = [options.evo, "eval", "likelihood", path, "--data", options.text, "--limit", str(options.limit)]
    words += ["--context", "512", "--precision", precision, "--json"]
    return json.loads(run(words).stdout)["perplexity"]


def make_files(options):
    """Rows: name, program, file, what serves it."""
    folder = pathlib.Path(options.files)
    folder.mkdir(parents=True, exist_ok=True)
    name = pathlib.Path(options.model).name
    rows = []
    for label, bits in OURS.items():
        path = options.model if bits is None else str(folder / f"{name}-{bits}.gguf")
        if bits and not os.path.exists(path):
            run([options.evo, "convert", options.model, "--quantize", bits, "--out", path])
        serve = [options.evo, "serve", path, "--port", str(options.port)]
        rows.append((label, "evo", path, serve))
    if options.llama is None:
        return rows
    here, there = options.in_llama.split("=")[::-1] if options.in_llama else (str(folder), str(folder))
    call = shlex.split(options.llama)
    whole = f"{name}-bf16.gguf"
    if not os.path.exists(f"{here}/{whole}"):
        run([options.evo, "convert", options.model, "--to", "gguf", "--out", f"{here}/{whole}"])
    for label in ("BF16",) + THEIRS:
        file = whole if label == "BF16" else f"{name}-{label}.gguf"
        if not os.path.exists(f"{here}/{file}"):
            run(call + ["llama-quantize", f"{there}/{whole}", f"{there}/{file}", label, "2"])
        serve = call + ["llama-server", "-m", f"{there}/{file}", "--host", "127.0.0.1", "--port", str(options.port)]
        rows.append((label, "llama.cpp", f"{here}/{file}", serve + ["-t", str(options.threads), "-np", "1"]))
    # Their files here: the same weights, computed by us.
    for label in THEIRS:
        path = f"{here}/{name}-{label}.gguf"
        rows.append((label, "evo", path, [options.evo, "serve", path, "--port", str(options.port)]))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--evo", default="build/release/evo")
    parser.add_argument("--text", help="for the perplexity; without it there is none")
    parser.add_argument("--limit", type=int, default=4096, help="tokens of the text (default: 4096)")
    parser.add_argument("--llama", help="what llama.cpp's programs are called with; without it they are left out")
    parser.add_argument("--in-llama", help="THERE=HERE: what a folder here is called there")
    parser.add_argument("--files", default="build/formats", help="where files are made")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=96, help="written at a time")
    parser.add_argument("--repeat", type=int, default=50, help="sentences of 20 tokens in the long prompt")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--port", type=int, default=18977)
    options = parser.parse_args()
    rows = make_files(options)
    results = [[] for _ in rows]
    for number in range(options.rounds):
        for row, found in zip(rows, results):
            found.append(measure(row[3], options, number))
            print(f"round {number + 1}: {row[1]} {row[0]} {found[-1]}", file=sys.stderr)
    print("| program | format | perplexity | tokens/s | prompt tokens/s | start, s | memory, MB | file, MB |")
    print("|---|---|---|---|---|---|---|---|")
    for (label, program, path, _), found in zip(rows, results):
        middle = {key: statistics.median(one[key] for one in found) for key in found[0]}
        known = perplexity(options, path) if program == "evo" else None
        size = os.path.getsize(path) if os.path.isfile(path) else os.path.getsize(f"{path}/model.safetensors")
        print(
            f"| {program} | {label} | {'' if known is None else f'{known:.2f}'} | {middle['writing']:.1f} | "
            f"{middle['reading']:.0f} | {middle['start']:.2f} | {middle['memory'] / 1e6:.0f} | {size / 1e6:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
