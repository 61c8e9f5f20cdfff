#!/usr/bin/env python3
"""compare.py EVO MODEL EXPECTED.json [--shared BENCHMARKS] [--only CASE,...]: evo eval tasks on the rows that record.py
had lm-evaluation-harness answer, and how far the two are apart. Needs Python alone.

A GGUF file is converted first: what record.py was given has its weights in bf16.
Fails where an example has another id, a log-likelihood differs by more than 0.001, or a generated text is another one.
A text may only differ where the harness's own two highest logits came closer than 0.001 somewhere along it: in f32 another
order of sums can then choose the other token. Such texts are counted as ties. Scores must be equal but for what ties and
the last digits of likelihoods can change.
"""
import argparse
import hashlib
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import cases
import rows

TOLERANCE = 1e-3  # nats of a choice; logits of a tie


class Outcome:
    """Of one case."""

    def __init__(self):
        self.faults, self.ties, self.largest, self.count = [], [], 0.0, 0

    def compare_choices(self, key, expected, found):
        if len(expected) != len(found):
            self.faults.append(f"{key}: {len(found)} choices, expected {len(expected)}")
            return
        for index, (a, b) in enumerate(zip(expected, found)):
            difference = abs(a - b) if b is not None else math.nan
            self.largest = max(self.largest, difference)
            if not difference <= TOLERANCE:
                self.faults.append(f"{key}, choice {index}: {b}, expected {a}")

    def compare_text(self, task, key, expected, text):
        if hashlib.sha256(text.encode()).hexdigest()[:12] == expected["text"]:
            return
        answers = cases.answers_of(task, text)
        if expected["gap"] is not None and expected["gap"] < TOLERANCE:
            self.ties.append(key)
            return
        self.faults.append(f"{key}: another text, answers {answers}, expected {expected['answers']} "
                           f"(smallest gap {expected['gap']}): {text[:160]!r}")

    def compare_scores(self, task, expected, found):
        for metric, value in expected.items():
            if metric not in found:
                continue
            # A score of 0 or 1 per example that no text decides is the same to the last digit.
            slack = TOLERANCE * max(1, abs(value)) if metric == "perplexity" or task == "truthfulqa_mc2" else 1e-9
            slack += len(self.ties) / max(self.count, 1)
            if not abs(value - found[metric]) <= slack:
                self.faults.append(f"{metric}: {found[metric]}, expected {value}")


def data_of(case, args, scratch):
    """The folder that the program is given: of the real benchmarks the one whose rows record.py took."""
    rows_folder = scratch / "rows"
    if not args.shared:
        return rows_folder
    folder = {"arc_challenge": "arc", "winogrande": "winogrande", "cmmlu": "cmmlu", "ceval-valid": "ceval",
              "mmlu": "mmlu"}.get(case["task"], "")
    if case["task"] != "hellaswag":
        return args.shared / folder
    rows_folder.mkdir(exist_ok=True)
    (rows_folder / "hellaswag.even.jsonl").write_bytes((args.shared / "hellaswag/hellaswag.even.jsonl").read_bytes())
    return rows_folder


def run(case, args, scratch):
    out = scratch / "runs" / case["name"]
    command = [args.evo, "eval", "tasks", args.model, "--tasks", case["task"], "--data", data_of(case, args, scratch),
               "--out", out, "--begin", "none", "--precision", "f32", "--json"]
    for name, value in (("--limit", case["limit"]), ("--shots", case["shots"]), ("--shots-as", case["chat"])):
        command += [name, str(value)] if value is not None else []
    command += ["--chat-template"] if case["chat"] else []
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"compare: {case['name']}: {done.stderr.strip()}")
    (result,) = json.loads(done.stdout)["tasks"]
    lines = (out / "examples" / f"{case['task']}.jsonl").read_text(encoding="utf-8").splitlines()
    return {m["metric"]: m["value"] for m in result["metrics"]}, {line["id"]: line for line in map(json.loads, lines)}


def compare(case, args, scratch):
    scores, examples = run(case, args, scratch)
    outcome = Outcome()
    outcome.count = len(examples)
    if set(examples) != set(case["examples"]):
        outcome.faults.append(f"other examples: {sorted(set(examples) ^ set(case['examples']))[:6]}")
    for key in sorted(set(examples) & set(case["examples"])):
        expected = case["examples"][key]
        if case["task"] in cases.GENERATED:
            outcome.compare_text(case["task"], key, expected, examples[key]["text"])
        else:
            outcome.compare_choices(key, expected, examples[key]["log_likelihood"])
    outcome.compare_scores(case["task"], case["scores"], scores)
    return outcome, scores


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("evo"), options.add_argument("model"), options.add_argument("expected", type=Path)
    options.add_argument("--shared", type=Path), options.add_argument("--only", default="")
    args = options.parse_args()
    failed, expected = 0, json.loads(args.expected.read_text())["cases"]
    listed = {case["name"] for case in (cases.SHARED if args.shared else cases.OWN)}
    for name in sorted(listed ^ {case["name"] for case in expected}):
        print(f"FAILED {name}: in cases.py or in {args.expected}, but not in both; record.py makes the latter")
        failed += 1
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        if not args.shared:
            rows.write_rows(scratch / "rows")
        if args.model.endswith(".gguf"):
            converted = scratch / "model"
            subprocess.run([args.evo, "convert", args.model, "--to", "hf", "--out", converted, "--quiet"], check=True)
            args.model = str(converted)
        for case in expected:
            if args.only and case["name"] not in args.only.split(","):
                continue
            start = time.time()
            outcome, scores = compare(case, args, scratch)
            failed += bool(outcome.faults)
            shown = ", ".join(f"{m} {scores[m]:.4f} / {v:.4f}" for m, v in case["scores"].items() if m in scores)
            print(f"{'FAILED' if outcome.faults else 'equal':6} {case['name']:32} {outcome.count:3} rows, {shown}, "
                  f"largest difference {outcome.largest:.1e}, {len(outcome.ties)} ties, "
                  f"{time.time() - start:.1f} s (harness {case['seconds'] or '?'} s)", flush=True)
            for fault in outcome.faults[:5]:
                print("      ", fault)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
