"""The real benchmarks, in the original files, as the rows that lm-evaluation-harness reads."""
import csv
import gzip
import io
import json
import lzma
import zipfile
from pathlib import Path

import cases
from rows import lines, subjects

LETTERS = "ABCD"


def json_lines(path):
    opened = gzip.open if path.suffix == ".gz" else lzma.open if path.suffix == ".xz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def arc(path):
    return [{"id": row["id"], "question": row["question"]["stem"], "answerKey": row["answerKey"],
             "choices": {key: [choice[key] for choice in row["question"]["choices"]] for key in ("text", "label")}}
            for row in json_lines(path)]


def winogrande(row):
    sentence, rest = row["instruction"].split("the given sentence: ", 1)[1].split("\n\nOption1: ", 1)
    one, rest = rest.split(" Option2: ", 1)
    return {"sentence": sentence, "option1": one, "option2": rest.split(" Answer format:")[0],
            "answer": row["answer"].removeprefix("option")}


def truthfulqa(row):
    return {"question": row["question"], **{key: {"choices": list(row[key]), "labels": list(row[key].values())}
                                            for key in ("mc1_targets", "mc2_targets")}}


def exam_rows(archive, name, columns=None):
    text = io.StringIO(archive.read(name).decode("utf-8-sig"), newline="")
    return list(csv.DictReader(text, fieldnames=columns))


def write_exams(benchmarks, folder):
    with zipfile.ZipFile(benchmarks / "mmlu/mmlu.zip") as archive:
        for subject in subjects("mmlu.cc"):
            for split in ("dev", "test"):
                found = exam_rows(archive, f"data/{split}/{subject}_{split}.csv", ["question", *LETTERS, "answer"])
                lines(folder / f"mmlu/{subject}/{split}.jsonl",
                      [{"question": row["question"], "choices": [row[c] for c in LETTERS],
                        "answer": LETTERS.index(row["answer"])} for row in found])
    for top, splits, name in (("cmmlu", ("dev", "test"), "{1}/{0}.csv"), ("ceval", ("dev", "val"), "{1}/{0}_{1}.csv")):
        with zipfile.ZipFile(benchmarks / top / f"{top}.zip") as archive:
            for subject in subjects(f"{top}.cc"):
                for split in splits:
                    lines(folder / top / subject / f"{split}.jsonl", exam_rows(archive, name.format(subject, split)))


def write_rows(benchmarks, folder):
    b, folder = Path(benchmarks), Path(folder)
    lines(folder / "arc_challenge/test.jsonl", arc(b / "arc/ARC-Challenge-Test.first-half.jsonl"))
    lines(folder / "arc_challenge/validation.jsonl", arc(b / "arc/ARC-Challenge-Dev.jsonl"))
    lines(folder / "hellaswag/validation.jsonl",
          [{**{k: row[k] for k in ("ind", "activity_label", "ctx_a", "ctx_b", "ctx", "endings")}, "label": str(row["label"])}
           for row in json_lines(b / "hellaswag/hellaswag.even.jsonl")])
    labels = (b / "piqa/valid-labels.lst").read_text().split()
    lines(folder / "piqa/validation.jsonl",
          [{"goal": row["goal"], "sol1": row["sol1"], "sol2": row["sol2"], "label": int(label)}
           for row, label in zip(json_lines(b / "piqa/valid.jsonl"), labels)])
    lines(folder / "winogrande/validation.jsonl", map(winogrande, json.loads((b / "winogrande/test.json").read_text())))
    lines(folder / "truthful_qa/validation.jsonl", map(truthfulqa, json.loads((b / "truthfulqa/mc_task.json").read_text())))
    with lzma.open(b / "lambada/lambada_test_plain_text.txt.xz", "rt", encoding="utf-8") as file:
        lines(folder / "lambada/test.jsonl", [{"text": line.strip()} for line in file])
    lines(folder / "gsm8k/test.jsonl", json_lines(b / "gsm8k/test.jsonl"))
    lines(folder / "gsm8k/train.jsonl", json_lines(b / "gsm8k/train.jsonl.xz"))
    lines(folder / "humaneval/test.jsonl", json_lines(b / "humaneval/HumanEval.jsonl.gz"))
    lines(folder / "mbpp/test.jsonl", [row for row in json_lines(b / "mbpp/mbpp.jsonl") if 11 <= row["task_id"] <= 510])
    taken, chosen = {}, []
    for row in json_lines(b / "math/math500/test_ori.jsonl"):
        taken[row["subject"]] = taken.get(row["subject"], 0) + 1
        # The program's limit counts for each subject, which are no subtasks of the harness's.
        if taken[row["subject"]] <= next(case["limit"] for case in cases.SHARED if case["task"] == "minerva_math500"):
            chosen.append(row)
    lines(folder / "math500/test.jsonl", chosen)
    for group in cases.BBH:
        lines(folder / f"bbh/{group}/test.jsonl", json.loads((b / f"bbh/{group}.json").read_text())["examples"])
    write_exams(b, folder)
