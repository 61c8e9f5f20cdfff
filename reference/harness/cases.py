"""What is compared with lm-evaluation-harness: tasks, settings, and where each program finds the rows."""
import re
from pathlib import Path

import rows

GENERATED = {"gsm8k", "bbh", "humaneval", "mbpp", "minerva_math500"}
CODE = {"humaneval", "mbpp"}
BBH = ("boolean_expressions causal_judgement date_understanding disambiguation_qa dyck_languages formal_fallacies "
       "geometric_shapes hyperbaton logical_deduction_five_objects logical_deduction_seven_objects "
       "logical_deduction_three_objects movie_recommendation multistep_arithmetic_two navigate object_counting "
       "penguins_in_a_table reasoning_about_colored_objects ruin_names salient_translation_error_detection snarks "
       "sports_understanding temporal_sequences tracking_shuffled_objects_five_objects "
       "tracking_shuffled_objects_seven_objects tracking_shuffled_objects_three_objects web_of_lies word_sorting").split()

# Task: the harness's file, and the file of each split.
PLAIN = {
    "arc_challenge": ("arc/arc_challenge.yaml",
                      {"train": "arc_challenge/train", "validation": "arc_challenge/validation", "test": "arc_challenge/test"}),
    "hellaswag": ("hellaswag/hellaswag.yaml", {"train": "hellaswag/train", "validation": "hellaswag/validation"}),
    "piqa": ("piqa/piqa.yaml", {"validation": "piqa/validation"}),
    "winogrande": ("winogrande/default.yaml", {"validation": "winogrande/validation"}),
    "truthfulqa_mc2": ("truthfulqa/truthfulqa_mc2.yaml", {"validation": "truthful_qa/validation"}),
    "lambada": ("lambada/lambada_standard.yaml", {"validation": "lambada/validation", "test": "lambada/test"}),
    "gpqa_main_n_shot": ("gpqa/n_shot/gpqa_main_n_shot.yaml", {"train": "gpqa_main.csv"}),
    "gsm8k": ("gsm8k/gsm8k.yaml", {"train": "gsm8k/train", "test": "gsm8k/test"}),
    "humaneval": ("humaneval/humaneval.yaml", {"test": "humaneval/test"}),
    "mbpp": ("mbpp/mbpp.yaml", {"test": "mbpp/test"}),
    "minerva_math500": ("minerva_math/minerva_math500.yaml", {"test": "math500/test"}),
}
EXAMS = {"mmlu": ("mmlu/default/mmlu_{}.yaml", "mmlu.cc", ("dev", "test")),
         "cmmlu": ("cmmlu/cmmlu_{}.yaml", "cmmlu.cc", ("dev", "test")),
         "ceval-valid": ("ceval/ceval-valid_{}.yaml", "ceval.cc", ("dev", "val"))}
IDS = {"humaneval": "task_id", "mbpp": "task_id", "minerva_math500": "unique_id"}


def case(task, shots=None, chat=None, limit=None):
    """`chat`: None, "turns" or "message", which is how worked examples are put."""
    name = task + (f"-{shots}shot" if shots is not None else "") + (f"-chat-{chat}" if chat else "")
    return {"name": name, "task": task, "shots": shots, "chat": chat, "limit": limit}


# Every task; choices on all 40 rows (of exams, one for each subject), texts on as many as two cores write in seconds; and
# on a few rows other numbers of worked examples, and conversations.
OWN = [case("arc_challenge"), case("hellaswag"), case("piqa"), case("winogrande"), case("truthfulqa_mc2"), case("lambada"),
       case("gpqa_main_n_shot"), case("gsm8k", limit=8), case("mbpp", limit=8), case("humaneval", limit=4),
       case("minerva_math500", limit=4), case("mmlu"), case("ceval-valid", 1),
       case("cmmlu"),
       case("arc_challenge", 3, limit=8), case("hellaswag", 2, "turns", 8), case("piqa", 2, limit=8),
       case("winogrande", 5, limit=8), case("winogrande", 2, "message", 8), case("lambada", 2, "turns", 8),
       case("gpqa_main_n_shot", 3, limit=8), case("gsm8k", 2, "turns", 4), case("gsm8k", 2, "message", 4),
       case("mbpp", 1, "turns", 4)]
SHARED = [case("arc_challenge", limit=40), case("hellaswag", limit=40), case("piqa", limit=40),
          case("winogrande", limit=40), case("lambada", limit=40), case("truthfulqa_mc2", limit=40), case("mmlu", limit=1),
          case("gsm8k", limit=16), case("mbpp", limit=16), case("arc_challenge", 5, limit=8),
          case("piqa", 3, "turns", 8), case("winogrande", 5, limit=8)]


def parts_of(case, folder):
    """Of every subtask: its name, the harness's file, files by split, and what names an example."""
    import lm_eval.tasks
    harness = Path(lm_eval.tasks.__file__).parent
    task = case["task"]

    def existing(files):
        paths = {k: folder / (v if "." in v else v + ".jsonl") for k, v in files.items()}
        return {k: v for k, v in paths.items() if v.exists()}

    def name(doc, index):
        return doc[IDS[task]] if task in IDS else index

    if task == "bbh":
        for group in BBH:
            yield group, harness / f"bbh/cot_fewshot/{group}.yaml", existing({"test": f"bbh/{group}/test"}), name
    elif task in EXAMS:
        config, source, splits = EXAMS[task]
        top = task.split("-")[0]
        for group in rows.subjects(source):
            yield group, harness / config.format(group), existing({s: f"{top}/{group}/{s}" for s in splits}), name
    else:
        config, files = PLAIN[task]
        files = existing(files)
        yield "", harness / config, files, name


def answers_of(task, text):
    """What the harness's filters take out of a text."""
    if task == "gsm8k":
        strict = re.search(r"#### (\-?[0-9\.\,]+)", text)
        flexible = re.findall(r"(-?[$0-9.,]{2,})|(-?[0-9]+)", text)
        return [strict[1] if strict else "[invalid]", next(filter(None, flexible[-1])) if flexible else "[invalid]"]
    if task == "bbh":
        found = re.search(r"(?<=the answer is )(.*)(?=.)", text)
        return [found[1].strip() if found else "[invalid]"]
    if task == "minerva_math500":
        found = re.search(r"Final Answer: The final answer is(.*?). I hope it is correct.", text + "I hope it is correct.")
        return [found[1].strip() if found else "[invalidanswer]"]
    return []
