"""Rows of benchmarks that are written here, in the fields that the real ones have, so that comparisons with
lm-evaluation-harness need nobody's data: write_rows(FOLDER) makes the files that both programs read.

The questions are simple; what they are for is every blank, letter and worked example of the prompts, not knowledge.
"""
import csv
import json
import re
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[2] / "src/eval/tasks/choices"
ROWS, SHOTS = 40, 9

PEOPLE = ["Ana", "Ben", "Clara", "Dmitri", "Elif", "Farid", "Grace", "Hiro"]
THINGS = ["apples", "marbles", "books", "coins", "pencils", "shells", "stamps"]
PLACES = ["kitchen", "garden", "workshop", "library", "harbour"]
ANIMALS = [("dog", "barks"), ("cat", "meows"), ("cow", "moos"), ("duck", "quacks"), ("owl", "hoots"),
           ("frog", "croaks"), ("lion", "roars"), ("bee", "buzzes"), ("horse", "neighs"), ("wolf", "howls")]
PAIRS = [("knife", "spoon", "cut a rope"), ("towel", "plate", "dry wet hands"), ("lamp", "pillow", "read at night"),
         ("bucket", "fork", "carry water"), ("ladder", "carpet", "reach a high shelf"),
         ("needle", "hammer", "sew on a button"), ("umbrella", "fan", "stay dry in the rain")]


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def subjects(file):
    """Names of the exam's subjects, as the program lists them."""
    return re.findall(r'^    \{"(\w+)", ', (SOURCES / file).read_text(encoding="utf-8"), re.M)


def arc(i):
    animal, sound = ANIMALS[i % 10]
    others = [ANIMALS[(i + k) % 10][1] for k in (3, 5, 8)][:2 + (i % 3 > 0)]
    choices = others[:i % 3] + [f"It {sound}."] + others[i % 3:]
    labels = "12345" if i % 7 == 0 else "ABCDE"
    return {"id": f"own-{i}", "question": f"What does a {animal} do when it wants to be heard in {PLACES[i % 5]} {i}?",
            "choices": {"text": choices, "label": list(labels[:len(choices)])},
            "answerKey": labels[choices.index(f"It {sound}.")]}


def hellaswag(i):
    person, place = PEOPLE[i % 8], PLACES[i % 5]
    endings = [f"washes the {THINGS[(i + k) % 7]}{' [step] slowly' if k == 1 else ''} in the sink." for k in range(4)]
    return {"ind": i, "activity_label": f"Working in the {place}" + (" [header]" if i % 4 == 0 else ""),
            "ctx_a": f"{person} walks into the {place} and puts on an apron. [title] Cleaning up",
            "ctx_b": "" if i % 3 == 0 else f"then {person}", "ctx": "", "endings": endings, "label": str(i * 3 % 4)}


def piqa(i):
    right, wrong, goal = PAIRS[i % 7]
    solutions = [f"Use a {wrong}, held in the left hand." + " " * (i % 4 == 0), f"Use a {right} and take {i + 2} minutes."]
    return {"goal": f"How do you {goal}" + "?" * (i % 2), "sol1": solutions[i % 2], "sol2": solutions[1 - i % 2],
            "label": 1 - i % 2}


def winogrande(i):
    one, two, thing = PEOPLE[i % 8], PEOPLE[(i * 3 + 1) % 8], THINGS[i % 7]
    return {"sentence": f"{one} gave the {thing} to {two} because _ had no use for {i + 2} of them.",
            "option1": one, "option2": two, "answer": str(1 + i % 2)}


def truthfulqa(i):
    animal, sound = ANIMALS[i % 10]
    true = [f"A {animal} {sound}.", f"Nothing in particular happens to a {animal}."][:1 + i % 2]
    false = [f"A {animal} turns into a {ANIMALS[(i + 1) % 10][0]} at midnight.", "It brings seven years of bad luck."]
    labels = [1] * len(true) + [0] * len(false)
    if i % 5 == 0:  # true ones behind false ones
        true, labels = true + false + ["Nobody knows."], labels + [1]
        false = []
    choices = {"choices": true + false, "labels": labels}
    return {"question": f"What happens if you meet a {animal} in the {PLACES[i % 5]}?", "mc1_targets": choices,
            "mc2_targets": choices}


def lambada(i):
    one, two = PEOPLE[i % 8].lower(), PEOPLE[(i + 3) % 8].lower()
    return {"text": f"`` where is {one} ? '' asked the man at the door of the {PLACES[i % 5]} . {two} looked at the "
                    f"{i + 3} {THINGS[i % 7]} on the table and did n't answer . `` i am looking for {one}"}


def exam(i, names=("question", "answer"), chinese=False):
    a, b = 2 + i % 9, 3 + i * 7 % 11
    options = [a + b + (k - i % 4) * 2 for k in range(4)]
    question = f"{a}加{b}等于多少？ " if chinese else f" What is the sum of {a} and {b}, said {PEOPLE[i % 8]}?"
    return {names[0]: question, **{letter: str(value) for letter, value in zip("ABCD", options)},
            names[1]: "ABCD"[i % 4]}


def mmlu(i):
    row = exam(i)
    return {"question": row["question"], "choices": [row[letter] for letter in "ABCD"], "answer": i % 4}


def gpqa(i):
    a, b = 3 + i % 10, 2 + i // 10
    unit = ["eV", "mol  per litre", "K [absolute]", "nm"][i % 4]
    return {"Question": f"A sample [no. {i}] gives {a} counts in each of {b} runs. What is the total in {unit}?",
            "Correct Answer": f"{a * b} {unit}", "Incorrect Answer 1": f" {a + b} {unit}",
            "Incorrect Answer 2": f"{a * b + 1} [title] {unit}", "Incorrect Answer 3": f"none"}


def gsm8k(i):
    person, thing, a, b, c = PEOPLE[i % 8], THINGS[i % 7], 3 + i % 8, 2 + i % 5, 1 + i % 3
    total = a * b - c
    return {"question": f"{person} has {a} boxes with {b} {thing} in each and loses {c} of them. How many {thing} are left?",
            "answer": f"{person} had {a} * {b} = <<{a}*{b}={a * b}>>{a * b} {thing}.\n"
                      f"{a * b} - {c} = <<{a * b}-{c}={total}>>{total} are left.\n#### {total}"}


def humaneval(i):
    n = i + 2
    return {"task_id": f"Own/{i}", "entry_point": f"add_{n}",
            "prompt": f'def add_{n}(x: int) -> int:\n    """ Return the sum of x and {n}.\n    >>> add_{n}(1)\n'
                      f'    {n + 1}\n    """\n',
            "canonical_solution": f"    return x + {n}\n",
            "test": f"def check(candidate):\n    assert candidate(1) == {n + 1}\n    assert candidate(-4) == {n - 4}\n"}


def mbpp(i):
    n = i + 2
    return {"task_id": 11 + i, "text": f"Write a function to multiply a number by {n}.",
            "code": f"def times_{n}(x):\n  return x * {n}",
            "test_list": [f"assert times_{n}({k}) == {k * n}" for k in (1, 2, 5)]}


def math(i):
    a, b = 2 + i % 7, 3 + i % 5
    return {"problem": f"Let $x = {a}$ and $y = {b}$. Find $\\frac{{x}}{{y}} + {i}$ as one fraction.",
            "solution": f"We get $\\boxed{{\\frac{{{a + i * b}}}{{{b}}}}}$.", "answer": f"\\frac{{{a + i * b}}}{{{b}}}",
            "subject": "Algebra", "level": 1, "unique_id": f"test/algebra/{i}.json"}


def write_rows(folder):
    """Of every task 40 rows or, of exams with subjects, one for each, and worked examples in other rows."""
    folder = Path(folder)

    def write(name, make, first=0, count=ROWS):
        lines(folder / name, [make(i) for i in range(first, first + count)])

    for name, make in (("arc_challenge/test", arc), ("hellaswag/validation", hellaswag), ("piqa/validation", piqa),
                       ("winogrande/validation", winogrande), ("truthful_qa/validation", truthfulqa),
                       ("lambada/test", lambada), ("gsm8k/test", gsm8k), ("humaneval/test", humaneval),
                       ("mbpp/test", mbpp), ("math500/test", math)):
        write(name + ".jsonl", make)
    for name, make in (("arc_challenge/train", arc), ("hellaswag/train", hellaswag), ("lambada/validation", lambada),
                       ("gsm8k/train", gsm8k)):
        write(name + ".jsonl", make, 100, SHOTS)
    with open(folder / "gpqa_main.csv", "w", newline="", encoding="utf-8") as file:
        rows = [gpqa(i) for i in range(ROWS)]
        table = csv.DictWriter(file, rows[0].keys())
        table.writeheader()
        table.writerows(rows)
    for i, subject in enumerate(subjects("mmlu.cc")):
        write(f"mmlu/{subject}/test.jsonl", mmlu, i, 1)
        write(f"mmlu/{subject}/dev.jsonl", mmlu, 100 + i, 5)
    for i, subject in enumerate(subjects("cmmlu.cc")):
        write(f"cmmlu/{subject}/test.jsonl", lambda k: exam(k, ("Question", "Answer"), True), i, 1)
        write(f"cmmlu/{subject}/dev.jsonl", lambda k: exam(k, ("Question", "Answer"), True), 100 + i, 5)
    for i, subject in enumerate(subjects("ceval.cc")):
        write(f"ceval/{subject}/val.jsonl", lambda k: exam(k, chinese=True), i, 1)
        write(f"ceval/{subject}/dev.jsonl", lambda k: exam(k, chinese=True), 100 + i, 5)
