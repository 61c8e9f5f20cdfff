#include "tokenizer/tokenizer.h"

#include <thread>

#include "text/testing.h"
#include "tokenizer/bpe/byte_alphabet.h"
#include "tokenizer/bpe/train_bpe.h"
#include "tokenizer/steps/split_pattern.h"
#include "tokenizer/tokenizer_spec.h"

namespace evo::tokenizer {
namespace {

using testing::error_of;
using Ids = std::vector<int32_t>;
using Pairs = std::vector<std::pair<int32_t, int32_t>>;

constexpr std::string_view kText =
    "The cat sat on the mat, and the other cat didn't. Größe über alles, déjà vu; 東京は大きい。 "
    "The end of the other end was the end of them all: 2024, 2025, 2026 👍👍\n\n\tthe\n";

const Tokenizer& trained() {
  static const Tokenizer tokenizer = [] {
    const std::string_view texts[] = {kText};
    return train_bpe(texts, {.vocab_size = 300, .quiet = true});
  }();
  return tokenizer;
}

void expect_round_trip(std::string_view text) {
  const Ids ids = trained().encode(text);
  EXPECT_EQ(trained().decode(ids), text);
  for (const int32_t id : ids) EXPECT_NE(id, trained().end_of_text());
}

TEST(Tokenizer, RoundTripsEveryShortString) {
  expect_round_trip("");
  for (int i = 0; i < 256; ++i) expect_round_trip(std::string(1, static_cast<char>(i)));
  for (int i = 0; i < 65536; ++i) {
    expect_round_trip(std::string{static_cast<char>(i >> 8), static_cast<char>(i)});
  }
}

TEST(Tokenizer, RoundTripsRandomBytesAndText) {
  Random random(1);
  for (int trial = 0; trial < 500; ++trial) {
    expect_round_trip(testing::random_bytes(random, random.below(300)));
    expect_round_trip(testing::random_text(random, random.below(300), kText));
  }
  for (const std::string_view text :
       {kText, std::string_view("\0a\0", 3),
        std::string_view("👩‍👩‍👧‍👦🏳️‍🌈"),
        std::string_view("漢字かな交じり文"), std::string_view("\xED\xA0\x80\xC0\x80\xFF")}) {
    expect_round_trip(text);
  }
}

TEST(Tokenizer, TrainingTextGetsShorter) {
  EXPECT_LT(trained().encode(kText).size(), kText.size() * 3 / 4);
  EXPECT_EQ(trained().encode("the").size(), 1u);
}

TEST(Tokenizer, NamesOfSpecialTokensAreOrdinaryText) {
  const Ids ids = trained().encode("<|endoftext|>");
  EXPECT_GT(ids.size(), 1u);
  EXPECT_EQ(trained().decode(ids), "<|endoftext|>");
  EXPECT_EQ(trained().end_of_text(), trained().vocab_size() - 1);
  EXPECT_EQ(trained().decode(Ids{trained().end_of_text()}), "<|endoftext|>");
}

TEST(Tokenizer, SpecialTokensAreFoundIfAskedFor) {
  const int32_t end = trained().end_of_text();
  EXPECT_EQ(trained().encode("<|endoftext|>", {.special = true}), Ids{end});
  Ids expected = trained().encode("the");
  expected.push_back(end);
  expected.push_back(end);
  for (const int32_t id : trained().encode(" cat<|endof")) expected.push_back(id);
  EXPECT_EQ(trained().encode("the<|endoftext|><|endoftext|> cat<|endof", {.special = true}),
            expected);
  EXPECT_EQ(trained().added_token("<|endoftext|>"), end);
  EXPECT_EQ(trained().added_token("the"), -1);
  EXPECT_TRUE(trained().is_special(end));
  EXPECT_FALSE(trained().is_special(0));
  EXPECT_FALSE(trained().is_special(-1));
}

// A merge that ends in a special token must not make one of ordinary text.
TEST(Tokenizer, NoMergeMakesASpecialToken) {
  TokenizerSpec spec = Tokenizer::from_merges(Pairs{{'a', 'b'}}).spec();
  spec.added.push_back({.id = 256});
  EXPECT_EQ(Tokenizer::from_spec(spec).encode("ab"), (Ids{'a', 'b'}));
  EXPECT_EQ(Tokenizer::from_spec(spec).encode("ab", {.special = true}), Ids{256});
  spec.added.back().special = false;
  EXPECT_EQ(Tokenizer::from_spec(spec).encode("ab"), Ids{256});
}

TEST(Tokenizer, ParallelEncodingGivesTheSameIds) {
  Random random(5);
  std::string text;
  while (text.size() < (5 << 20)) {
    text += testing::random_text(random, 40, "the cat's ab12 .\n\t  \xC3\xA9\xFF");
  }
  EXPECT_TRUE(trained().encode_parallel(text) == trained().encode(text));
  EXPECT_EQ(trained().encode_parallel(""), Ids{});
  TokenizerSpec spec = trained().spec();  // a token across a cut
  spec.added.push_back({.id = static_cast<int32_t>(spec.tokens.size()), .special = false});
  spec.tokens.push_back("cat b");
  const Tokenizer wide = Tokenizer::from_spec(spec);
  std::string cats((1 << 20) - 1, 'x');
  cats += "cat b";
  cats.insert(0, 3, 'x');
  cats.erase(0, 5);
  EXPECT_TRUE(wide.encode_parallel(cats) == wide.encode(cats));
}

TEST(Tokenizer, AppendKeepsWhatIsThere) {
  Ids ids = {7};
  trained().encode_append("the", ids);
  trained().encode_append(" cat", ids);
  Ids expected = {7};
  for (const int32_t id : trained().encode("the cat")) expected.push_back(id);
  EXPECT_EQ(ids, expected);
}

TEST(Tokenizer, TextsCutAtASafePlaceGiveTheSameIds) {
  size_t cuts = 0;
  for (size_t cut = 0; (cut = next_safe_cut(kText, cut + 1)) < kText.size(); ++cuts) {
    Ids ids = trained().encode(kText.substr(0, cut));
    trained().encode_append(kText.substr(cut), ids);
    EXPECT_EQ(ids, trained().encode(kText)) << cut;
  }
  EXPECT_GT(cuts, 20u);
}

// The cache of words must not change results, whichever word it met before on the same slot.
TEST(Tokenizer, RepeatedEncodingGivesTheSameIds) {
  Random random(2);
  std::string text;
  for (int i = 0; i < 60'000; ++i) {
    text += testing::random_text(random, 1 + random.below(40), "theandcat") + " ";
  }
  const Ids first = trained().encode(text);
  EXPECT_EQ(trained().encode(text), first);
  EXPECT_EQ(Tokenizer::from_spec(trained().spec()).encode(text), first);
  EXPECT_EQ(trained().decode(first), text);
}

TEST(Tokenizer, ThreadsMayShareOne) {
  const Ids expected = trained().encode(kText);
  const Tokenizer tokenizer = Tokenizer::from_spec(trained().spec());
  std::vector<std::thread> workers;
  std::vector<int> wrong(4);
  for (int worker = 0; worker < 4; ++worker) {
    workers.emplace_back([&, worker] {
      for (int i = 0; i < 300; ++i) wrong[worker] += tokenizer.encode(kText) != expected;
    });
  }
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(wrong, std::vector<int>(4));
}

TEST(Tokenizer, AHugeWordRoundTrips) {
  Random random(3);
  const std::string text = testing::random_text(random, 2 << 20, "thecatonmat");
  const Ids ids = trained().encode(text);
  EXPECT_LT(ids.size(), text.size());
  EXPECT_TRUE(trained().decode(ids) == text);
}

// A model's matrix may have more rows than its tokenizer has tokens.
TEST(Tokenizer, IdsBeyondTheTokensHaveNoText) {
  for (const int32_t id : {trained().vocab_size(), INT32_MAX}) {
    EXPECT_EQ(trained().decode(Ids{'x', id, 'y'}), "xy");
    EXPECT_EQ(trained().token_bytes(id), "");
    EXPECT_FALSE(trained().has(id));
    EXPECT_FALSE(trained().is_special(id));
  }
  for (const int32_t id : {-1, INT32_MIN}) {
    const std::string message = error_of([&] { (void)trained().token_bytes(id); });
    EXPECT_NE(message.find(std::to_string(id)), std::string::npos) << message;
  }
  EXPECT_EQ(trained().token_bytes(0x41), "A");
}

TEST(Tokenizer, FromMergesReusesEqualTokens) {
  // ab, bc, ab + c, a + bc: the last two are the same token.
  const Tokenizer tokenizer =
      Tokenizer::from_merges(Pairs{{'a', 'b'}, {'b', 'c'}, {256, 'c'}, {'a', 257}});
  EXPECT_EQ(tokenizer.vocab_size(), 256 + 3 + 1);
  EXPECT_EQ(tokenizer.encode("abc"), Ids{258});
  EXPECT_NE(error_of([] {
              Tokenizer::from_merges(Pairs{{'a', 256}});
            }).find("id 256"),
            std::string::npos);
  EXPECT_NE(error_of([] {
              Tokenizer::from_merges(Pairs{{'a', -1}});
            }).find("id -1"),
            std::string::npos);
  EXPECT_NE(error_of([] {
              Tokenizer::from_merges(Pairs{{1, 2}, {1, 2}});
            }).find("both join"),
            std::string::npos);
}

TEST(Tokenizer, ASpecThatContradictsItselfIsRefused) {
  const TokenizerSpec good = Tokenizer::from_merges(Pairs{{'a', 'b'}, {'b', 'c'}}).spec();
  const auto message_after = [&](const auto& damage) {
    TokenizerSpec spec = good;
    damage(spec);
    return error_of([&] { Tokenizer::from_spec(spec); });
  };
  const auto expect_part = [](const std::string& message, const char* part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect_part(message_after([](TokenizerSpec& s) { s.merges[0].result = 257; }), "gives 'bc'");
  expect_part(message_after([](TokenizerSpec& s) { s.merges[0].left = 259; }), "names id 259");
  expect_part(message_after([](TokenizerSpec& s) { s.merges[0].result = -1; }), "names id -1");
  expect_part(message_after([](TokenizerSpec& s) { s.tokens.push_back("a"); }), "are both 'a'");
  expect_part(message_after([](TokenizerSpec& s) { s.added[0].id = 259; }), "has id 259");
  expect_part(message_after([](TokenizerSpec& s) { s.tokens.clear(); }), "empty");
}

TEST(Tokenizer, IgnoringMergesTakesWholeWords) {
  TokenizerSpec spec = Tokenizer::from_merges(Pairs{{'b', 'c'}, {'a', 'b'}}).spec();
  spec.tokens.push_back("abd");  // no merge makes it
  EXPECT_EQ(Tokenizer::from_spec(spec).encode("abd"), (Ids{257, 'd'}));
  spec.ignore_merges = true;
  EXPECT_EQ(Tokenizer::from_spec(spec).encode("abd"), Ids{259});
  EXPECT_EQ(Tokenizer::from_spec(spec).encode("abc"), (Ids{'a', 256}));
}

TEST(Tokenizer, FingerprintFollowsWhatDecidesIds) {
  const Tokenizer tokenizer = Tokenizer::from_merges(Pairs{{'a', 'b'}, {'c', 'd'}});
  // Computed by hand-written FNV-1a elsewhere. It is stored in files, so it must never change.
  EXPECT_EQ(tokenizer.fingerprint(), 16184451540004243419u);
  EXPECT_EQ(Tokenizer::from_spec(tokenizer.spec()).fingerprint(), tokenizer.fingerprint());
  EXPECT_NE(Tokenizer::from_merges(Pairs{{'a', 'b'}}).fingerprint(), tokenizer.fingerprint());
  EXPECT_NE(Tokenizer::from_merges(Pairs{{'c', 'd'}, {'a', 'b'}}).fingerprint(),
            tokenizer.fingerprint());
  const auto changes_with = [&](const auto& change) {
    TokenizerSpec spec = tokenizer.spec();
    change(spec);
    return Tokenizer::from_spec(spec).fingerprint() != tokenizer.fingerprint();
  };
  EXPECT_TRUE(changes_with([](TokenizerSpec& s) { s.ignore_merges = true; }));
  EXPECT_TRUE(changes_with([](TokenizerSpec& s) { s.normalizer = R"({"type":"NFC"})"; }));
  EXPECT_TRUE(changes_with([](TokenizerSpec& s) {
    s.pre_tokenizer = R"({"type":"ByteLevel","add_prefix_space":true})";
  }));
  EXPECT_TRUE(changes_with([](TokenizerSpec& s) { s.added[0].special = false; }));
  EXPECT_TRUE(changes_with([](TokenizerSpec& s) { s.added[0].lstrip = true; }));
  const auto with_normalizer = [&](const char* json) {
    TokenizerSpec spec = tokenizer.spec();
    spec.normalizer = json;
    return Tokenizer::from_spec(spec).fingerprint();
  };
  EXPECT_NE(with_normalizer(R"({"type":"NFC"})"), with_normalizer(R"({"type":"NFKC"})"));
  // What changes no ids changes no fingerprint.
  EXPECT_FALSE(changes_with([](TokenizerSpec& s) {
    s.pre_tokenizer = R"({"add_prefix_space":false,"type":"ByteLevel","trim_offsets":false})";
  }));
}

TEST(ByteAlphabet, IsGpt2s) {
  EXPECT_EQ(to_byte_alphabet(" a\n"), "\u0120a\u010A");
  EXPECT_EQ(to_byte_alphabet(std::string_view("\0\xAD\xFF", 3)), "\u0100\u0143\u00FF");
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  EXPECT_EQ(from_byte_alphabet(to_byte_alphabet(all)), all);
  for (const char* bad : {" ", "\n", "\u0144", "\u00AD", "\u3042", "\xC4", "\xC4z"}) {
    EXPECT_EQ(from_byte_alphabet(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace evo::tokenizer
