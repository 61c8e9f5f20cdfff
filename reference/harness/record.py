#!/usr/bin/env python3
"""record.py MODEL OUT.json [--shared BENCHMARKS] [--only CASE,...] [--samples FOLDER]: runs lm-evaluation-harness on a
Hugging Face folder, in f32, and writes what it makes of every row, for compare.py: log-likelihoods of choices; of
generated texts a hash, the answers that it takes out of them, and the smallest distance between the two highest logits
along the text, which says where another order of f32 sums may go another way.

The rows are those of rows.py or, with --shared, the first ones of the real benchmarks in that folder. No text of a row
gets into OUT. Needs the packages lm_eval 0.4.13, torch, transformers; for minerva_math500 also math-verify and
antlr4-python3-runtime 4.11. --samples keeps the harness's own notes. Cases that OUT has
already are kept.
"""
import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
sys.path.insert(0, str(Path(__file__).resolve().parent))
import cases
import rows
import shared_rows


class NoPrograms:
    """Stands for the metric code_eval, which is not in the package: programs are not run here."""

    @staticmethod
    def compute(**_):
        return {"pass@1": 0.0}, {}


def task_of(config_file, files, code):
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks import _yaml_loader
    config = _yaml_loader.load_yaml(config_file, resolve_func=True, recursive=True)
    for key in ("tag", "group", "dataset_name", "task_alias"):
        config.pop(key, None)
    for split in ("training_split", "validation_split", "test_split"):
        if config.get(split) not in files:
            config.pop(split, None)
    kind = {path.suffix[1:].removesuffix("l") for path in files.values()}
    config.update(dataset_path=kind.pop(), dataset_kwargs={"data_files": {k: str(v) for k, v in files.items()}})
    if code:
        config.update(metric_list=[{"metric": "bypass"}])
    return ConfigurableTask(config=config)


def smallest_gap(model, context, text):
    """Between the two highest logits of any token of the text."""
    import torch
    tokenizer = model.tokenizer
    before = tokenizer.encode(context)
    after = tokenizer.encode(text, add_special_tokens=False)
    if not after:
        return None
    with torch.no_grad():
        logits = model.model(torch.tensor([before + after])).logits[0, len(before) - 1:-1]
    best = logits.topk(2).values
    return float((best[:, 0] - best[:, 1]).min())


def generated(model, case, sample):
    text = sample["resps"][0][0]
    gap = smallest_gap(model, sample["arguments"][0][0], text)
    return {"text": hashlib.sha256(text.encode()).hexdigest()[:12], "answers": cases.answers_of(case["task"], text),
            "gap": None if gap is None else float(f"{gap:.3g}")}


def built(case, folder):
    """The harness's tasks by name: (subtask, task, what names an example)."""
    tasks = {}
    for group, config, files, name in cases.parts_of(case, folder):
        task = task_of(config, files, case["task"] in cases.CODE)
        if case["task"] == "gpqa_main_n_shot":
            # Its answers are shuffled by a generator that goes on from call to call. Only the first program that reads
            # the rows sees that: later ones get the first call's result from the cache of `datasets`, as often as they ask.
            sys.modules["lm_eval.tasks.gpqa.n_shot.utils"].rng.seed(42)
            task = task_of(config, files, False)
        tasks[task.task_name] = group, task, name
    return tasks


def run_case(model, case, folder, keep, limit):
    from lm_eval.evaluator import simple_evaluate
    examples, scores, start = {}, {}, time.time()
    tasks = built(case, folder)
    out = simple_evaluate(model=model, tasks=[task for _, task, _ in tasks.values()], num_fewshot=case["shots"],
                          limit=limit, bootstrap_iters=0, log_samples=True, confirm_run_unsafe_code=True,
                          apply_chat_template=bool(case["chat"]), fewshot_as_multiturn=case["chat"] == "turns")
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        (keep / f"{case['name']}.json").write_text(json.dumps(out["samples"], indent=1, default=str, ensure_ascii=False))
    for task, (group, _, name) in tasks.items():
        samples = {sample["doc_id"]: sample for sample in out["samples"][task]}  # once per filter
        for index, sample in samples.items():
            key = (f"{group}/" if group else "") + str(name(sample["doc"], index))
            if case["task"] in cases.GENERATED:
                examples[key] = generated(model, case, sample)
            else:
                examples[key] = [round(float(r[0][0]), 4) for r in sample["resps"]]
        for metric, value in out["results"][task].items():
            if isinstance(value, float) and "stderr" not in metric:
                scores.setdefault(metric.removesuffix(",none"), []).append((float(value), len(samples)))
    total = {m: sum(v * n for v, n in parts) / sum(n for _, n in parts) for m, parts in scores.items()}
    return {**case, "scores": total, "seconds": round(time.time() - start, 1), "examples": examples}


def chosen_rows(case, args):
    """Whether the files have the rows of the case alone."""
    return args.shared and case["task"] == "minerva_math500"


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("model"), options.add_argument("out", type=Path)
    options.add_argument("--shared", type=Path), options.add_argument("--only", default="")
    options.add_argument("--samples", type=Path)
    args = options.parse_args()
    import evaluate
    evaluate.load = lambda name, *_, **__: NoPrograms
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    model = HFLM(pretrained=args.model, dtype="float32", batch_size=8, device="cpu")
    chosen = cases.SHARED if args.shared else cases.OWN
    done = json.loads(args.out.read_text())["cases"] if args.out.exists() else []
    done = {case["name"]: case for case in done}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shared_rows.write_rows(args.shared, folder) if args.shared else rows.write_rows(folder)
        for case in chosen:
            known = done.get(case["name"])
            if (args.only and case["name"] not in args.only.split(",")) or (known and {**known, **case} == known):
                continue
            done[case["name"]] = run_case(model, case, folder, args.samples, None if chosen_rows(case, args) else case["limit"])
            print(case["name"], done[case["name"]]["scores"], done[case["name"]]["seconds"], "s", flush=True)
            ordered = [done[case["name"]] for case in chosen if case["name"] in done]
            args.out.write_text(json.dumps({"lm_eval": lm_eval.__version__, "cases": ordered}, separators=(",", ":"),
                                           sort_keys=True).replace('{"chat"', '\n{"chat"').replace('{"examples"', '\n{"examples"') + "\n")


if __name__ == "__main__":
    main()
