#!/usr/bin/env python3
"""Makes src/tokenizer/golden/tokenizers.json.xz: small tokenizers of every kind that evo reads,
texts, and the ids that Hugging Face's `tokenizers` (for tokenizer.json), `transformers` (for folders
with files beside it) and `sentencepiece` (for tokenizer.model) give them.

    pip install tokenizers transformers sentencepiece
    python3 reference/tokenizer_goldens.py src/tokenizer/golden/tokenizers.json.xz

The tests of src/tokenizer read the file; they need none of these packages. What is in it:

    {"texts": [text...],
     "cases": [{"name", "file": name of the tokenizer's file, "content": document or base64,
                "beside": {file: document}, "special": [ids of each text] with names of special tokens
                as these tokens, "plain": the same without, null where that is no question here,
                "framed": ids of the first text with what is put around}...]}
"""
import base64, io, json, lzma, os, sys, tempfile

import sentencepiece
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

TRAINING = """The quick brown fox jumps over the lazy dog. It's 2024, isn't it? They've said we'll go.
def f(x):\n    return x**2  # square\n\tif (a && b) { goto end; }\nint main(void){printf("%d\\n",42);}
Größe über alles, déjà vu, cœur naïf. Быстрая лиса прыгает. Η γρήγορη αλεπού. 東京は大きい都市です。
我能吞下玻璃而不伤身体。 키스의 고유조건은 입술끼리. नमस्ते दुनिया। مرحبا بالعالم ١٢٣ שלום עולם 👍🏽 👩‍👩‍👧 🦙
HELLO World hello WORLD  two   three    four\n\n\nnew lines\r\n\r\nand tabs\t\tend. 1234567 3.14 1e-5
""" * 3

TEXTS = ["", " ", "  ", "   x", "a", "Hello world", "Hello  world  ", " Hello\nworld\n", "\n\nHello\n\n\n",
  "It's they've I'LL don't WE'VE x'S", "1234567890 12 3.14 ١٢٣ ²½ Ⅳ", "def f(x):\n\treturn x**2  # c\r\n\r\n",
  "<s>", "a<s>b</s> c", "<|im_start|>user\nHi<|im_end|>\n", " <|im_start|> ", "<mask> x  <mask>",
  "zqcat zqcatx xzqcat zqcat,", "  zqcat  ", "Größe e\u0301 é ﬁ ＡＢＣ", "\u0958\u2126\u212b", "東京は大きい。\u3000都市",
  "我能吞下玻璃", "ไทย नमस्ते", "👍🏽👩‍👩‍👧‍👦🇫🇷", "a\u0004b\u0013c", "\u0004", "!\u0004!!\u0013!", "x\u00a0y\u2003z\u200bw",
  "▁", "▁a ▁▁b", "<0x0A><0xE9>", "Ġthe Ċ", "?!...,;:--«»“”", "a_b-c.d/e\\f@g#h$i%j^k&l*m", "$+<=>^`|~",
  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "the the the", "thethethe", "unaffable",
  "HELLO WORLD", "İstanbul ŒUVRE ſ", "\ufeffx\ufffdy", "한국어 조선말", "中a文b", "á̧ x͓", "www.a-b.org/c?d=e&f",
  "a\tb\x0bc\x0cd\x85e\u2028f", "\u00ad\u0301x", "[UNK] [CLS]a[SEP]", "the quick brown fox jumps over", "x1y22z333w4444",
  "    indented\n        more", "é" * 20, "🦙.cpp", "مرحبا بالعالم", "ǅ ǆ ß ẞ", "\U0001d49c\U0001d7d8", "don 't", "[INST] hi [/INST]"]

def alphabet():
    names, extra = {}, 0
    for byte in range(256):
        plain = 33 <= byte <= 126 or 161 <= byte <= 172 or byte >= 174
        names[byte] = chr(byte if plain else 256 + extra)
        extra += not plain
    return names

BYTES = alphabet()

def byte_level(prefix=False, regex=True):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}

def split(regex, behavior="Isolated"):
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": False}

def steps(*all): return {"type": "Sequence", "pretokenizers": list(all)}
def norms(*all): return {"type": "Sequence", "normalizers": list(all)}
def prepend(text): return {"type": "Prepend", "prepend": text}
def replace(pattern, content, kind="String"):
    return {"type": "Replace", "pattern": {kind: pattern}, "content": content}

def added(id, content, special=True, normalized=None, **flags):
    token = {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": not special if normalized is None else normalized, "special": special}
    token.update(flags)
    return token

def trained_bpe(pre, size, letters):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=letters, show_progress=False)
    tokenizer.train_from_iterator([TRAINING], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], model["merges"]

def bpe(vocab, merges, **more):
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
             "ignore_merges": False, "vocab": vocab, "merges": merges}
    model.update(more)
    return model

def document(model, pre=None, norm=None, post=None, dec=None, tokens=()):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": list(tokens),
            "normalizer": norm, "pre_tokenizer": pre, "post_processor": post, "decoder": dec,
            "model": model}

def renumbered(names): return {name: i for i, name in enumerate(names)}

def without(vocab, merges, missing):
    """The vocabulary without some tokens and what is made of them."""
    gone = set(missing)
    kept = []
    for left, right in merges:
        if left in gone or right in gone: gone.add(left + right)
        else: kept.append([left, right])
    names = [n for n in sorted(vocab, key=vocab.get) if n not in gone]
    return renumbered(names), [m for m in kept if m[0] + m[1] in names]

def byte_level_cases():
    vocab, merges = trained_bpe(pre_tokenizers.ByteLevel(add_prefix_space=False), 700,
                                pre_tokenizers.ByteLevel.alphabet())
    n = len(vocab)
    end, dec = [added(n, "<|endoftext|>")], byte_level()
    chat = end + [added(n + 1, "<|im_start|>"), added(n + 2, "<|im_end|>"), added(n + 3, "</s>")]
    def case(pre, **more):
        more.setdefault("tokens", chat)
        model = more.pop("model", bpe(vocab, merges))
        return document(model, pre, dec=dec, **more)
    words = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    rest = r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    yield "gpt2", case(byte_level())
    yield "digits", case(steps({"type": "Digits", "individual_digits": True}, byte_level()))
    yield "prefix space", case(byte_level(True))
    yield "sets inside of sets", case(steps(split(r" ?[^(\s|[.,!?…。，、।۔،])]+"), byte_level(regex=False)))
    yield "sets that intersect", case(steps(split(r"[\p{Han}]+|" + words.replace(r"\p{M}]", r"\p{M}&&[^\p{Han}]]") + rest),
                                            byte_level(regex=False)))
    yield "o200k", case(steps(split(words + "(?i:'s|'t|'re|'ve|'m|'ll|'d)?" + rest), byte_level(regex=False)))
    yield "falcon", case(steps({"type": "Punctuation", "behavior": "Contiguous"}, byte_level(),
                               {"type": "Digits", "individual_digits": False}, split("[0-9][0-9][0-9]")))
    yield "several splits", case(steps(split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split("[一-龥]+"),
                                       {"type": "Digits", "individual_digits": True}, byte_level(regex=False)),
                                 norm=norms())
    yield "nfc", case(byte_level(), norm={"type": "NFC"}, post=byte_level(True))
    yield "ignoring merges", case(byte_level(), model=bpe({**vocab, "unaff": n}, merges, ignore_merges=True),
                                  tokens=[added(n + 1, "<|endoftext|>")])
    few, fewer = without(vocab, merges, [BYTES[b] for b in (4, 6, 19, 0xC0, 0xC1, 0xF1, 0xFF)])
    yield "bytes missing", case(byte_level(), model=bpe(few, fewer), tokens=[added(len(few), "<|endoftext|>")])
    yield "bytes missing, unknown", case(byte_level(), tokens=[added(len(few), "<unk>")],
                                         model=bpe({**few, "<unk>": len(few)}, fewer, unk_token="<unk>"))
    yield "bytes missing, one unknown", case(byte_level(), tokens=[added(len(few), "<unk>")],
                                             model=bpe({**few, "<unk>": len(few)}, fewer, unk_token="<unk>", fuse_unk=True))
    holes = {name: id + (7 if id > 300 else 0) for name, id in vocab.items()}
    yield "holes", case(byte_level(), model=bpe({**holes, "<|endoftext|>": n + 40}, merges),
                        tokens=[added(n + 40, "<|endoftext|>")])
    yield "ids beyond", case(byte_level(), tokens=end + [added(n + 50, "<|im_start|>")])
    yield "tokens outside of the alphabet", case(byte_level(), model=bpe({**vocab, "a b": n, "東": n + 1}, merges),
                                                 tokens=[added(n + 2, "<|endoftext|>")])
    yield "runs of spaces", case(byte_level(), tokens=end + [added(n + 1 + i, " " * (8 - i), False) for i in range(7)] +
                                 [added(n + 8, "\t\t", False)])
    yield "flags", case(byte_level(), tokens=end + [added(n + 1, "zqcat", False, single_word=True), added(n + 2, "<mask>", lstrip=True),
                        added(n + 3, "<|im_start|>", rstrip=True), added(n + 4, "<|im_end|>", True, True, lstrip=True, rstrip=True)])
    yield "roberta", case(byte_level(), post={"type": "RobertaProcessing", "sep": ["</s>", n + 3], "cls": ["<|endoftext|>", n],
                                              "trim_offsets": True, "add_prefix_space": False})
    yield "template", case(byte_level(), post={"type": "TemplateProcessing", "special_tokens": {"</s>": {"id": "</s>", "ids": [n + 3], "tokens": ["</s>"]}},
        "single": [{"SpecialToken": {"id": "</s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}]})

def character_cases():
    pre = pre_tokenizers.Metaspace()
    vocab, merges = trained_bpe(pre, 500, ["▁"])
    names = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + sorted(vocab, key=vocab.get)
    whole = renumbered(names)
    tokens = [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")]
    more = tokens + [added(len(names), "<|im_start|>"), added(len(names) + 1, "zqcat", False)]
    spaces = norms(prepend("▁"), replace(" ", "▁"))
    dec = {"type": "Sequence", "decoders": [replace("▁", " "), {"type": "ByteFallback"}, {"type": "Fuse"},
                                            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
    def model(vocab=whole, **kind):
        kind.setdefault("byte_fallback", True)
        return bpe(vocab, merges, unk_token="<unk>", fuse_unk=True, **kind)
    def metaspace(scheme, cut): return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": cut}
    yield "llama", document(model(), norm=spaces, dec=dec, tokens=tokens)
    yield "llama with more tokens", document(model(), norm=spaces, dec=dec, tokens=more)
    for scheme in ("first", "always", "never"):
        yield "metaspace " + scheme, document(model(), metaspace(scheme, scheme == "first"), dec=metaspace(scheme, True), tokens=more)
    gaps = renumbered([n for n in names if n not in ("<0xC3>", "<0xF0>", "<0x0A>")])
    renamed = [added(gaps[t["content"]], t["content"]) for t in tokens]
    yield "gaps in the fallback", document(model(gaps), norm=spaces, dec=dec, tokens=renamed)
    yield "gaps, each unknown", document({**model(gaps), "fuse_unk": False}, norm=spaces, dec=dec, tokens=renamed)
    yield "gaps, none unknown", document({**model(gaps), "unk_token": None}, norm=spaces, dec=dec, tokens=renamed)
    yield "no fallback", document(model(byte_fallback=False), norm=spaces, dec=dec, tokens=tokens)
    yield "lower case", document(model(), norm=norms({"type": "NFKC"}, {"type": "Lowercase"},
                                 {"type": "Strip", "strip_left": True, "strip_right": True}, prepend("▁"), replace(" ", "▁")), dec=dec, tokens=more)
    yield "strip accents", document(model(), norm=norms({"type": "NFD"}, {"type": "StripAccents"}, spaces), dec=dec, tokens=tokens)
    yield "nmt", document(model(), norm=norms({"type": "Nmt"}, replace(" {2,}", " ", "Regex"), spaces), dec=dec, tokens=tokens)
    for n, flags in enumerate(((True, True, None, True), (False, True, True, False), (True, False, False, True))):
        norm = dict(zip(("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"), flags), type="BertNormalizer")
        yield f"bert normalizer {n}", document(model(), norm=norm, dec=dec, tokens=tokens)

def other_models():
    words = sorted({w.lower() for w in TRAINING.split()})
    pieces = sorted({w[:k] for w in words for k in (1, 2, 3)} | {"##" + w[k:k + 2] for w in words for k in range(1, len(w))} |
                    {"##" + c for w in words for c in w})
    vocab = renumbered(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + pieces)
    named = [added(i, n) for n, i in list(vocab.items())[:5]]
    bert = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}
    yield "wordpiece", document({"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 40, "vocab": vocab}, {"type": "BertPreTokenizer"}, bert,
        {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}, {"type": "WordPiece", "prefix": "##", "cleanup": True}, named)
    yield "wordlevel", document({"type": "WordLevel", "unk_token": "[UNK]", "vocab": renumbered(["[UNK]"] + sorted(set(TRAINING.split())))},
                                {"type": "Whitespace"}, tokens=[added(0, "[UNK]")])
    meta = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    scored = sentencepiece_pieces(model_type="unigram", vocab_size=420)
    head = [["<unk>", 0.0], ["<s>", 0.0], ["</s>", 0.0]]
    tokens = [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")]
    vocab = head + [p for p in scored if p[0] not in ("<unk>", "<s>", "</s>")]
    yield "unigram", document({"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": False}, meta, dec=meta, tokens=tokens)
    with_bytes = head + [[f"<0x{b:02X}>", -20.0] for b in range(256) if b != 0xF0] + vocab[3:]
    yield "unigram with fallback", document({"type": "Unigram", "unk_id": 0, "vocab": with_bytes, "byte_fallback": True}, meta, dec=meta, tokens=tokens)
    charsmap = base64.b64encode(proto(trained_model(model_type="unigram", vocab_size=420, rules=True)).normalizer_spec.precompiled_charsmap).decode()
    norm = norms({"type": "Precompiled", "precompiled_charsmap": charsmap}, replace(" {2,}", " ", "Regex"))
    yield "precompiled", document({"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": False}, meta, norm, dec=meta, tokens=tokens)

RULES = [("ﬁ", "fi"), ("Ａ", "A"), ("Ｂ", "B"), ("e\u0301", "é"), ("\u3000", " "), ("\u00a0", " "), ("。", "."), ("½", "1/2"),
         ("ＡＢ", "ab"), ("\u200b", ""), ("\t", " "), ("\n", " "), ("ß", "ss"), ("👩", "F")]

def trained_model(rules=False, **options):
    out = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        if rules:
            path = os.path.join(folder, "rules.tsv")
            hexes = lambda text: " ".join(f"{ord(c):X}" for c in text)
            with open(path, "w") as file:
                for left, right in sorted(RULES): file.write(f"{hexes(left)}\t{hexes(right)}\n")
            options["normalization_rule_tsv"] = path
        else:
            options.setdefault("normalization_rule_name", "identity")
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(TRAINING.split("\n")), model_writer=out,
            character_coverage=1.0, hard_vocab_limit=False, minloglevel=2, **options)
    return out.getvalue()

def proto(model):
    from sentencepiece import sentencepiece_model_pb2
    message = sentencepiece_model_pb2.ModelProto()
    message.ParseFromString(model)
    return message

def sentencepiece_pieces(**options):
    return [[piece.piece, piece.score] for piece in proto(trained_model(**options)).pieces]

def sentencepiece_cases():
    user = dict(user_defined_symbols=["<|im_start|>", "[INST]", "▁▁▁▁", "\n\n"])
    keep = dict(remove_extra_whitespaces=False)
    yield "sentencepiece bpe", trained_model(model_type="bpe", vocab_size=600, byte_fallback=True, **keep)
    yield "sentencepiece bpe, no space first", trained_model(model_type="bpe", vocab_size=600, byte_fallback=True, add_dummy_prefix=False, **keep)
    yield "sentencepiece bpe, user-defined", trained_model(model_type="bpe", vocab_size=600, byte_fallback=True, **keep, **user)
    yield "sentencepiece bpe, user-defined, no space first", trained_model(model_type="bpe", vocab_size=420, add_dummy_prefix=False, **keep, **user)
    yield "sentencepiece bpe, one space", trained_model(model_type="bpe", vocab_size=420)
    yield "sentencepiece unigram", trained_model(model_type="unigram", vocab_size=420)
    yield "sentencepiece unigram, fallback", trained_model(model_type="unigram", vocab_size=700, byte_fallback=True, **keep)
    yield "sentencepiece unigram, rules", trained_model(model_type="unigram", vocab_size=420, rules=True)
    yield "sentencepiece unigram, user-defined", trained_model(model_type="unigram", vocab_size=420, **user)
    first = trained_model(model_type="bpe", vocab_size=420, rules=True)
    message = proto(first)
    pieces = type(message)(); pieces.pieces.extend(message.pieces)
    message.ClearField("pieces")
    yield "sentencepiece bpe, settings first", message.SerializeToString() + pieces.SerializeToString()
    unused = proto(trained_model(model_type="unigram", vocab_size=420))
    for piece in unused.pieces:
        if piece.piece in ("▁the", "e"): piece.type = 5
    yield "sentencepiece unigram, unused", unused.SerializeToString()

def folder_cases():
    vocab, merges = trained_bpe(pre_tokenizers.ByteLevel(add_prefix_space=False), 400, pre_tokenizers.ByteLevel.alphabet())
    n = len(vocab)
    base = document(bpe({**vocab, "<s>": n}, merges), byte_level(), dec=byte_level(), tokens=[added(n + 1, "<|endoftext|>")])
    decoder = {str(n + 60): {"content": "<|im_start|>", "special": True}, str(n + 30): {"content": "zqcat", "lstrip": True, "special": False},
               str(n + 1): {"content": "<|endoftext|>", "rstrip": True, "special": True}, str(n): {"content": "<s>", "special": True}}
    yield "folder, decoder", base, {"tokenizer_config.json": {"added_tokens_decoder": decoder}}
    yield "folder, added tokens", base, {"added_tokens.json": {"<|im_start|>": n + 60, "zqcat": n + 30}, "special_tokens_map.json": {"pad_token": "<|im_start|>"}}
    yield "folder, roles", base, {"tokenizer_config.json": {"eos_token": "<s>", "pad_token": {"content": "<mask>", "lstrip": True, "__type": "AddedToken"},
                                  "extra_special_tokens": ["<|im_end|>"], "image_token": "[INST]", "add_bos_token": True}}

def ids_of_document(content):
    tokenizer = Tokenizer.from_str(json.dumps(content))
    def ids(special):
        tokenizer.encode_special_tokens = not special
        return [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
    result = {"special": ids(True), "plain": ids(False)}
    tokenizer.encode_special_tokens = False
    result["framed"] = tokenizer.encode(TEXTS[5]).ids
    # In these models a name of a special token is one of ordinary text too; evo makes none of text.
    if content["model"]["type"] != "BPE": result["plain"] = None
    return result

def ids_of_folder(content, beside):
    from transformers.tokenization_utils_tokenizers import TokenizersBackend
    with tempfile.TemporaryDirectory() as folder:
        for name, value in {"tokenizer.json": content, **beside}.items():
            with open(os.path.join(folder, name), "w") as file: json.dump(value, file)
        tokenizer = TokenizersBackend.from_pretrained(folder)
    return {"special": [tokenizer.encode(text, add_special_tokens=False) for text in TEXTS], "plain": None,
            "framed": tokenizer.encode(TEXTS[5])}

def main(path):
    cases = []
    def add(name, file, content, ids, beside={}):
        cases.append({"name": name, "file": file, "content": content, "beside": beside, **ids})
    for make in (byte_level_cases, character_cases, other_models):
        for name, content in make(): add(name, "tokenizer.json", content, ids_of_document(content))
    for name, content, beside in folder_cases(): add(name, "tokenizer.json", content, ids_of_folder(content, beside), beside)
    for name, model in sentencepiece_cases():
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        add(name, "tokenizer.model", base64.b64encode(model).decode(),
            {"plain": [processor.encode(text) for text in TEXTS], "special": None, "framed": None})
    data = json.dumps({"texts": TEXTS, "cases": cases}, ensure_ascii=False, separators=(",", ":")).encode()
    with lzma.open(path, "wb", preset=9) as file: file.write(data)
    print(f"{len(cases)} tokenizers, {len(TEXTS)} texts, {len(data)} bytes, {os.path.getsize(path)} compressed")

if __name__ == "__main__":
    main(sys.argv[1])
